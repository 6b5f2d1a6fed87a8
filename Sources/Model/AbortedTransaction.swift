// A transaction that was aborted, as a partition's transaction index and its readers know it.

/// One aborted transaction in one partition (KIP-98).
public struct AbortedTransaction: Hashable, Sendable {
  public var producerId: Int64
  /// The first record of the transaction in the partition.
  public var firstOffset: Int64
  /// The abort marker.
  public var lastOffset: Int64
  /// The last stable offset once the marker was there.
  public var lastStableOffset: Int64

  public init(producerId: Int64, firstOffset: Int64, lastOffset: Int64, lastStableOffset: Int64) {
    self.producerId = producerId
    self.firstOffset = firstOffset
    self.lastOffset = lastOffset
    self.lastStableOffset = lastStableOffset
  }
}
