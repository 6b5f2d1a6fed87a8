// Reads a stretch of a partition's log through descriptors that the logwriter hands out: batch by
// batch, a bounded piece at a time, so that the loop goes on in between.

import Compression
import IPC
import Linux
import Model
import Records
import Service

enum PartitionReadError: Error, Equatable, CustomStringConvertible {
  /// The logwriter went away.
  case lost
  case refused(ErrorCode)
  case system(Errno)
  /// Bytes that are no batches, at this offset.
  case corrupt(offset: Int64, String)

  var description: String {
    switch self {
    case .lost: "the logwriter went away"
    case .refused(let error): "the logwriter refused: \(error)"
    case .system(let error): error.description
    case .corrupt(let offset, let reason): "corrupt at offset \(offset): \(reason)"
    }
  }
}

final class PartitionReader {
  /// What to do after a batch.
  enum Step {
    case goOn
    case stop
  }

  private let logs: LogConversation
  private unowned let timers: any TimerPort
  private let ref: SlotRef
  private var nextOffset: Int64
  private let endOffset: Int64
  private let onBatch:
    (RecordBatchHeader, UnsafeRawBufferPointer) throws(PartitionReadError) -> Step
  private var whenDone: ((PartitionReadError?) -> Void)?
  private var segment: SegmentFile?
  private var position: Int64 = 0
  private var buffer: [UInt8]

  /// Bytes read in one go; a larger batch is read whole.
  private static let pieceBytes = 256 << 10
  /// The largest batch that is believed: Kafka's largest request.
  private static let batchBytesMax = 100 << 20

  /// Hands the batches that hold offsets from `from` to below `to` to `onBatch`, in order.
  /// - Parameter whenDone: called once; nil when the end or a `stop` was reached.
  init(
    _ logs: LogConversation, timers: any TimerPort, _ ref: SlotRef, from: Int64, to: Int64,
    onBatch:
      @escaping (RecordBatchHeader, UnsafeRawBufferPointer) throws(PartitionReadError) ->
      Step,
    whenDone: @escaping (PartitionReadError?) -> Void
  ) {
    self.logs = logs
    self.timers = timers
    self.ref = ref
    nextOffset = from
    endOffset = to
    self.onBatch = onBatch
    self.whenDone = whenDone
    buffer = []
  }

  /// Starts with a segment that is open already, as a lookup gives it.
  func start(in segment: SegmentFile) {
    take(segment)
    readOn()
  }

  func start() {
    guard nextOffset < endOffset else { return finish(nil) }
    logs.openSegment(ref, offset: nextOffset) { [self] answer in
      switch answer {
      case .lost: finish(.lost)
      case .refused(let error): finish(.refused(error))
      case .segment(let segment):
        take(segment)
        readOn()
      }
    }
  }

  private func take(_ segment: SegmentFile) {
    self.segment = segment
    position = segment.description.startPosition
    if buffer.isEmpty { buffer = [UInt8](repeating: 0, count: Self.pieceBytes) }
  }

  private func finish(_ error: PartitionReadError?) {
    segment = nil
    buffer = []
    let then = whenDone
    whenDone = nil
    then?(error)
  }

  /// One piece; then the loop may do something else.
  private func readOn() {
    do throws(PartitionReadError) {
      switch try readPiece() {
      case .done: finish(nil)
      case .nextSegment:
        segment = nil
        start()
      case .more: _ = timers.after(0) { [self] in readOn() }
      }
    } catch { finish(error) }
  }

  private enum Piece {
    case done
    case nextSegment
    case more
  }

  private func readPiece() throws(PartitionReadError) -> Piece {
    guard let segment else { return .done }
    let count = try fill(segment)
    var consumed = 0
    var batchBytes = 0
    let outcome: Result<Piece?, PartitionReadError> = buffer.withUnsafeBytes { bytes in
      do throws(PartitionReadError) {
        while nextOffset < endOffset {
          let rest = UnsafeRawBufferPointer(rebasing: bytes[consumed..<count])
          guard let header = RecordBatchHeader(rest) else { break }
          guard header.isPlausible, header.sizeInBytes <= Self.batchBytesMax else {
            throw .corrupt(offset: nextOffset, "no record batch at byte \(position)")
          }
          batchBytes = header.sizeInBytes
          if batchBytes > rest.count { break }
          let batch = UnsafeRawBufferPointer(rebasing: rest[..<batchBytes])
          consumed += batchBytes
          batchBytes = 0
          if header.nextOffset <= nextOffset { continue }
          guard header.baseOffset < endOffset else { return .success(.done) }
          nextOffset = header.nextOffset
          if case .stop = try onBatch(header, batch) { return .success(.done) }
        }
        return .success(nextOffset >= endOffset ? .done : nil)
      } catch { return .failure(error) }
    }
    if let piece = try outcome.get() { return piece }
    position += Int64(consumed)
    if consumed > 0 { return .more }
    if batchBytes > buffer.count, position + Int64(batchBytes) <= segment.description.size {
      buffer = [UInt8](repeating: 0, count: batchBytes)
      return .more
    }
    return try endOfSegment(segment)
  }

  /// Nothing whole is left in the segment.
  private func endOfSegment(_ segment: SegmentFile) throws(PartitionReadError) -> Piece {
    let next = segment.description.nextBaseOffset
    // Compaction may have taken the last offsets of a segment away; those of the active one are there.
    if next == .max || next >= endOffset { return .done }
    guard next > segment.description.baseOffset else {
      throw .corrupt(offset: nextOffset, "the segment after \(segment.description.baseOffset)")
    }
    nextOffset = max(nextOffset, next)
    return .nextSegment
  }

  private func fill(_ segment: SegmentFile) throws(PartitionReadError) -> Int {
    let left = Int(max(0, segment.description.size - position))
    let wanted = min(left, buffer.count)
    let result: Result<Int, Errno> = buffer.withUnsafeMutableBytes { bytes in
      do throws(Errno) {
        return .success(
          try File.read(
            segment.log, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<wanted]),
            at: position))
      } catch { return .failure(error) }
    }
    switch result {
    case .success(let count): return count
    case .failure(let error): throw .system(error)
    }
  }
}

/// The records of one batch, decompressed.
enum BatchRecords {
  /// The most that a batch may decompress to.
  private static let decompressedMax = 256 << 20

  /// Calls `body` with every record, in order.
  static func forEach(
    _ header: RecordBatchHeader, _ batch: UnsafeRawBufferPointer,
    _ body: (RecordView) -> PartitionReader.Step
  ) throws(PartitionReadError) {
    let payload = UnsafeRawBufferPointer(rebasing: batch[RecordBatchHeader.size...])
    guard let type = header.compression else {
      throw .corrupt(offset: header.baseOffset, "an unknown compression")
    }
    if type == .none { return try walk(header, payload, body) }
    let bytes: [UInt8]
    do throws(CompressionError) {
      bytes = try Compression.decompress(payload, as: type, limit: decompressedMax)
    } catch { throw .corrupt(offset: header.baseOffset, "\(error)") }
    try bytes.withRawBytes { raw throws(PartitionReadError) in try walk(header, raw, body) }
  }

  private static func walk(
    _ header: RecordBatchHeader, _ payload: UnsafeRawBufferPointer,
    _ body: (RecordView) -> PartitionReader.Step
  ) throws(PartitionReadError) {
    do throws(RecordFormatError) {
      var records = try RecordIterator(header: header, records: payload)
      while let record = try records.next() {
        if case .stop = body(record) { return }
      }
    } catch { throw .corrupt(offset: header.baseOffset, "\(error)") }
  }
}
