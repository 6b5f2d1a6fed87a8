// The broker itself, quotas, metrics, tiered storage, and names that Kafka no longer has.

extension BrokerKeys {
  static let server: [ConfigurationKey] = [
    .int(
      "node.id", nil, .atLeast(0), .readOnly, .used,
      "The id of this broker; 1 when nothing says so."),
    .int(
      "broker.id", -1, .atLeast(-1), .readOnly, .used, "The older name of node.id; -1: as node.id."),
    .text(
      .string, "broker.rack", nil, .any, .readOnly, .used, "The rack that clients are told."),
    .int(
      "num.network.threads", 3, .atLeast(1), .clusterWide, .accepted(.processes),
      "Threads for the network; see --frontends."),
    .int(
      "num.io.threads", 8, .atLeast(1), .clusterWide, .accepted(.processes),
      "Threads for requests; see --fetchers."),
    .int(
      "background.threads", 10, .atLeast(1), .clusterWide, .accepted(.processes),
      "Threads for other work."),
    .text(
      .string, "authorizer.class.name", "", .any, .readOnly,
      .refused("access control is not served yet, the broker would be open to everyone"),
      "A class that decides who may do what."),
    .text(
      .class, "principal.builder.class",
      "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder", .any,
      .perBroker, .accepted(.java), "A class that names the user of a connection."),
    .text(
      .list, "config.providers", "", .any, .readOnly,
      .refused("values are not looked up elsewhere; write them out"),
      "Classes that look up values elsewhere."),
    .text(
      .list, "kafka.metrics.reporters", "", .any, .readOnly, .accepted(.java),
      "Classes that report metrics."),
    .int(
      "kafka.metrics.polling.interval.secs", 10, .atLeast(1), .readOnly, .accepted(.java),
      "How often those classes poll."),
    .text(
      .list, "metric.reporters", "org.apache.kafka.common.metrics.JmxReporter", .any, .clusterWide,
      .accepted(.java), "Classes that report metrics."),
    .int(
      "metrics.num.samples", 2, .atLeast(1), .readOnly, .accepted(.java), "Samples of a metric."),
    .long(
      "metrics.sample.window.ms", 30_000, .atLeast(1), .readOnly, .accepted(.java),
      "The time that a sample spans."),
    .text(
      .string, "metrics.recording.level", "INFO", .any, .readOnly, .accepted(.java),
      "How many metrics are recorded."),
    .int(
      "telemetry.max.bytes", 1_048_576, .atLeast(1), .readOnly, .accepted(.notServedYet),
      "The most bytes of metrics that a client may push."),
    .boolean(
      "unstable.api.versions.enable", false, .readOnly, .accepted(.otherDesign),
      "Whether API versions under development are offered."),
    .boolean(
      "unstable.feature.versions.enable", false, .readOnly, .accepted(.otherDesign),
      "Whether feature versions under development are offered."),
  ]

  static let quotas: [ConfigurationKey] =
    [
      .text(
        .class, "client.quota.callback.class", nil, .any, .readOnly, .accepted(.java),
        "A class that sets the quotas of clients.")
    ]
    + ["", "replication.", "alter.log.dirs.replication.", "controller."].flatMap { kind in
      [
        ConfigurationKey.int(
          "\(kind)quota.window.num", 11, .atLeast(1), .readOnly, .accepted(.notServedYet),
          "Samples of a quota."),
        .int(
          "\(kind)quota.window.size.seconds", 1, .atLeast(1), .readOnly, .accepted(.notServedYet),
          "The time that a sample of a quota spans."),
      ]
    }

