// The configurations that Sluice acts on, typed. Units are in the names, as in Kafka's.

import Model

extension BrokerConfiguration {
  // Every range fits: an int is checked to be one when it is read.
  private func int(_ name: String) -> Int {
    guard let number = values.integer(name) else { preconditionFailure("\(name) has no default") }
    return Int(number)
  }

  private func int32(_ name: String) -> Int32 { Int32(int(name)) }

  private func long(_ name: String) -> Int64 { Int64(int(name)) }

  /// The rack that clients are told, if any.
  public var brokerRack: String? { values.string("broker.rack") }

  /// The directory below which the coordinator keeps its metadata.
  public var metadataLogDir: String { values.string("metadata.log.dir") ?? logDirs[0] }

  // What a process tells about itself.

  /// `trace`, `debug`, `info`, `notice`, `warning`, `error` or `critical`.
  public var sluiceLogLevel: String { values.string("sluice.log.level") ?? "info" }
  /// nil writes no statistics.
  public var sluiceStatisticsIntervalMs: Int64? {
    let ms = long("sluice.statistics.interval.ms")
    return ms == 0 ? nil : ms
  }

  // Records.

  /// Compressed batches are opened to check their records.
  public var sluiceCompressedRecordsCheck: Bool {
    values.boolean("sluice.compressed.records.check")
  }

  // Connections and requests.

  /// nil leaves the size to the system.
  public var socketSendBufferBytes: Int? { Self.unlessNegative(int("socket.send.buffer.bytes")) }
  /// nil leaves the size to the system.
  public var socketReceiveBufferBytes: Int? {
    Self.unlessNegative(int("socket.receive.buffer.bytes"))
  }
  public var socketRequestMaxBytes: Int { int("socket.request.max.bytes") }
  /// nil leaves it to the memory of the machine.
  public var queuedMaxRequestBytes: Int? { Self.unlessNegative(int("queued.max.request.bytes")) }
  public var socketListenBacklogSize: Int { int("socket.listen.backlog.size") }
  public var maxConnections: Int { int("max.connections") }
  public var maxConnectionsPerIp: Int { int("max.connections.per.ip") }
  /// nil never closes an idle connection.
  public var connectionsMaxIdleMs: Int64? { Self.unlessNegative(long("connections.max.idle.ms")) }
  public var fetchMaxBytes: Int { int("fetch.max.bytes") }
  public var maxIncrementalFetchSessionCacheSlots: Int {
    int("max.incremental.fetch.session.cache.slots")
  }
  public var maxRequestPartitionSizeLimit: Int { int("max.request.partition.size.limit") }

  // Topics.

  public var numPartitions: Int32 { int32("num.partitions") }
  public var defaultReplicationFactor: Int32 { int32("default.replication.factor") }
  public var autoCreateTopicsEnable: Bool { values.boolean("auto.create.topics.enable") }
  public var deleteTopicEnable: Bool { values.boolean("delete.topic.enable") }

  // The log. Per topic these are in `TopicConfiguration`.

  public var messageMaxBytes: Int { int("message.max.bytes") }
  public var logSegmentBytes: Int { int("log.segment.bytes") }
  public var logIndexIntervalBytes: Int { int("log.index.interval.bytes") }
  public var logIndexSizeMaxBytes: Int { int("log.index.size.max.bytes") }
  public var logDirFreeLowBytes: Int64 { long("sluice.log.dir.free.low.bytes") }
  public var logDirFreeLowPercent: Int64 { long("sluice.log.dir.free.low.percent") }
  public var logDirBallastBytes: Int64 { long("sluice.log.dir.ballast.bytes") }
  public var logRetentionCheckIntervalMs: Int64 { long("log.retention.check.interval.ms") }
  public var logInitialTaskDelayMs: Int64 { long("log.initial.task.delay.ms") }
  public var logFlushOffsetCheckpointIntervalMs: Int64 {
    long("log.flush.offset.checkpoint.interval.ms")
  }
  /// nil: not set.
  public var logFlushSchedulerIntervalMs: Int64? {
    values.isSet("log.flush.scheduler.interval.ms")
      ? long("log.flush.scheduler.interval.ms") : nil
  }
  public var producerIdExpirationMs: Int64 { long("producer.id.expiration.ms") }

  // Groups.

  public var groupMinSessionTimeoutMs: Int32 { int32("group.min.session.timeout.ms") }
  public var groupMaxSessionTimeoutMs: Int32 { int32("group.max.session.timeout.ms") }
  public var groupInitialRebalanceDelayMs: Int32 { int32("group.initial.rebalance.delay.ms") }
  public var groupMaxSize: Int { int("group.max.size") }
  public var offsetMetadataMaxBytes: Int { int("offset.metadata.max.bytes") }
  public var offsetsTopicNumPartitions: Int32 { int32("offsets.topic.num.partitions") }
  public var offsetsTopicSegmentBytes: Int { int("offsets.topic.segment.bytes") }
  public var offsetsTopicCompression: CompressionType {
    CompressionType(rawValue: UInt8(int("offsets.topic.compression.codec"))) ?? .none
  }
  public var offsetsRetentionMs: Int64 { long("offsets.retention.minutes") * 60_000 }
  public var offsetsRetentionCheckIntervalMs: Int64 { long("offsets.retention.check.interval.ms") }

  private static func unlessNegative<T: SignedInteger>(_ number: T) -> T? {
    number < 0 ? nil : number
  }
}
