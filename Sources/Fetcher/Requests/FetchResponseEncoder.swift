// Writes Fetch responses field by field: the generated encoder would need an object for every
// partition. Records stay where they are: the writer leaves gaps, and `pieces` says which part of
// which segment fills each. Records of little size are read and written in place, because that
// costs less than handing them to the kernel one by one.

import KafkaProtocol
import Linux
import Model

/// Part of a segment that goes into a response.
struct FilePiece {
  var log: SharedDescriptor
  var position: Int64
  var count: Int
  /// It lies close to the end of its log, so it was written lately and is hardly ever not in memory.
  var isRecent = false
}

final class FetchResponseEncoder {
  /// Records below this many bytes are copied into the response.
  static let inlineMax = 8 << 10
  /// As long as it has not been this many bytes in one response: more would be memory that waits
  /// for a slow client.
  static let inlineTotalMax = 128 << 10

  private(set) var writer = WireWriter()
  /// One for each of the writer's gaps.
  private(set) var pieces: [FilePiece] = []
  private var frame: WireWriter.FrameMark?
  private var inlined = 0
  private var scratch = [UInt8](repeating: 0, count: inlineMax)

  /// Begins a response of `topics` topics; `topic` must follow for each.
  func begin(_ head: FetchHead, error: ErrorCode, sessionId: Int32, topics: Int) {
    writer.removeAll(keepingCapacity: true)
    pieces.removeAll(keepingCapacity: true)
    inlined = 0
    frame = writer.beginResponse(
      to: .fetch, version: head.version, correlationId: head.correlationId)
    writer.writeInt32(0)
    if head.version >= 7 {
      writer.writeInt16(error.rawValue)
      writer.writeInt32(sessionId)
    }
    count(topics, head)
  }

  /// Begins a topic of `partitions` partitions; `partition` must follow for each, then `endTopic`.
  func topic(_ topic: FetchTopic, partitions: Int, _ head: FetchHead) {
    if head.version >= 13 {
      writer.writeUUID(topic.id)
    } else {
      let name = Array(topic.name.utf8)
      if head.version >= 12 {
        writer.writeUnsignedVarint(UInt32(name.count) + 1)
      } else {
        writer.writeInt16(Int16(name.count))
      }
      writer.writeRaw(name)
    }
    count(partitions, head)
  }

  func endTopic(_ head: FetchHead) { tags(head) }

  func partition(_ index: Int32, _ found: FoundRecords, _ head: FetchHead) {
    var found = found
    var inline = false
    if found.count > 0, found.count < Self.inlineMax, inlined < Self.inlineTotalMax,
      let segment = found.segment
    {
      switch read(segment, found.position, found.count) {
      case .whole: inline = true
      case .cold: break
      case .failed: found = FoundRecords(.kafkaStorageError)
      }
    }
    writer.writeInt32(index)
    writer.writeInt16(found.error.rawValue)
    writer.writeInt64(found.highWatermark)
    writer.writeInt64(found.lastStableOffset)
    if head.version >= 5 { writer.writeInt64(found.logStartOffset) }
    abortedTransactions(found.count > 0 ? found.aborted?.all ?? [] : [], head)
    if head.version >= 11 { writer.writeInt32(-1) }
    count(found.count, head)
    if inline {
      writer.writeRaw(scratch.span.bytes.extracting(first: found.count))
      inlined += found.count
    } else if let segment = found.segment, found.count > 0 {
      writer.writeGap(count: found.count)
      pieces.append(
        FilePiece(
          log: segment.log, position: found.position, count: found.count, isRecent: found.isRecent))
    }
    guard head.version >= 12 else { return }
    guard let diverging = found.divergingEpoch else { return tags(head) }
    // One tagged field, number 0, of 13 bytes: epoch, end offset, no tags of its own.
    for value: UInt32 in [1, 0, 13] { writer.writeUnsignedVarint(value) }
    writer.writeInt32(diverging.epoch)
    writer.writeInt64(diverging.endOffset)
    writer.writeUnsignedVarint(0)
  }

  /// Ends the response, which is then in `writer` and `pieces`.
  func end(_ head: FetchHead) {
    tags(head)
    if let frame { writer.endFrame(frame) }
    frame = nil
  }

  /// Gives the response away: what is left is empty.
  func take() -> (bytes: [UInt8], gaps: [WireGap], pieces: [FilePiece]) {
    let response = (writer.bytes, writer.gaps, pieces)
    release()
    return response
  }

  /// Lets go of the segments.
  func release() {
    writer.removeAll(keepingCapacity: true)
    pieces.removeAll(keepingCapacity: true)
  }

  /// Null unless the reader wants to know.
  private func abortedTransactions(_ aborted: [AbortedTransaction], _ head: FetchHead) {
    guard head.isReadCommitted else {
      return writer.writeNullArray(compact: head.version >= 12)
    }
    count(aborted.count, head)
    for transaction in aborted {
      writer.writeInt64(transaction.producerId)
      writer.writeInt64(transaction.firstOffset)
      tags(head)
    }
  }

  /// The count of an array or the length of records: neither can exceed 31 bits.
  private func count(_ count: Int, _ head: FetchHead) {
    if head.version >= 12 {
      writer.writeUnsignedVarint(UInt32(count) + 1)
    } else {
      writer.writeInt32(Int32(count))
    }
  }

  private func tags(_ head: FetchHead) {
    if head.version >= 12 { writer.writeUnsignedVarint(0) }
  }

  private enum InlineRead { case whole, cold, failed }

  /// Reads into `scratch` unless a disk would have to be waited for.
  private func read(_ segment: CachedSegment, _ position: Int64, _ count: Int) -> InlineRead {
    do throws(Errno) {
      let read = try scratch.withMutableRawBytes { raw throws(Errno) in
        try File.readCached(
          segment.log.file, into: UnsafeMutableRawBufferPointer(rebasing: raw[..<count]),
          at: position)
      }
      return read == count ? .whole : .cold
    } catch { return .failed }
  }
}