  static let tieredStorage: [ConfigurationKey] = [
    .boolean(
      "remote.log.storage.system.enable", false, .readOnly,
      .refused("tiered storage is not served"), "Whether there is tiered storage."),
    remote(
      .string, "remote.log.metadata.manager.class.name",
      "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
      .notEmpty, "The class that keeps the metadata of tiered storage."),
    remote(.string, "remote.log.metadata.manager.class.path", nil, .any, "Where that class is."),
    remote(
      .string, "remote.log.metadata.manager.impl.prefix", "rlmm.config.", .notEmpty,
      "The prefix of that class's own settings."),
    remote(
      .string, "remote.log.metadata.manager.listener.name", nil, .notEmpty,
      "The listener that that class uses."),
    remote(
      .string, "remote.log.storage.manager.class.name", nil, .notEmpty,
      "The class that stores segments elsewhere."),
    remote(.string, "remote.log.storage.manager.class.path", nil, .any, "Where that class is."),
    remote(
      .string, "remote.log.storage.manager.impl.prefix", "rsm.config.", .notEmpty,
      "The prefix of that class's own settings."),
    remote(.int, "remote.log.manager.thread.pool.size", "2", .atLeast(1), "Threads of followers."),
    remote(
      .int, "remote.log.manager.copier.thread.pool.size", "10", .atLeast(1), "Threads that copy."),
    remote(
      .int, "remote.log.manager.expiration.thread.pool.size", "10", .atLeast(1),
      "Threads that delete."),
    remote(.int, "remote.log.reader.threads", "10", .atLeast(1), "Threads that read."),
    remote(.int, "remote.log.reader.max.pending.tasks", "100", .atLeast(1), "Reads that may wait."),
    remote(
      .long, "remote.log.manager.task.interval.ms", "30000", .atLeast(1), "Time between copies."),
    remote(
      .long, "remote.log.manager.task.retry.backoff.ms", "500", .atLeast(1),
      "Pause before a failed copy is tried again."),
    remote(
      .long, "remote.log.manager.task.retry.backoff.max.ms", "30000", .atLeast(1),
      "The longest such pause."),
    remote(
      .double, "remote.log.manager.task.retry.jitter", "0.2", .any, "How much such pauses vary."),
    remote(
      .long, "remote.log.manager.copy.max.bytes.per.second", "9223372036854775807", .atLeast(1),
      "The most bytes that are copied a second."),
    remote(
      .int, "remote.log.manager.copy.quota.window.num", "11", .atLeast(1), "Samples of that."),
    remote(
      .int, "remote.log.manager.copy.quota.window.size.seconds", "1", .atLeast(1),
      "The time that such a sample spans."),
    remote(
      .long, "remote.log.manager.fetch.max.bytes.per.second", "9223372036854775807", .atLeast(1),
      "The most bytes that are read a second."),
    remote(
      .int, "remote.log.manager.fetch.quota.window.num", "11", .atLeast(1), "Samples of that."),
    remote(
      .int, "remote.log.manager.fetch.quota.window.size.seconds", "1", .atLeast(1),
      "The time that such a sample spans."),
    remote(
      .long, "remote.log.index.file.cache.total.size.bytes", "1073741824", .atLeast(1),
      "The size of the cache of indexes."),
    remote(
      .int, "remote.log.metadata.custom.metadata.max.bytes", "128", .atLeast(0),
      "The most bytes of a class's own metadata."),
    remote(.int, "remote.fetch.max.wait.ms", "500", .atLeast(1), "How long a remote fetch waits."),
    remote(
      .long, "remote.list.offsets.request.timeout.ms", "30000", .atLeast(1),
      "How long a remote ListOffsets waits."),
  ]

  private static func remote(
    _ type: ConfigurationType, _ name: String, _ value: String?, _ rule: ConfigurationRule,
    _ documentation: String
  ) -> ConfigurationKey {
    .text(type, name, value, rule, .readOnly, .accepted(.notServedYet), documentation)
  }

  /// Names of Kafka 3 that stand in many files and mean nothing in Kafka 4.
  static let removed: [ConfigurationKey] = [
    "zookeeper.connect", "zookeeper.connection.timeout.ms", "zookeeper.session.timeout.ms",
    "zookeeper.set.acl", "zookeeper.max.in.flight.requests", "zookeeper.metadata.migration.enable",
    "inter.broker.protocol.version", "log.message.format.version",
    "log.message.timestamp.difference.max.ms", "log.message.downconversion.enable",
    "broker.id.generation.enable", "reserved.broker.max.id", "control.plane.listener.name",
    "controlled.shutdown.max.retries", "controlled.shutdown.retry.backoff.ms",
    "delegation.token.master.key", "offsets.commit.required.acks", "auto.include.jmx.reporter",
    "group.coordinator.new.enable", "leader.imbalance.per.broker.percentage",
  ].map {
    .text(.string, $0, nil, .any, .readOnly, .accepted(.removed), "Not a setting of Kafka 4.")
  }
}
