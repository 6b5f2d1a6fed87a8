// The producers of one partition: which batch may come next, and which was there before (Kafka's
// ProducerStateManager and ProducerAppendInfo, KIP-98, KIP-360).
//
// The same `apply` runs when a batch is appended and when it is read back, so a restart ends in the
// state that was there before. It is a pure value: no files, no clocks.

import Model
import Records

/// Whether a batch of a producer may be appended.
enum ProducerVerdict {
  case inOrder
  /// The batch is there already.
  case duplicate(ProducerBatch)
  case refused(ErrorCode)
}

struct ProducerState {
  private var entries: [Int64: ProducerEntry] = [:]
  /// Where the earliest open transaction begins, -1 when none is open.
  private(set) var firstUnstableOffset: Int64 = -1

  init() {}

  /// The state of a snapshot.
  init(_ snapshot: [ProducerEntry]) {
    for entry in snapshot { entries[entry.producerId] = entry }
    findFirstUnstableOffset()
  }

  var isEmpty: Bool { entries.isEmpty }
  var all: Dictionary<Int64, ProducerEntry>.Values { entries.values }

  subscript(producerId: Int64) -> ProducerEntry? { entries[producerId] }

  /// Judges a batch that a client wants to append. Batches without a producer id are not asked about.
  ///
  /// A producer that the partition does not know may begin with any sequence number: its records may
  /// have been removed by retention (KIP-360). A new epoch of a known producer begins at 0.
  func judge(_ batch: RecordBatchHeader) -> ProducerVerdict {
    guard let entry = entries[batch.producerId] else { return .inOrder }
    if batch.producerEpoch == entry.producerEpoch {
      if let known = entry.duplicate(
        firstSequence: batch.baseSequence, lastSequence: batch.lastSequence)
      {
        return .duplicate(known)
      }
      guard Self.follows(batch.baseSequence, after: entry.lastSequence) else {
        return .refused(.outOfOrderSequenceNumber)
      }
    } else if batch.producerEpoch < entry.producerEpoch {
      return .refused(.invalidProducerEpoch)
    } else if batch.baseSequence != 0, entry.producerEpoch != -1 {
      return .refused(.outOfOrderSequenceNumber)
    }
    if entry.currentTxnFirstOffset >= 0, !batch.isTransactional {
      return .refused(.invalidTxnState)
    }
    return .inOrder
  }

  /// Takes a data batch with its assigned offsets over.
  mutating func apply(_ batch: RecordBatchHeader) {
    var began = false
    withEntry(batch.producerId) { entry in
      entry.enter(batch.producerEpoch)
      entry.remember(
        ProducerBatch(
          lastSequence: batch.lastSequence, lastOffset: batch.lastOffset,
          offsetDelta: batch.lastOffsetDelta, timestamp: batch.maxTimestamp))
      entry.lastTimestamp = batch.maxTimestamp
      if batch.isTransactional, entry.currentTxnFirstOffset < 0 {
        entry.currentTxnFirstOffset = batch.baseOffset
        began = true
      }
    }
    if began, firstUnstableOffset < 0 { firstUnstableOffset = batch.baseOffset }
  }

  /// Judges a marker that is to be appended: an older epoch, of the producer or of its coordinator, is
  /// out of date.
  func judge(_ marker: EndTransactionMarker, _ batch: RecordBatchHeader) -> ErrorCode {
    guard let entry = entries[batch.producerId] else { return .none }
    if batch.producerEpoch < entry.producerEpoch { return .invalidProducerEpoch }
    return marker.coordinatorEpoch < entry.coordinatorEpoch ? .transactionCoordinatorFenced : .none
  }

  /// Takes a transaction marker over: it ends the producer's transaction.
  /// - Returns: the transaction, if there was one and the marker aborts it.
  mutating func apply(_ marker: EndTransactionMarker, _ batch: RecordBatchHeader)
    -> AbortedTransaction?
  {
    var firstOffset: Int64 = -1
    withEntry(batch.producerId) { entry in
      entry.enter(batch.producerEpoch)
      entry.coordinatorEpoch = marker.coordinatorEpoch
      entry.lastTimestamp = batch.maxTimestamp
      firstOffset = entry.currentTxnFirstOffset
      entry.currentTxnFirstOffset = -1
    }
    if firstOffset < 0 { return nil }
    findFirstUnstableOffset()
    if marker.isCommit { return nil }
    return AbortedTransaction(
      producerId: batch.producerId, firstOffset: firstOffset, lastOffset: batch.lastOffset,
      lastStableOffset: firstUnstableOffset >= 0 ? firstUnstableOffset : batch.nextOffset)
  }

  /// Forgets producers that have been idle for `expirationMs` and have no transaction open.
  mutating func expire(nowMs: Int64, expirationMs: Int64) {
    entries = entries.filter { _, entry in
      entry.currentTxnFirstOffset >= 0 || nowMs - entry.lastTimestamp < expirationMs
    }
  }

  private mutating func withEntry(_ producerId: Int64, _ body: (inout ProducerEntry) -> Void) {
    if let index = entries.index(forKey: producerId) {
      body(&entries.values[index])
    } else {
      var entry = ProducerEntry(producerId: producerId)
      body(&entry)
      entries[producerId] = entry
    }
  }

  private mutating func findFirstUnstableOffset() {
    firstUnstableOffset = -1
    for entry in entries.values where entry.currentTxnFirstOffset >= 0 {
      if firstUnstableOffset < 0 || entry.currentTxnFirstOffset < firstUnstableOffset {
        firstUnstableOffset = entry.currentTxnFirstOffset
      }
    }
  }

  private static func follows(_ next: Int32, after last: Int32) -> Bool {
    last == .max ? next == 0 : next == last + 1
  }
}
