// Transactions, replication, and the controller quorum.

extension BrokerKeys {
  static let transactions: [ConfigurationKey] = [
    unserved("transaction.max.timeout.ms", 900_000, "The longest timeout of a transaction."),
    unserved(
      "transactional.id.expiration.ms", 604_800_000, "An unused transactional id is forgotten then."
    ),
    unserved("transaction.state.log.num.partitions", 50, "Partitions of __transaction_state."),
    unserved(
      "transaction.state.log.segment.bytes", 104_857_600,
      "Segments of __transaction_state are at most this long."),
    unserved("transaction.state.log.min.isr", 2, "min.insync.replicas of __transaction_state."),
    unserved(
      "transaction.state.log.load.buffer.size", 5_242_880,
      "Bytes read at once when transactions are loaded."),
    .short(
      "transaction.state.log.replication.factor", 3, .atLeast(1), .readOnly,
      .accepted(.singleBroker), "Replicas of __transaction_state."),
    unserved(
      "transaction.abort.timed.out.transaction.cleanup.interval.ms", 10_000,
      "How often to look for transactions that took too long."),
    unserved(
      "transaction.remove.expired.transaction.cleanup.interval.ms", 3_600_000,
      "How often to look for transactional ids to forget."),
    .boolean(
      "transaction.partition.verification.enable", true, .clusterWide, .accepted(.notServedYet),
      "Whether a transactional write is checked against the transaction."),
    .boolean(
      "transaction.two.phase.commit.enable", false, .readOnly, .accepted(.notServedYet),
      "Whether transactions may take part in a two-phase commit."),
    .int(
      "add.partitions.to.txn.retry.backoff.ms", 20, .atLeast(1), .readOnly,
      .accepted(.notServedYet), "Pause before a partition is added to a transaction again."),
    .int(
      "add.partitions.to.txn.retry.backoff.max.ms", 100, .atLeast(0), .readOnly,
      .accepted(.notServedYet), "How long adding a partition to a transaction is tried."),
  ]

  private static func unserved(
    _ name: String, _ value: Int64, _ documentation: String
  ) -> ConfigurationKey {
    .int(name, value, .atLeast(1), .readOnly, .accepted(.notServedYet), documentation)
  }

  static let replication: [ConfigurationKey] = [
    .boolean(
      "unclean.leader.election.enable", false, .clusterWide, .accepted(.singleBroker),
      "Whether a replica that lags may become leader."),
    .boolean(
      "auto.leader.rebalance.enable", true, .readOnly, .accepted(.singleBroker),
      "Whether leaders move back to preferred replicas."),
    .long(
      "leader.imbalance.check.interval.seconds", 300, .atLeast(1), .readOnly,
      .accepted(.singleBroker), "How often to look whether leaders should move back."),
    replica("num.replica.fetchers", 1, .any, .clusterWide, "Threads that fetch from each leader."),
    replica("replica.fetch.min.bytes", 1, .any, .readOnly, "Bytes that a replica waits for."),
    replica("replica.fetch.wait.max.ms", 500, .any, .readOnly, "How long a replica's fetch waits."),
    replica(
      "replica.fetch.max.bytes", 1_048_576, .atLeast(0), .readOnly,
      "Bytes that a replica fetches of a partition."),
    replica(
      "replica.fetch.response.max.bytes", 10_485_760, .atLeast(0), .readOnly,
      "Bytes that a replica fetches at once."),
    replica(
      "replica.fetch.backoff.ms", 1_000, .atLeast(0), .readOnly,
      "Pause of a replica after a failed fetch."),
    replica(
      "replica.socket.timeout.ms", 30_000, .any, .readOnly, "Timeout of a replica's requests."),
    replica(
      "replica.socket.receive.buffer.bytes", 65_536, .any, .readOnly,
      "SO_RCVBUF of a replica's sockets."),
    .long(
      "replica.lag.time.max.ms", 30_000, .any, .readOnly, .accepted(.singleBroker),
      "A replica that lags for longer is out of sync."),
    .long(
      "replica.high.watermark.checkpoint.interval.ms", 5_000, .any, .readOnly,
      .accepted(.singleBroker), "How often the high watermarks are written down."),
    .text(
      .string, "replica.selector.class", nil, .any, .readOnly, .accepted(.java),
      "A class that chooses the replica to read from."),
    .boolean(
      "controlled.shutdown.enable", true, .readOnly, .accepted(.singleBroker),
      "Whether leaders move away before a broker stops."),
    replica(
      "fetch.purgatory.purge.interval.requests", 1_000, .any, .readOnly,
      "Requests between clean-ups of waiting fetches."),
    replica(
      "producer.purgatory.purge.interval.requests", 1_000, .any, .readOnly,
      "Requests between clean-ups of waiting produce requests."),
    replica(
      "delete.records.purgatory.purge.interval.requests", 1, .any, .readOnly,
      "Requests between clean-ups of waiting deletions of records."),
  ]

