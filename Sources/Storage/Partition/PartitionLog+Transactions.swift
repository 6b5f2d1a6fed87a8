// Transactions: which segments have an index of the aborted ones, and where the earliest open one
// begins. `ProducerState` follows them batch by batch; the format is in `TransactionIndex`.
//
// An entry is written by the commit that writes its marker, after it. If that fails the marker is taken
// back, so that no reader ever meets a marker without its entry. What a crash leaves of entries behind
// the recovery point counts for nothing: recovery makes them from the batches.

import Linux
import Model
import Records

extension PartitionLog {
  /// What readers compare to know whether an index has grown: never 0 while there is one, else 0.
  public var abortedTransactionsEdition: UInt32 {
    transactionIndexes.isEmpty ? 0 : transactionIndexEdition
  }

  /// The greatest one; the next is 1.
  static var editionMax: UInt32 { UInt32.max >> 1 }

  /// Every aborted transaction that the log knows.
  public func abortedTransactions() throws(StorageError) -> [AbortedTransaction] {
    var all: [AbortedTransaction] = []
    for base in transactionIndexes {
      all += try TransactionIndex.read(path(.txnindex, base), device)
    }
    return all
  }

  /// The first segment behind `baseOffset` with aborted transactions; `Int64.max` without one.
  func nextTransactionIndex(behind baseOffset: Int64) -> Int64 {
    transactionIndexes.first { $0 > baseOffset } ?? .max
  }

  /// Writes the entries that are in memory.
  func flushTransactionIndex(_ active: ActiveSegment) throws(StorageError) {
    if active.transactionIndex.pendingCount == 0 { return }
    // Before the file is touched: half an entry must be cut when it is opened again.
    noteTransactionIndex(of: active.baseOffset)
    try active.transactionIndex.flush(path(.txnindex, active.baseOffset), device)
  }

  /// A segment's index is new or has grown.
  func noteTransactionIndex(of baseOffset: Int64) {
    transactionIndexEdition =
      transactionIndexEdition == Self.editionMax ? 1 : transactionIndexEdition + 1
    if let last = transactionIndexes.last, last >= baseOffset {
      if transactionIndexes.contains(baseOffset) { return }
      transactionIndexes.append(baseOffset)
      transactionIndexes.sort()
    } else {
      transactionIndexes.append(baseOffset)
    }
    unsynced.insert(.directory)
  }

  /// Cuts a segment's index before the first entry at or behind `offset`, and what is none.
  func keptTransactions(_ baseOffset: Int64, below offset: Int64)
    throws(StorageError) -> IndexTail<TransactionIndexEntry>
  {
    guard transactionIndexes.contains(baseOffset) else {
      return IndexTail(flushedCount: 0, last: nil)
    }
    let kept = try keep(baseOffset) { (entry: TransactionIndexEntry) in
      // Zeros may also stand before entries that reached the disk.
      !entry.isPlausible(in: baseOffset) || entry.transaction.lastOffset >= offset
    }
    return IndexTail(flushedCount: kept.count, last: kept.last)
  }

  /// Segments are gone, and their indexes with them.
  func forgetTransactionIndexes() {
    if transactionIndexes.isEmpty { return }
    let bases = Set(segments.lazy.map(\.baseOffset))
    transactionIndexes.removeAll { !bases.contains($0) }
  }

  /// One segment has taken the place of those with base offsets in `gone`.
  /// - Parameter baseOffset: its own, if it has aborted transactions.
  func replaceTransactionIndexes(_ gone: Range<Int64>, by baseOffset: Int64?) {
    transactionIndexes.removeAll { gone.contains($0) }
    if let baseOffset { noteTransactionIndex(of: baseOffset) }
  }

  /// After a clean stop: finds out where the earliest open transaction begins. The producers as of the
  /// end of the log tell, and need not be kept for that; without their snapshot the log is loaded.
  /// - Parameter snapshots: the offsets of all there are. Without any there were no producers.
  func findFirstUnstableOffset(_ snapshots: [Int64]) throws(StorageError) {
    if !snapshots.contains(where: { $0 <= logEndOffset }) { return }
    if snapshots.contains(logEndOffset),
      let bytes = try device.contents(path(.snapshot, logEndOffset)),
      let entries = ProducerSnapshot.decode(bytes)
    {
      firstUnstableOffset = ProducerState(entries).firstUnstableOffset
      return
    }
    _ = try openedSegment(nowMs: Clock.wallMs())
  }
}
