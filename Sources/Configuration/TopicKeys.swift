// Every topic configuration of Apache Kafka 4.1, and the broker configurations that stand in for
// one that a topic does not set (Kafka's `ServerTopicConfigSynonyms`).

/// A topic configuration.
public struct TopicKey: Sendable {
  public let key: ConfigurationKey
  /// The broker configurations to look at, in order, with what to multiply their values by.
  let synonyms: [(name: String, factor: Int64)]

  public var name: String { key.name }
  /// Whether clients are not told of it.
  public var isInternal: Bool { name.hasPrefix("internal.") }
}

/// The topic configurations.
public enum TopicKeys {
  /// The configuration called `name`, or nil.
  public static func named(_ name: String) -> TopicKey? { byName[name] }

  private static let byName: [String: TopicKey] = Dictionary(
    uniqueKeysWithValues: all.map { ($0.name, $0) })

  /// The broker configurations that some topic configuration falls back to.
  public static let synonyms = Set(all.flatMap { $0.synonyms.map(\.name) })

  private static let hour: Int64 = 3_600_000
  private static let minute: Int64 = 60_000

  /// All of them, in alphabetical order, as DescribeConfigs lists them.
  public static let all: [TopicKey] = [
    of("cleanup.policy", "log.cleanup.policy"),
    of("compression.gzip.level", "compression.gzip.level"),
    of("compression.lz4.level", "compression.lz4.level"),
    of("compression.type", "compression.type"),
    of("compression.zstd.level", "compression.zstd.level"),
    of("delete.retention.ms", "log.cleaner.delete.retention.ms"),
    of("file.delete.delay.ms", "log.segment.delete.delay.ms"),
    of("flush.messages", "log.flush.interval.messages"),
    TopicKey(
      key: .long(
        "flush.ms", 9_223_372_036_854_775_807, .atLeast(0), .readOnly, .used,
        "Flush a partition when a record is this old."),
      synonyms: [("log.flush.interval.ms", 1), ("log.flush.scheduler.interval.ms", 1)]),
    alone(
      .text(
        .list, "follower.replication.throttled.replicas", "", .throttledReplicas, .readOnly,
        .accepted(.singleBroker), "Replicas whose followers are throttled.")),
    of("index.interval.bytes", "log.index.interval.bytes"),
    alone(
      .text(
        .list, "leader.replication.throttled.replicas", "", .throttledReplicas, .readOnly,
        .accepted(.singleBroker), "Replicas whose leaders are throttled.")),
    alone(
      .int(
        "internal.segment.bytes", nil, .atLeast(1), .readOnly, .used,
        "Instead of segment.bytes, below its minimum: for tests only.")),
    of("local.retention.bytes", "log.local.retention.bytes"),
    of("local.retention.ms", "log.local.retention.ms"),
    of("max.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms"),
    of("max.message.bytes", "message.max.bytes"),
    of("message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms"),
    of("message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms"),
    of("message.timestamp.type", "log.message.timestamp.type"),
    of("min.cleanable.dirty.ratio", "log.cleaner.min.cleanable.ratio"),
    of("min.compaction.lag.ms", "log.cleaner.min.compaction.lag.ms"),
    of("min.insync.replicas", "min.insync.replicas"),
    of("preallocate", "log.preallocate"),
    alone(
      .boolean(
        "remote.log.copy.disable", false, .readOnly, .accepted(.notServedYet),
        "Whether nothing more is copied to tiered storage.")),
    alone(
      .boolean(
        "remote.log.delete.on.disable", false, .readOnly, .accepted(.notServedYet),
        "Whether switching tiered storage off deletes what is there.")),
    alone(
      .boolean(
        "remote.storage.enable", false, .readOnly,
        .refused(
          "Tiered Storage functionality is disabled in the broker. Topic cannot be configured "
            + "with remote log storage."), "Whether the topic has tiered storage.")),
    of("retention.bytes", "log.retention.bytes"),
    TopicKey(
      key: .long(
        "retention.ms", 604_800_000, .atLeast(-1), .readOnly, .used,
        "Segments older than this are deleted; -1 is never."),
      synonyms: [
        ("log.retention.ms", 1), ("log.retention.minutes", minute), ("log.retention.hours", hour),
      ]),
    of("segment.bytes", "log.segment.bytes"),
    of("segment.index.bytes", "log.index.size.max.bytes"),
    TopicKey(
      key: .long(
        "segment.jitter.ms", 0, .atLeast(0), .readOnly, .used,
        "At most this much is taken off the time to roll."),
      synonyms: [("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", hour)]),
    TopicKey(
      key: .long(
        "segment.ms", 604_800_000, .atLeast(1), .readOnly, .used,
        "A segment gets no records after this time."),
      synonyms: [("log.roll.ms", 1), ("log.roll.hours", hour)]),
    // Ours.
    of("sluice.acks.all.durable", "sluice.acks.all.durable"),
    of("unclean.leader.election.enable", "unclean.leader.election.enable"),
  ]

  /// A configuration that is the broker's of another name: type, default, rule, effect and meaning
  /// are the same.
  private static func of(_ name: String, _ broker: String) -> TopicKey {
    guard let key = BrokerKeys.named(broker) else {
      preconditionFailure("no broker configuration is called \(broker)")
    }
    return TopicKey(
      key: ConfigurationKey(
        name: name, type: key.type, defaultText: key.defaultText, rule: key.rule,
        updateMode: .readOnly, effect: key.effect, documentation: key.documentation),
      synonyms: [(broker, 1)])
  }

  private static func alone(_ key: ConfigurationKey) -> TopicKey {
    TopicKey(key: key, synonyms: [])
  }
}
