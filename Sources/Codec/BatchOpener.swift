// Opens one batch: decompresses its records, looks at each of them as Kafka's LogValidator does, and
// compresses them anew where the topic wants another codec. A pure function of bytes that nobody
// vouches for: any bytes give an answer.

import Compression
import IPC
import Model
import Records

enum BatchOpener {
  /// - Parameter batch: one whole batch; its header and checksum were checked by who asks.
  /// - Throws: what was asked makes no sense, whatever the records are.
  static func open(_ batch: UnsafeRawBufferPointer, _ entry: OpenEntry) throws(MessageError)
    -> OpenedEntry
  {
    guard let header = RecordBatchHeader(batch), header.sizeInBytes == batch.count,
      let source = header.compression
    else { throw MessageError("an entry is no record batch of \(batch.count) bytes") }
    let payload = UnsafeRawBufferPointer(rebasing: batch[RecordBatchHeader.size...])
    if source == .none { return finish(payload, header, source, entry) }
    let limit = Int(clamping: entry.decompressedMax)
    do throws(CompressionError) {
      let records = try Compression.decompress(payload, as: source, limit: limit)
      return records.withUnsafeBytes { finish($0, header, source, entry) }
    } catch {
      guard case .tooLarge = error else { return refused(entry, .corrupt) }
      return refused(entry, .decompressedTooLarge, detail: Int64(limit))
    }
  }

  /// - Parameter records: uncompressed.
  private static func finish(
    _ records: UnsafeRawBufferPointer, _ header: RecordBatchHeader, _ source: CompressionType,
    _ entry: OpenEntry
  ) -> OpenedEntry {
    var inspection = RecordInspection(entry)
    if let refusal = inspection.refusal(of: records, header) { return refusal }
    var answer = OpenedEntry(
      cookie: entry.cookie, verdict: .sound, maxTimestamp: inspection.maxTimestamp)
    guard entry.target != nil || inspection.isMisnumbered else { return answer }
    let target = entry.target ?? source
    let level = entry.level.map(Int.init)
    do throws(CompressionError) {
      if inspection.isMisnumbered {
        answer.records = try Compression.compress(
          renumbered(records, header), as: target, level: level)
      } else {
        answer.records = try Compression.compress(records, as: target, level: level)
      }
    } catch { return refused(entry, .corrupt) }
    let size = RecordBatchHeader.size + (answer.records?.count ?? 0)
    return size <= entry.batchMax
      ? answer : refused(entry, .recompressedTooLarge, detail: Int64(size))
  }

  private static func renumbered(_ records: UnsafeRawBufferPointer, _ header: RecordBatchHeader)
    -> [UInt8]
  {
    do throws(RecordFormatError) {
      return try RecordRenumbering.renumbered(records, count: header.recordCount)
    } catch { preconditionFailure("records changed after they were read: \(error)") }
  }

  static func refused(
    _ entry: OpenEntry, _ verdict: OpenedEntry.Verdict, detail: Int64 = 0, faults: [Int32] = []
  ) -> OpenedEntry {
    OpenedEntry(cookie: entry.cookie, verdict: verdict, detail: detail, faults: faults)
  }
}

/// What going through a batch's records finds.
private struct RecordInspection {
  let entry: OpenEntry
  private(set) var maxTimestamp = RecordBatchHeader.noTimestamp
  /// Offset deltas do not run 0, 1, 2 …: Kafka writes such a batch anew with those that do.
  private(set) var isMisnumbered = false
  private var keyless: [Int32] = []
  private var untimely: [Int32] = []
  private var firstUntimely: Int64 = 0

  init(_ entry: OpenEntry) { self.entry = entry }

  /// Looks at every record.
  mutating func refusal(of bytes: UnsafeRawBufferPointer, _ header: RecordBatchHeader)
    -> OpenedEntry?
  {
    var index: Int32 = 0
    do throws(RecordFormatError) {
      var records = try RecordIterator(header: header, records: bytes)
      while let record = try records.next() {
        look(at: record, index, header)
        index += 1
      }
    } catch { return BatchOpener.refused(entry, .malformedRecord, detail: Int64(index)) }
    if !untimely.isEmpty {
      return BatchOpener.refused(entry, .timestamp, detail: firstUntimely, faults: untimely)
    }
    return keyless.isEmpty ? nil : BatchOpener.refused(entry, .noKey, faults: keyless)
  }

  private mutating func look(at record: RecordView, _ index: Int32, _ header: RecordBatchHeader) {
    if record.offsetDelta != index { isMisnumbered = true }
    let timestamp = header.timestamp(of: record)
    maxTimestamp = max(maxTimestamp, timestamp)
    if timestamp != RecordBatchHeader.noTimestamp,
      timestamp < entry.timestampMin || timestamp > entry.timestampMax,
      untimely.count < OpenedEntry.faultsMax
    {
      if untimely.isEmpty { firstUntimely = timestamp }
      untimely.append(index)
    }
    if entry.requiresKeys, record.key == nil, keyless.count < OpenedEntry.faultsMax {
      keyless.append(index)
    }
  }
}
