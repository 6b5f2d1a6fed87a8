// Listeners, connections and requests; topics as they are created.

extension BrokerKeys {
  static let network: [ConfigurationKey] = [
    .text(
      .string, "listeners", "PLAINTEXT://:9092", .any, .perBroker, .used,
      "Where to listen: NAME://host:port, separated by commas; an empty host is all interfaces. "
        + "Without this setting Sluice listens on 127.0.0.1:9092 only."),
    .text(
      .string, "advertised.listeners", nil, .any, .readOnly, .used,
      "What clients are told to connect to. Without it, the address that the client came in on."),
    .text(
      .string, "listener.security.protocol.map",
      "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", .any,
      .perBroker, .used, "The security protocol of each listener name: NAME:PROTOCOL,…"),
    .text(
      .string, "controller.listener.names", nil, .any, .readOnly, .used,
      "Listener names that Kafka uses for its controllers; listeners of these names are not opened."
    ),
    .text(
      .string, "inter.broker.listener.name", nil, .any, .readOnly, .accepted(.singleBroker),
      "The listener that brokers use among themselves."),
    .text(
      .string, "security.inter.broker.protocol", "PLAINTEXT",
      .oneOf(["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), .readOnly,
      .accepted(.singleBroker), "The security protocol that brokers use among themselves."),
    .text(
      .string, "early.start.listeners", nil, .any, .readOnly, .accepted(.noController),
      "Listeners that start before the authorizer does."),
    .int(
      "socket.send.buffer.bytes", 102_400, .atLeast(-1), .readOnly, .used,
      "SO_SNDBUF of client sockets; -1 leaves it to the system."),
    .int(
      "socket.receive.buffer.bytes", 102_400, .atLeast(-1), .readOnly, .used,
      "SO_RCVBUF of client sockets; -1 leaves it to the system."),
    .int(
      "socket.request.max.bytes", 104_857_600, .atLeast(1), .readOnly, .used,
      "The largest request; a longer one ends the connection."),
    .int(
      "socket.listen.backlog.size", 50, .atLeast(1), .readOnly, .used,
      "How many connections may wait to be accepted."),
    .int(
      "max.connections", 2_147_483_647, .atLeast(0), .clusterWide, .used,
      "How many connections there may be at once."),
    .int(
      "max.connections.per.ip", 2_147_483_647, .atLeast(0), .clusterWide, .used,
      "How many connections there may be at once from one address."),
    .text(
      .string, "max.connections.per.ip.overrides", "", .any, .clusterWide,
      .accepted(.notEnforcedYet), "Other limits for some addresses: address:limit,…"),
    .int(
      "max.connection.creation.rate", 2_147_483_647, .atLeast(0), .clusterWide,
      .accepted(.notEnforcedYet), "How many connections are accepted a second."),
    .long(
      "connections.max.idle.ms", 600_000, .any, .readOnly, .used,
      "A connection without a request for this long is closed; negative means never."),
    .long(
      "connections.max.reauth.ms", 0, .any, .readOnly, .accepted(.notServedYet),
      "How long an authenticated session lasts."),
    .int(
      "connection.failed.authentication.delay.ms", 100, .atLeast(0), .readOnly,
      .accepted(.notServedYet), "How long a connection stays open after failed authentication."),
    .int(
      "queued.max.requests", 500, .atLeast(1), .readOnly, .accepted(.otherDesign),
      "How many requests may wait; here a full slab stops the reading of sockets."),
    .long(
      "queued.max.request.bytes", -1, .any, .readOnly, .used,
      "How many bytes of requests a frontend holds at once, rounded down to a power of two; over it, "
        + "sockets are not read. Negative: 256 MiB, or a quarter of the machine's memory if less."),
    .int(
      "fetch.max.bytes", 57_671_680, .atLeast(1_024), .readOnly, .used,
      "The most bytes of records in one fetch response."),
    .int(
      "max.incremental.fetch.session.cache.slots", 1_000, .atLeast(0), .readOnly, .used,
      "How many incremental fetch sessions are kept."),
    .int(
      "max.request.partition.size.limit", 2_000, .atLeast(1), .readOnly, .used,
      "How many partitions one DescribeTopicPartitions response may hold."),
    .int(
      "request.timeout.ms", 30_000, .any, .readOnly, .accepted(.singleBroker),
      "How long the broker waits for answers of other brokers."),
    .long(
      "socket.connection.setup.timeout.ms", 10_000, .any, .readOnly, .accepted(.singleBroker),
      "How long the broker waits for a connection to another broker at first."),
    .long(
      "socket.connection.setup.timeout.max.ms", 30_000, .any, .readOnly, .accepted(.singleBroker),
      "How long the broker waits for a connection to another broker at most."),
  ]

  static let topics: [ConfigurationKey] = [
    .int(
      "num.partitions", 1, .atLeast(1), .readOnly, .used,
      "Partitions of a topic that does not say how many."),
    .int(
      "default.replication.factor", 1, .any, .readOnly, .used,
      "Replicas of a topic that does not say how many."),
    .boolean(
      "auto.create.topics.enable", true, .readOnly, .used,
      "Whether a client that asks for a topic creates it."),
    .boolean("delete.topic.enable", true, .readOnly, .used, "Whether topics may be deleted."),
    .int(
      "message.max.bytes", 1_048_588, .atLeast(0), .clusterWide, .used,
      "The largest record batch, header included."),
    .int(
      "min.insync.replicas", 1, .atLeast(1), .clusterWide, .used,
      "How many replicas must be in sync for a write with acks=all."),
    .text(
      .string, "compression.type", "producer",
      .oneOf(["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), .clusterWide,
      .used, "How batches are compressed in the log; producer: as they came."),
    .int(
      "compression.gzip.level", -1, .betweenOrMinusOne(1, 9), .clusterWide,
      .used, "The level of gzip where the broker compresses."),
    .int(
      "compression.lz4.level", 9, .between(1, 17), .clusterWide, .used,
      "The level of lz4 where the broker compresses."),
    .int(
      "compression.zstd.level", 3, .between(-131_072, 22), .clusterWide,
      .used, "The level of zstd where the broker compresses."),
    .text(
      .class, "create.topic.policy.class.name", nil, .any, .readOnly, .accepted(.java),
      "A class that judges new topics."),
    .text(
      .class, "alter.config.policy.class.name", nil, .any, .readOnly, .accepted(.java),
      "A class that judges changes of configurations."),
  ]
}
