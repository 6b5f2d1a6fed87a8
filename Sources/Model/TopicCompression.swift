// What a topic wants its batches compressed with.

/// `compression.type` of a topic and the level that goes with it.
public struct TopicCompression: Hashable, Sendable {
  /// The codec of stored batches; nil is `producer`: as they come.
  public var type: CompressionType?
  /// `compression.gzip.level`, `compression.lz4.level` or `compression.zstd.level`; nil is the
  /// codec's default. A batch that comes with the right codec keeps its level, as in Kafka.
  public var level: Int32?

  public init(type: CompressionType?, level: Int32? = nil) {
    self.type = type
    self.level = level
  }

  public static let producer = TopicCompression(type: nil)
}
