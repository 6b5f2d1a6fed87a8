// Consumer groups and their offsets; the newer kinds of groups: consumer, share and streams.

extension BrokerKeys {
  static let groups: [ConfigurationKey] = [
    .int(
      "group.min.session.timeout.ms", 6_000, .any, .readOnly, .used,
      "The shortest session timeout that a member may ask for."),
    .int(
      "group.max.session.timeout.ms", 1_800_000, .any, .readOnly, .used,
      "The longest session timeout that a member may ask for."),
    .int(
      "group.initial.rebalance.delay.ms", 3_000, .any, .readOnly, .used,
      "How long a new group waits for more members before its first rebalance."),
    .int(
      "group.max.size", 2_147_483_647, .atLeast(1), .readOnly, .used,
      "How many members a group may have."),
    .int(
      "offset.metadata.max.bytes", 4_096, .any, .readOnly, .used,
      "The longest metadata of an offset commit."),
    .int(
      "offsets.topic.num.partitions", 50, .atLeast(1), .readOnly, .used,
      "Partitions of __consumer_offsets; fixed when the topic is created."),
    .int(
      "offsets.topic.segment.bytes", 104_857_600, .atLeast(1), .readOnly, .used,
      "Segments of __consumer_offsets are at most this long."),
    .int(
      "offsets.topic.compression.codec", 0, .between(0, 4), .readOnly, .used,
      "The codec of __consumer_offsets: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."),
    .short(
      "offsets.topic.replication.factor", 3, .atLeast(1), .readOnly, .accepted(.singleBroker),
      "Replicas of __consumer_offsets."),
    .int(
      "offsets.retention.minutes", 10_080, .atLeast(1), .readOnly, .used,
      "Offsets of a group without members are kept this long."),
    .long(
      "offsets.retention.check.interval.ms", 600_000, .atLeast(1), .readOnly, .used,
      "How often to look for offsets to forget."),
    .int(
      "offsets.commit.timeout.ms", 5_000, .atLeast(1), .readOnly, .accepted(.singleBroker),
      "How long a commit waits for replicas."),
    .int(
      "offsets.load.buffer.size", 5_242_880, .atLeast(1), .readOnly, .accepted(.otherDesign),
      "Bytes read at once when offsets are loaded."),
    .int(
      "group.coordinator.threads", 4, .atLeast(1), .readOnly, .accepted(.processes),
      "Threads of the group coordinator."),
    .int(
      "group.coordinator.append.linger.ms", 5, .atLeast(0), .readOnly, .accepted(.otherDesign),
      "How long the coordinator gathers writes."),
    .text(
      .list, "group.coordinator.rebalance.protocols", "classic,consumer,streams",
      .listOf(["consumer", "classic", "share", "streams"]), .readOnly, .accepted(.notServedYet),
      "The kinds of groups; classic ones are served."),
  ]

