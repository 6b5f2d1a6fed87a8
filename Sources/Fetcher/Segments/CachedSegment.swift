// A segment that the logwriter handed over: its descriptors and what is known of it. Whoever sends
// from it holds a reference, so that neither eviction nor deletion takes the file away mid-response.

import IPC
import Linux

/// A descriptor with several holders; closed with the last one.
final class SharedDescriptor {
  let file: OwnedFD
  /// Above zero: lately a part was not in memory. So many windows must be found there before that is
  /// forgotten.
  var coldness = 0

  init(_ file: consuming OwnedFD) { self.file = file }
}

final class CachedSegment {
  /// Unlike its place in the cache, never used again.
  let number: UInt64
  let slot: UInt32
  let generation: UInt32
  let baseOffset: Int64
  let log: SharedDescriptor
  /// The offset index; an active segment has none until it has grown some.
  private(set) var index: SharedDescriptor?
  /// The aborted transactions whose markers are in the segment.
  private(set) var transactionIndex: SharedDescriptor?
  private var transactions: SegmentTransactions
  /// Base offset of the segment after this one; `Int64.max` if it was the active one when asked for.
  private(set) var nextBaseOffset: Int64
  /// Size of a closed segment in bytes.
  private(set) var size: Int64
  /// Positions that the logwriter named: the batch that holds `offset` begins at or after
  /// `position`. Ascending; they find the way where the index does not reach.
  private var floors: [(offset: Int64, position: Int64)] = []
  /// The entry of the index where the last search ended.
  var indexPlace = 0
  /// When it was used last, in uses of the cache.
  var lastUse: UInt64 = 0

  init(
    number: UInt64, _ description: SegmentDescription, log: SharedDescriptor,
    index: SharedDescriptor?, transactionIndex: SharedDescriptor? = nil
  ) {
    self.number = number
    slot = description.slot
    generation = description.generation
    baseOffset = description.baseOffset
    nextBaseOffset = description.nextBaseOffset
    size = description.size
    self.log = log
    self.index = index
    self.transactionIndex = transactionIndex
    transactions = description.transactions
  }

  var descriptorCount: Int { 1 + (index == nil ? 0 : 1) + (transactionIndex == nil ? 0 : 1) }

  var wasActive: Bool { nextBaseOffset == .max }

  /// Takes over what the logwriter says now.
  func update(
    _ description: SegmentDescription, index: SharedDescriptor?,
    transactionIndex: SharedDescriptor? = nil
  ) {
    nextBaseOffset = description.nextBaseOffset
    size = description.size
    transactions = description.transactions
    if self.index == nil { self.index = index }
    if self.transactionIndex == nil { self.transactionIndex = transactionIndex }
  }

  /// Whether all is known of aborted transactions that begin below `offset`, as far as their markers
  /// are here. An index of the active segment grows, but its file is the same; one that it lacked
  /// when it was asked for may have come since.
  func knowsTransactions(below offset: Int64, _ entry: ScoreboardEntry) -> Bool {
    transactions.edition == entry.abortedTransactionsEdition
      || offset <= transactions.lastStableOffset || (wasActive && transactionIndex != nil)
  }

  /// The first segment behind this one with a transaction index, if `knowsTransactions`.
  var nextTransactionIndex: Int64 { transactions.nextBaseOffset }

  private static let floorsMax = 16

  /// Remembers a position that the logwriter has named for `offset`.
  func addFloor(offset: Int64, position: Int64) {
    if floors.count == Self.floorsMax { floors.removeFirst(Self.floorsMax / 2) }
    let place = floors.firstIndex { $0.offset >= offset } ?? floors.count
    floors.insert((offset, position), at: place)
  }

  /// The furthest position known to lie not after the batch that holds `offset`.
  func floor(_ offset: Int64) -> Int64 { floors.last { $0.offset <= offset }?.position ?? 0 }

  /// Whether the segment is known to hold `offset`, given where the high watermark is. Once that has
  /// moved on to another segment, the bounds of one that was active have to be asked for again.
  func holds(_ offset: Int64, _ entry: ScoreboardEntry) -> Bool {
    guard offset >= baseOffset, offset < nextBaseOffset else { return false }
    return !wasActive || entry.segmentBaseOffset == baseOffset
  }

  /// Where reading must stop, in bytes: the high watermark, or the end of a closed segment.
  func readableEnd(_ entry: ScoreboardEntry) -> Int64 {
    entry.segmentBaseOffset == baseOffset ? entry.segmentPosition : size
  }
}
