// When a log directory has too little room for producers, and when enough again. Pure.

import Linux

public struct SpaceLimits: Equatable, Sendable {
  /// `sluice.log.dir.free.low.bytes` and `.percent`: low is what lies below both.
  public var lowBytes: Int64
  public var lowPercent: Int64
  /// `sluice.log.dir.ballast.bytes`.
  public var ballastBytes: Int64

  public init(lowBytes: Int64, lowPercent: Int64, ballastBytes: Int64) {
    self.lowBytes = lowBytes
    self.lowPercent = lowPercent
    self.ballastBytes = ballastBytes
  }

  /// Below this many free bytes producers are refused.
  public func low(_ space: FileSystemSpace) -> Int64 {
    min(lowBytes, space.totalBytes / 100 * lowPercent)
  }

  /// From this many on they are taken again: a quarter more, so that it does not go to and fro, and
  /// a little in any case, for a disk that was full.
  public func enough(_ space: FileSystemSpace) -> Int64 {
    let low = low(space)
    return low + max(low / 4, min(Self.enoughMin, space.totalBytes / 100))
  }

  /// The size of the ballast, which no small file system is filled with.
  public func ballast(_ space: FileSystemSpace) -> Int64 {
    min(ballastBytes, space.totalBytes / 100)
  }

  /// Below this many free bytes nobody can write, whose files do not belong to the log either: the
  /// ballast is let go.
  public func exhausted(_ space: FileSystemSpace) -> Int64 { ballast(space) / 4 }

  private static let enoughMin: Int64 = 16 << 20
}
