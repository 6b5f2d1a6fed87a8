// Which transactional batches were aborted and which markers are still needed, while a log is gone
// through from its start (Kafka's CleanedTransactionMetadata). A pure value.

import Model
import Records

struct TransactionState {
  private struct Ongoing {
    let transaction: AbortedTransaction
    var hasBatches = false
  }

  /// Not reached yet, the next one last.
  private var aborted: [AbortedTransaction]
  private var ongoingAborted: [Int64: Ongoing] = [:]
  private var ongoingCommitted: Set<Int64> = []
  /// Aborted transactions whose marker is kept since the last `takeKept`, in the order of markers.
  private var kept: [AbortedTransaction] = []

  /// - Parameter aborted: all of the log, in any order.
  init(_ aborted: [AbortedTransaction]) {
    self.aborted = aborted.sorted { $0.firstOffset > $1.firstOffset }
  }

  /// Notes a data batch.
  /// - Returns: whether it belongs to an aborted transaction.
  mutating func isAborted(_ batch: RecordBatchHeader) -> Bool {
    advance(to: batch.lastOffset)
    guard batch.isTransactional else { return false }
    guard let ongoing = ongoingAborted[batch.producerId],
      batch.lastOffset < ongoing.transaction.lastOffset
    else {
      ongoingCommitted.insert(batch.producerId)
      return false
    }
    ongoingAborted[batch.producerId]?.hasBatches = true
    return true
  }

  /// Notes a control batch.
  /// - Parameter type: of its record; nil when it has none any more.
  /// - Returns: whether its transaction has no batches left, so that it may go.
  mutating func isUnneeded(_ batch: RecordBatchHeader, _ type: ControlRecordType?) -> Bool {
    advance(to: batch.lastOffset)
    switch type {
    case nil: return true
    case .abort:
      guard let ended = ongoingAborted.removeValue(forKey: batch.producerId), ended.hasBatches
      else { return true }
      kept.append(ended.transaction)
      return false
    case .commit: return ongoingCommitted.remove(batch.producerId) == nil
    case .other: return false
    }
  }

  /// What goes into the transaction index of the segment that has just been written.
  mutating func takeKept() -> [AbortedTransaction] {
    defer { kept = [] }
    return kept
  }

  private mutating func advance(to offset: Int64) {
    while let next = aborted.last, next.firstOffset <= offset {
      aborted.removeLast()
      // The marker of an earlier one may lie before the part of the log that is gone through.
      if let known = ongoingAborted[next.producerId],
        known.transaction.lastOffset >= next.firstOffset
      {
        continue
      }
      ongoingAborted[next.producerId] = Ongoing(transaction: next)
    }
  }
}
