// What becomes of one batch (Kafka's Cleaner.cleanInto and MemoryRecords.filterTo): it stays as it
// is, byte for byte; it goes; or it is written anew with the records that stay. Offsets never change:
// a batch keeps its base offset and its last offset whatever it loses.
//
//   - A record goes when its key is seen again further on, or when it has no key.
//   - A tombstone goes when the delete horizon of its batch has passed. The horizon is set when the
//     batch is cleaned first: now + `delete.retention.ms`, in place of the base timestamp (KIP-534).
//   - A batch of an aborted transaction goes. A marker goes when nothing of its transaction is left,
//     and then waits for its horizon as a tombstone does.
//   - A batch without records stays, empty, when it is the last of a producer (it carries the
//     sequence number) or the last of what is cleaned (the log must not end before it).
//
// The base timestamp stays when records go; Kafka takes the first one's that is left. Records mean
// the same either way, and can be copied as they are.

import Compression
import IPC
import Model
import Records

enum BatchVerdict: Equatable {
  case keep
  case drop
  /// `BatchFilter.rewritten` takes its place.
  case rewrite
}

struct BatchFilter {
  private let order: CleaningOrder
  private let map: OffsetMap
  private let payload: BatchPayload
  private let lastRecords: [Int64: ProducerLastRecord]
  private(set) var transactions: TransactionState
  private(set) var recordsRead: UInt64 = 0
  private(set) var recordsKept: UInt64 = 0
  /// The batch of the last `rewrite`.
  private(set) var rewritten: [UInt8] = []
  private var records: [UInt8] = []
  /// For each record of the batch: it stays.
  private var stays: [Bool] = []
  private var candidates: [Candidate] = []

  init(_ order: CleaningOrder, _ map: OffsetMap) {
    self.order = order
    self.map = map
    payload = BatchPayload(maxMessageBytes: Int(order.maxMessageBytes))
    lastRecords = Dictionary(
      order.producers.map { ($0.producerId, $0) }, uniquingKeysWith: { $1 })
    transactions = TransactionState(order.abortedTransactions)
  }

  mutating func takeKeptTransactions() -> [AbortedTransaction] { transactions.takeKept() }

  /// Judges the next batch of the log.
  /// - Parameter batch: exactly one batch whose checksum is right.
  mutating func judge(_ header: RecordBatchHeader, _ batch: UnsafeRawBufferPointer)
    throws(CleaningError) -> BatchVerdict
  {
    let isUnneeded: Bool
    var dropsAll: Bool
    if header.isControlBatch {
      isUnneeded = transactions.isUnneeded(header, try controlType(header, batch))
      dropsAll = isUnneeded && header.deleteHorizonMs.map { $0 <= order.nowMs } ?? false
    } else {
      isUnneeded = false
      dropsAll = transactions.isAborted(header)
    }
    let staysEmpty =
      isLastOfProducer(header) || header.nextOffset == order.endOffset
    recordsRead += UInt64(max(0, header.recordCount))
    if dropsAll { return staysEmpty ? keepEmpty(header) : .drop }
    let survey = try survey(header, batch)
    if survey.kept == 0 { return staysEmpty ? keepEmpty(header) : .drop }
    recordsKept += UInt64(survey.kept)
    let needsHorizon =
      header.deleteHorizonMs == nil && (survey.hasTombstones || isUnneeded)
    if survey.kept == Int(header.recordCount), !needsHorizon { return .keep }
    try rewrite(header, batch, survey, needsHorizon)
    return .rewrite
  }

  // MARK: Which records stay

  private struct Survey {
    var kept = 0
    var hasTombstones = false
    var maxTimestamp = RecordBatchHeader.noTimestamp

    mutating func keep(timestamp: Int64, isTombstone: Bool) {
      kept += 1
      if isTombstone { hasTombstones = true }
      maxTimestamp = max(maxTimestamp, timestamp)
    }
  }

  /// A record whose entry of the map is being loaded.
  private struct Candidate {
    static let countMax = 64
    var index: Int
    var hash: KeyHash
    var offset: Int64
    var timestamp: Int64
    var isTombstone: Bool
  }

