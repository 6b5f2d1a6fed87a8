// A segment as its partition knows it: numbers only. Its files are opened when they are needed.

/// One segment of a partition's log.
public struct LogSegment: Equatable, Sendable {
  /// Lower bound of the offsets in the segment; names its files.
  public let baseOffset: Int64
  /// Bytes of record batches in the .log file.
  public internal(set) var size: Int64

  /// Whether the indexes of the segment can tell `offset`.
  func canIndex(_ offset: Int64) -> Bool { offset - baseOffset <= Int64(Int32.max) }
}
