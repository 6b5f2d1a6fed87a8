// What DescribeLogDirs wants to know of a directory of `log.dirs`.

import Model

/// A log directory: its room and its partitions.
public struct LogDirState: Equatable, Sendable {
  public struct Partition: Equatable, Sendable {
    public var topic: String
    public var partition: Int32
    /// Bytes of all segments.
    public var size: Int64

    public init(topic: String, partition: Int32, size: Int64) {
      self.topic = topic
      self.partition = partition
      self.size = size
    }

    static let minimumSize = 14
  }

  public var path: String
  /// NONE, or KAFKA_STORAGE_ERROR for a directory that has failed.
  public var error: ErrorCode
  /// Of the file system, -1 when unknown.
  public var totalBytes: Int64
  public var usableBytes: Int64
  public var partitions: [Partition]

  public init(
    path: String, error: ErrorCode = .none, totalBytes: Int64 = -1, usableBytes: Int64 = -1,
    partitions: [Partition] = []
  ) {
    self.path = path
    self.error = error
    self.totalBytes = totalBytes
    self.usableBytes = usableBytes
    self.partitions = partitions
  }

  static let minimumSize = 24

  func encode(into writer: inout MessageWriter) {
    writer.put(path)
    writer.put(error.rawValue)
    writer.put(totalBytes)
    writer.put(usableBytes)
    writer.put(list: partitions) { partition, writer in
      writer.put(partition.topic)
      writer.put(partition.partition)
      writer.put(partition.size)
    }
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init(
      path: try reader.string(), error: ErrorCode(rawValue: try reader.integer()),
      totalBytes: try reader.integer(), usableBytes: try reader.integer(),
      partitions: try reader.list(minimumSize: Partition.minimumSize) {
        reader throws(MessageError) in
        Partition(
          topic: try reader.string(), partition: try reader.integer(), size: try reader.integer())
      })
  }
}