  private static func replica(
    _ name: String, _ value: Int64, _ rule: ConfigurationRule, _ mode: UpdateMode,
    _ documentation: String
  ) -> ConfigurationKey {
    .int(name, value, rule, mode, .accepted(.singleBroker), documentation)
  }

  static let controller: [ConfigurationKey] = [
    .text(
      .list, "process.roles", "", .listOf(["broker", "controller"]), .readOnly,
      .accepted(.noController), "What a Kafka process is: broker, controller, or both."),
    .text(
      .list, "controller.quorum.voters", "", .any, .readOnly, .accepted(.noController),
      "The controllers that vote."),
    .text(
      .list, "controller.quorum.bootstrap.servers", "", .any, .readOnly, .accepted(.noController),
      "Where to find the controllers."),
    quorum("controller.quorum.election.backoff.max.ms", 1_000, "Pause between elections."),
    quorum("controller.quorum.election.timeout.ms", 1_000, "How long an election may take."),
    quorum("controller.quorum.fetch.timeout.ms", 2_000, "When a silent leader is given up."),
    quorum("controller.quorum.append.linger.ms", 25, "How long the leader gathers writes."),
    quorum("controller.quorum.request.timeout.ms", 2_000, "Timeout of requests in the quorum."),
    quorum("controller.quorum.retry.backoff.ms", 20, "Pause before a request is sent again."),
    quorum("controller.socket.timeout.ms", 30_000, .any, "Timeout of requests to brokers."),
    quorum("controller.performance.sample.period.ms", 60_000, "Time between performance samples."),
    quorum(
      "controller.performance.always.log.threshold.ms", 2_000,
      "Slower controller events are logged."),
    quorum("broker.heartbeat.interval.ms", 2_000, .any, "Time between heartbeats of a broker."),
    quorum("broker.session.timeout.ms", 9_000, .any, "A broker silent for this long is out."),
    quorum(
      "initial.broker.registration.timeout.ms", 60_000, .any,
      "How long a broker tries to register."),
    quorum("metadata.max.idle.interval.ms", 500, "Time between empty metadata records."),
    quorum(
      "metadata.log.segment.bytes", 1_073_741_824, .atLeast(8_388_608),
      "Segments of the metadata log are at most this long."),
    .text(
      .string, "metadata.log.dir", nil, .any, .readOnly, .used,
      "The directory with the metadata; without it the first of log.dirs."),
    metadata(
      "metadata.log.max.record.bytes.between.snapshots", 20_971_520, .atLeast(1),
      "Bytes between snapshots of the metadata."),
    metadata(
      "metadata.log.max.snapshot.interval.ms", 3_600_000, .atLeast(0),
      "Time between snapshots of the metadata."),
    metadata("metadata.log.segment.ms", 604_800_000, .any, "Age at which the metadata log rolls."),
    metadata("metadata.max.retention.bytes", 104_857_600, .any, "Bytes of metadata that are kept."),
    metadata("metadata.max.retention.ms", 604_800_000, .any, "Time that metadata is kept."),
    metadata(
      "server.max.startup.time.ms", 9_223_372_036_854_775_807, .atLeast(0),
      "How long a start may take."),
  ]

  private static func quorum(
    _ name: String, _ value: Int64, _ documentation: String
  ) -> ConfigurationKey {
    quorum(name, value, .atLeast(0), documentation)
  }

  private static func quorum(
    _ name: String, _ value: Int64, _ rule: ConfigurationRule, _ documentation: String
  ) -> ConfigurationKey {
    .int(name, value, rule, .readOnly, .accepted(.noController), documentation)
  }

  private static func metadata(
    _ name: String, _ value: Int64, _ rule: ConfigurationRule, _ documentation: String
  ) -> ConfigurationKey {
    .long(name, value, rule, .readOnly, .accepted(.noController), documentation)
  }
}
