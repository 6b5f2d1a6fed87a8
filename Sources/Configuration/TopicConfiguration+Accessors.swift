// The topic configurations that Sluice acts on or is about to, typed. Units are in the names.

import Model

extension TopicConfiguration {
  // Records.

  /// The largest batch, header included.
  public var maxMessageBytes: Int { Int(integer("max.message.bytes")) }
  public var messageTimestampType: TimestampType {
    guard case .string(let name) = value("message.timestamp.type") else { return .createTime }
    return TimestampType(name: name) ?? .createTime
  }
  public var messageTimestampBeforeMaxMs: Int64 { integer("message.timestamp.before.max.ms") }
  public var messageTimestampAfterMaxMs: Int64 { integer("message.timestamp.after.max.ms") }
  /// `compression.type` and the level of that codec.
  public var compression: TopicCompression {
    guard case .string(let name) = value("compression.type"), name != "producer" else {
      return .producer
    }
    switch name {
    case "gzip":
      let level = Int32(integer("compression.gzip.level"))
      return TopicCompression(type: .gzip, level: level == -1 ? nil : level)
    case "lz4": return TopicCompression(type: .lz4, level: lz4Level)
    case "zstd":
      return TopicCompression(type: .zstd, level: Int32(integer("compression.zstd.level")))
    case "snappy": return TopicCompression(type: .snappy)
    default: return TopicCompression(type: CompressionType.none)
    }
  }

  /// Kafka's default of 9 stands for its fast compressor, which has no number of its own.
  private var lz4Level: Int32? {
    let level = Int32(integer("compression.lz4.level"))
    return level == 9 ? nil : level
  }

  public var minInsyncReplicas: Int32 { Int32(integer("min.insync.replicas")) }

  // Segments.

  public var segmentBytes: Int {
    if case .integer(let bytes) = value("internal.segment.bytes") { return Int(bytes) }
    return Int(integer("segment.bytes"))
  }
  public var segmentMs: Int64 { integer("segment.ms") }
  public var segmentJitterMs: Int64 { integer("segment.jitter.ms") }
  /// Whether room for a new segment is set aside on the disk.
  public var preallocate: Bool { value("preallocate") == .boolean(true) }
  public var indexIntervalBytes: Int { Int(integer("index.interval.bytes")) }
  public var segmentIndexBytes: Int { Int(integer("segment.index.bytes")) }

  // Flushing.

  public var flushMessages: Int64 { integer("flush.messages") }
  public var flushMs: Int64 { integer("flush.ms") }
  /// Whether acks=all waits for the disk.
  public var acksAllDurable: Bool { value("sluice.acks.all.durable") == .boolean(true) }

  // Retention and compaction.

  public var isCompacted: Bool { cleanupPolicies.contains("compact") }
  public var isDeleted: Bool { cleanupPolicies.contains("delete") }
  /// nil is no limit.
  public var retentionMs: Int64? { limit("retention.ms") }
  /// nil is no limit.
  public var retentionBytes: Int64? { limit("retention.bytes") }
  public var fileDeleteDelayMs: Int64 { integer("file.delete.delay.ms") }
  public var deleteRetentionMs: Int64 { integer("delete.retention.ms") }
  public var minCompactionLagMs: Int64 { integer("min.compaction.lag.ms") }
  public var maxCompactionLagMs: Int64 { integer("max.compaction.lag.ms") }
  /// From 0 to 1.
  public var minCleanableDirtyRatio: Double {
    guard case .double(let ratio) = value("min.cleanable.dirty.ratio") else { return 0.5 }
    return ratio
  }

  private var cleanupPolicies: [String] {
    guard case .list(let policies) = value("cleanup.policy") else { return [] }
    return policies
  }

  private func limit(_ name: String) -> Int64? {
    let number = integer(name)
    return number < 0 ? nil : number
  }
}
