// Finding aborted transactions in a segment's transaction index, as Kafka's
// TransactionIndex.collectAbortedTxns does.
//
// Entries are of 34 bytes, big-endian: version 0 (i16), producer id, first offset, offset of the abort
// marker, last stable offset once that was there (i64 each). The last two ascend. The index of an active
// segment may end in part of an entry, or in entries whose markers nobody may read yet: their
// transactions begin behind the last stable offset, so they overlap with nothing that is read.

import Linux
import Model

extension SegmentSearch {
  private static let entrySize = 34

  /// Calls `body` with each transaction of the index that overlaps with `offsets`.
  /// - Returns: whether no later entry can, in this index or in one of a later segment.
  func aborted(
    _ index: SharedDescriptor, segmentBase: Int64, overlapping offsets: Range<Int64>,
    _ body: (AbortedTransaction) -> Void
  ) throws(SegmentFault) -> Bool {
    let size: Int64
    do { size = try File.status(index.file).size } catch { throw .system(error) }
    let count = Int(size) / Self.entrySize
    let perBlock = Self.blockSize / Self.entrySize
    // Markers below the offsets end transactions that are over: halve until one block has the first
    // entry that counts.
    var low = 0
    var high = count
    while high - low > perBlock {
      let middle = (low + high) / 2
      guard try readEntries(index, from: middle, count: 1) == 1 else { break }
      if try entry(0, from: middle, segmentBase).lastOffset < offsets.lowerBound {
        low = middle + 1
      } else {
        high = middle
      }
    }
    while low < count {
      let here = try readEntries(index, from: low, count: min(perBlock, count - low))
      if here == 0 { return false }
      for number in 0..<here {
        let transaction = try entry(number, from: low, segmentBase)
        if transaction.lastOffset >= offsets.lowerBound,
          transaction.firstOffset < offsets.upperBound
        {
          body(transaction)
        }
        if transaction.lastStableOffset >= offsets.upperBound { return true }
      }
      low += here
    }
    return false
  }

  /// Reads whole entries into the block.
  private func readEntries(_ index: SharedDescriptor, from first: Int, count: Int)
    throws(SegmentFault) -> Int
  {
    // It does not hold batches any more.
    blockCount = 0
    return try read(index, at: Int64(first * Self.entrySize), count: count * Self.entrySize)
      / Self.entrySize
  }

  /// Entry `number` of those in the block, which begin with entry `first` of the file.
  private func entry(_ number: Int, from first: Int, _ segmentBase: Int64) throws(SegmentFault)
    -> AbortedTransaction
  {
    let start = number * Self.entrySize
    func value(_ offset: Int) -> Int64 {
      Int64(bigEndian: block.loadUnaligned(fromByteOffset: start + offset, as: Int64.self))
    }
    let version = Int16(bigEndian: block.loadUnaligned(fromByteOffset: start, as: Int16.self))
    let transaction = AbortedTransaction(
      producerId: value(2), firstOffset: value(10), lastOffset: value(18),
      lastStableOffset: value(26))
    guard version == 0, transaction.firstOffset < transaction.lastOffset,
      transaction.lastOffset >= segmentBase,
      transaction.lastStableOffset <= transaction.lastOffset &+ 1
    else { throw .notATransaction(position: Int64((first + number) * Self.entrySize)) }
    return transaction
  }
}