  /// Fills `stays`.
  private mutating func survey(_ header: RecordBatchHeader, _ batch: UnsafeRawBufferPointer)
    throws(CleaningError) -> Survey
  {
    let (payload, map) = (payload, map)
    let horizonHasPassed = header.deleteHorizonMs.map { $0 <= order.nowMs } ?? false
    var survey = Survey()
    stays.removeAll(keepingCapacity: true)
    candidates.removeAll(keepingCapacity: true)
    try payload.forEachRecord(header, batch) { record, _ throws(CleaningError) in
      let offset = header.offset(of: record)
      let timestamp = header.timestamp(of: record)
      let isTombstone = record.value == nil
      // Nothing of what lies behind the map can go.
      let isSure = header.isControlBatch || offset > map.latestOffset
      stays.append(isSure)
      if isSure {
        survey.keep(timestamp: timestamp, isTombstone: isTombstone)
      } else if let key = record.key, !(isTombstone && horizonHasPassed) {
        candidates.append(
          Candidate(
            index: stays.count - 1, hash: map.hash(key), offset: offset, timestamp: timestamp,
            isTombstone: isTombstone))
        if candidates.count == Candidate.countMax { settle(&survey) }
      }
    }
    settle(&survey)
    return survey
  }

  /// Those of the candidates stay that were not seen again further on.
  private mutating func settle(_ survey: inout Survey) {
    for candidate in candidates where candidate.offset >= map.offset(of: candidate.hash) {
      stays[candidate.index] = true
      survey.keep(timestamp: candidate.timestamp, isTombstone: candidate.isTombstone)
    }
    candidates.removeAll(keepingCapacity: true)
  }

  /// The batch that carries what must be remembered of a producer that is still active.
  private func isLastOfProducer(_ header: RecordBatchHeader) -> Bool {
    guard header.hasProducerId, let last = lastRecords[header.producerId] else { return false }
    return last.lastDataOffset >= 0
      ? header.lastOffset == last.lastDataOffset
      : header.isControlBatch && header.producerEpoch == last.producerEpoch
  }

  private func controlType(_ header: RecordBatchHeader, _ batch: UnsafeRawBufferPointer)
    throws(CleaningError) -> ControlRecordType?
  {
    if header.recordCount == 0 { return nil }
    var type: ControlRecordType?
    try payload.forEachRecord(header, batch) { record, _ throws(CleaningError) in
      if type != nil { return }
      do throws(RecordFormatError) { type = try ControlRecordType(key: record.key) } catch {
        throw .records(offset: header.baseOffset, error)
      }
    }
    return type
  }

  // MARK: Writing

  private mutating func keepEmpty(_ old: RecordBatchHeader) -> BatchVerdict {
    if old.recordCount == 0, old.recordsSizeInBytes == 0 { return .keep }
    var header = old
    header.attributes = RecordBatchAttributes(
      timestampType: old.timestampType, isTransactional: old.isTransactional,
      isControlBatch: old.isControlBatch)
    header.baseTimestamp = RecordBatchHeader.noTimestamp
    header.recordCount = 0
    assemble(header, [])
    return .rewrite
  }

  private mutating func rewrite(
    _ old: RecordBatchHeader, _ batch: UnsafeRawBufferPointer, _ survey: Survey,
    _ needsHorizon: Bool
  ) throws(CleaningError) {
    var header = old
    if needsHorizon {
      let (horizonMs, overflow) = order.nowMs.addingReportingOverflow(order.deleteRetentionMs)
      header.attributes.hasDeleteHorizon = true
      header.baseTimestamp = overflow ? .max : horizonMs
    }
    if !old.isLogAppendTime { header.maxTimestamp = survey.maxTimestamp }
    header.recordCount = Int32(survey.kept)
    records.removeAll(keepingCapacity: true)
    let shift = old.baseTimestamp &- header.baseTimestamp
    // A second pass over the records, so that only what stays is copied.
    var copied = records
    records = []
    var index = 0
    try payload.forEachRecord(old, batch) { record, bytes throws(CleaningError) in
      defer { index += 1 }
      guard stays[index] else { return }
      do throws(RecordFormatError) {
        try record.append(
          bytes, timestampDelta: record.timestampDelta &+ shift, to: &copied)
      } catch { throw .records(offset: old.baseOffset, error) }
    }
    records = copied
    let type = old.compression ?? .none
    if type == .none { return assemble(header, records) }
    do throws(CompressionError) {
      assemble(header, try Compression.compress(records, as: type))
    } catch { throw .compression(offset: old.baseOffset, error) }
  }

  private mutating func assemble(_ header: RecordBatchHeader, _ payload: [UInt8]) {
    var header = header
    let size = RecordBatchHeader.size + payload.count
    header.batchLength = Int32(clamping: size - RecordBatchHeader.logOverhead)
    rewritten.removeAll(keepingCapacity: true)
    rewritten.append(contentsOf: repeatElement(0, count: RecordBatchHeader.size))
    rewritten.append(contentsOf: payload)
    rewritten.withUnsafeMutableBytes { bytes in
      header.write(to: bytes)
      header.crc = RecordBatchHeader.checksum(ofBatch: UnsafeRawBufferPointer(bytes))
      header.write(to: bytes)
    }
  }
}