  static let otherGroups: [ConfigurationKey] =
    [
      .text(
        .list, "group.consumer.assignors", "uniform,range", .any, .readOnly,
        .accepted(.notServedYet), "Assignors of consumer groups on the broker."),
      .text(
        .string, "group.consumer.migration.policy", "bidirectional",
        .oneOfIgnoringCase(["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]), .readOnly,
        .accepted(.notServedYet), "Which changes between classic and consumer groups may happen."),
      unserved(
        "group.consumer.max.size", 2_147_483_647, .atLeast(1), "Members of a consumer group."),
      .text(
        .list, "group.share.assignors", "simple", .any, .readOnly, .accepted(.notServedYet),
        "Assignors of share groups on the broker."),
      unserved(
        "group.share.delivery.count.limit", 5, .between(2, 10), "Tries to deliver a record."),
      unserved("group.share.max.share.sessions", 2_000, .atLeast(1), "Share sessions of a broker."),
      unserved("group.share.max.size", 200, .between(1, 1_000), "Members of a share group."),
      unserved(
        "group.share.record.lock.duration.ms", 30_000, .between(1_000, 3_600_000),
        "How long a record is locked for a member."),
      unserved(
        "group.share.min.record.lock.duration.ms", 15_000, .between(1_000, 30_000),
        "The shortest lock on a record."),
      unserved(
        "group.share.max.record.lock.duration.ms", 60_000, .between(30_000, 3_600_000),
        "The longest lock on a record."),
      unserved(
        "group.share.partition.max.record.locks", 2_000, .between(100, 10_000),
        "Records of a partition that may be locked at once."),
      unserved("group.streams.max.size", 2_147_483_647, .atLeast(1), "Members of a streams group."),
      unserved(
        "group.streams.num.standby.replicas", 0, .atLeast(0), "Standby replicas of each task."),
      unserved(
        "group.streams.max.standby.replicas", 2, .atLeast(0), "The most standby replicas of a task."
      ),
      unserved(
        "share.coordinator.append.linger.ms", 5, .atLeast(0),
        "How long the share coordinator gathers writes."),
      unserved(
        "share.coordinator.load.buffer.size", 5_242_880, .atLeast(1),
        "Bytes read at once when share state is loaded."),
      unserved(
        "share.coordinator.snapshot.update.records.per.snapshot", 500, .atLeast(0),
        "Updates of share state between snapshots."),
      unserved(
        "share.coordinator.cold.partition.snapshot.interval.ms", 300_000, .atLeast(1),
        "How often idle share state is written again."),
      unserved(
        "share.coordinator.state.topic.prune.interval.ms", 300_000, .atLeast(1),
        "How often old share state is removed."),
      unserved("share.coordinator.threads", 1, .atLeast(1), "Threads of the share coordinator."),
      unserved(
        "share.coordinator.write.timeout.ms", 5_000, .atLeast(1),
        "How long a write of share state waits for replicas."),
      unserved(
        "share.coordinator.state.topic.compression.codec", 0, .any,
        "The codec of the share state topic."),
      unserved(
        "share.coordinator.state.topic.num.partitions", 50, .atLeast(1),
        "Partitions of the share state topic."),
      unserved(
        "share.coordinator.state.topic.segment.bytes", 104_857_600, .atLeast(1),
        "Segments of the share state topic are at most this long."),
      .short(
        "share.coordinator.state.topic.min.isr", 2, .atLeast(1), .readOnly,
        .accepted(.notServedYet), "min.insync.replicas of the share state topic."),
      .short(
        "share.coordinator.state.topic.replication.factor", 3, .atLeast(1), .readOnly,
        .accepted(.notServedYet), "Replicas of the share state topic."),
      unserved(
        "share.fetch.purgatory.purge.interval.requests", 1_000, .any,
        "Requests between clean-ups of waiting share fetches."),
    ] + ["consumer", "share", "streams"].flatMap(timeouts)

  /// The heartbeat interval and session timeout of one kind of group, with their bounds.
  private static func timeouts(of kind: String) -> [ConfigurationKey] {
    [
      ("heartbeat.interval.ms", 5_000, "Time between heartbeats"),
      ("min.heartbeat.interval.ms", 5_000, "The shortest time between heartbeats"),
      ("max.heartbeat.interval.ms", 15_000, "The longest time between heartbeats"),
      ("session.timeout.ms", 45_000, "A member that is silent for this long is out"),
      ("min.session.timeout.ms", 45_000, "The shortest session timeout"),
      ("max.session.timeout.ms", 60_000, "The longest session timeout"),
    ].map { name, value, meaning in
      unserved("group.\(kind).\(name)", value, .atLeast(1), "\(meaning) (\(kind) groups).")
    }
  }

  private static func unserved(
    _ name: String, _ value: Int64, _ rule: ConfigurationRule, _ documentation: String
  ) -> ConfigurationKey {
    .int(name, value, rule, .readOnly, .accepted(.notServedYet), documentation)
  }
}
