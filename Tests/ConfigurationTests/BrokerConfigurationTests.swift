// Loading a broker's configuration: defaults, files, overrides, what is refused and how.

import Model
import Testing

@testable import Configuration

@Suite struct BrokerConfigurationTests {
  private func load(_ text: String, _ overrides: String...) throws -> BrokerConfiguration {
    try BrokerConfiguration.load(file: ("server.properties", text), overrides: overrides)
  }

  private func failure(_ text: String, _ overrides: String...) -> String? {
    do throws(ConfigurationError) {
      _ = try BrokerConfiguration.load(file: ("server.properties", text), overrides: overrides)
      return nil
    } catch {
      return error.description
    }
  }

  @Test func defaults() throws {
    let broker = try BrokerConfiguration.load(file: nil)
    #expect(broker.nodeId == 1)
    #expect(broker.logDirs == ["/tmp/kafka-logs"])
    #expect(broker.listeners.open.map(\.description) == ["PLAINTEXT://127.0.0.1:9092"])
    #expect(broker.listeners.advertised.isEmpty)
    #expect(broker.brokerRack == nil)
    #expect(broker.numPartitions == 1 && broker.defaultReplicationFactor == 1)
    #expect(broker.autoCreateTopicsEnable && broker.deleteTopicEnable)
    #expect(broker.messageMaxBytes == 1_048_588)
    #expect(broker.socketRequestMaxBytes == 104_857_600)
    #expect(broker.socketSendBufferBytes == 102_400)
    #expect(broker.connectionsMaxIdleMs == 600_000)
    #expect(broker.fetchMaxBytes == 57_671_680)
    #expect(broker.groupMinSessionTimeoutMs == 6_000)
    #expect(broker.offsetsTopicNumPartitions == 50)
    #expect(broker.offsetsTopicCompression == .none)
    #expect(broker.offsetsRetentionMs == 7 * 24 * 3_600_000)
    #expect(broker.notice == nil)
  }

  @Test func everyAccessorHasAValue() throws {
    let broker = try BrokerConfiguration.load(file: nil)
    let numbers: [Int] = [
      broker.socketListenBacklogSize, broker.maxConnections, broker.maxConnectionsPerIp,
      broker.maxIncrementalFetchSessionCacheSlots, broker.maxRequestPartitionSizeLimit,
      broker.logSegmentBytes, broker.logIndexIntervalBytes, broker.logIndexSizeMaxBytes,
      Int(broker.producerIdExpirationMs), Int(broker.groupMaxSessionTimeoutMs),
      Int(broker.groupInitialRebalanceDelayMs), broker.groupMaxSize,
      broker.offsetMetadataMaxBytes, broker.offsetsTopicSegmentBytes,
      Int(broker.offsetsRetentionCheckIntervalMs),
    ]
    #expect(numbers.allSatisfy { $0 > 0 })
  }

  @Test func overridesWinOverTheFileAndLaterOverEarlier() throws {
    let broker = try load(
      "num.partitions=2\nnum.partitions = 3 \nlog.dirs=/a, /b\nsocket.send.buffer.bytes=-1",
      "num.partitions=4", "num.partitions=5", "broker.rack= r=1 ")
    #expect(broker.numPartitions == 5)
    #expect(broker.logDirs == ["/a", "/b"])
    #expect(broker.socketSendBufferBytes == nil)
    #expect(broker.brokerRack == "r=1")
    #expect(broker.setValue(of: "num.partitions")?.source == .override)
    #expect(broker.setValue(of: "log.dirs")?.source == .file("server.properties", line: 3))
    #expect(broker.text(of: "num.partitions") == "5")
    #expect(broker.text(of: "fetch.max.bytes") == "57671680")
  }

  /// The file that comes with Kafka 4.1, without its comments.
  @Test func theFileThatComesWithKafka() throws {
    let broker = try load(
      """
      process.roles=broker,controller
      node.id=1
      controller.quorum.bootstrap.servers=localhost:9093
      listeners=PLAINTEXT://:9092,CONTROLLER://:9093
      inter.broker.listener.name=PLAINTEXT
      advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
      controller.listener.names=CONTROLLER
      listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,\
      SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
      num.network.threads=3
      num.io.threads=8
      socket.send.buffer.bytes=102400
      socket.receive.buffer.bytes=102400
      socket.request.max.bytes=104857600
      log.dirs=/tmp/kraft-combined-logs
      num.partitions=1
      num.recovery.threads.per.data.dir=1
      offsets.topic.replication.factor=1
      share.coordinator.state.topic.replication.factor=1
      share.coordinator.state.topic.min.isr=1
      transaction.state.log.replication.factor=1
      transaction.state.log.min.isr=1
      log.retention.hours=168
      log.segment.bytes=1073741824
      log.retention.check.interval.ms=300000
      """)
    #expect(broker.listeners.open.map(\.description) == ["PLAINTEXT://:9092"])
    #expect(broker.listeners.ofControllers.map(\.name) == ["CONTROLLER"])
    #expect(
      broker.listeners.advertised.values.map(\.description) == ["PLAINTEXT://localhost:9092"])
    let notice = try #require(broker.notice)
    #expect(notice.contains("num.network.threads, num.io.threads"))
    #expect(notice.contains("(of a feature that is not served yet)"))
    #expect(!notice.contains("\n"))
    #expect(!notice.contains("num.partitions"))
  }

  @Test(arguments: [
    ("num.partitions=0", "1: num.partitions=0: Value must be at least 1 (at least 1)"),
    ("\n\nnum.partitions=x", "3: num.partitions=x: Not a number of type INT (at least 1)"),
    (
      "num.partitions=4294967296",
      "1: num.partitions=4294967296: Not a number of type INT (at least 1)"
    ),
    (
      "auto.create.topics.enable=yes",
      "1: auto.create.topics.enable=yes: Expected value to be either true or false"
    ),
    (
      "num.partition=3",
      "1: num.partition: there is no broker configuration of this name in Kafka 4.1; "
        + "did you mean num.partitions?"
    ),
    ("=3", "1: : there is no broker configuration of this name in Kafka 4.1"),
    (
      "log.cleanup.policy=delete,shred",
      "1: log.cleanup.policy=delete,shred: String must be one of: compact, delete "
        + "(a list of compact, delete)"
    ),
    (
      "log.retention.ms=0",
      "1: log.retention.ms=0: Value must be unlimited (-1) or, equal or greater than 1 "
        + "(at least 1, or -1 for no limit)"
    ),
    (
      "compression.gzip.level=0",
      "1: compression.gzip.level=0: Value must be between 1 and 9 or equal to -1 "
        + "(from 1 to 9, or -1)"
    ),
    (
      "broker.id=2\nnode.id=1",
      "1: broker.id=2: it differs from node.id=1; one of them is enough"
    ),
    ("log.dirs= , ", "1: log.dirs=, : there is no directory in it"),
    ("log.dirs=/a,/a", "1: log.dirs=/a,/a: a directory is there twice"),
    (
      "max.connections.per.ip=0",
      "1: max.connections.per.ip=0: 0 lets nobody in without max.connections.per.ip.overrides"
    ),
    (
      "group.min.session.timeout.ms=9\ngroup.max.session.timeout.ms=8",
      "1: group.min.session.timeout.ms=9: group.min.session.timeout.ms (9) is above "
        + "group.max.session.timeout.ms (8)"
    ),
    (
      "queued.max.request.bytes=8\nsocket.request.max.bytes=9",
      "2: socket.request.max.bytes=9: socket.request.max.bytes (9) is above "
        + "queued.max.request.bytes (8)"
    ),
    (
      "authorizer.class.name=org.example.A",
      "1: authorizer.class.name=org.example.A: access control is not served yet, the broker "
        + "would be open to everyone; leave it out, or set it to ''"
    ),
    (
      "remote.log.storage.system.enable=true",
      "1: remote.log.storage.system.enable=true: tiered storage is not served; leave it out, or "
        + "set it to 'false'"
    ),
    (
      "ssl.client.auth=maybe",
      "1: ssl.client.auth=maybe: String must be one of: required, requested, none "
        + "(one of required, requested, none)"
    ),
  ])
  func refused(text: String, message: String) {
    #expect(failure(text) == "server.properties:\(message)")
  }

  @Test func overridesAreNamedAsTheSource() {
    #expect(failure("", "num.partitions") == "--override: 'num.partitions' is not name=value")
    #expect(
      failure("num.partitions=3", "num.partitions=-1")
        == "--override: num.partitions=-1: Value must be at least 1 (at least 1)")
    #expect(
      failure("", "nodeid=1")
        == "--override: nodeid: there is no broker configuration of this name in Kafka 4.1; "
        + "did you mean node.id?")
  }

  @Test func passwordsAreNotShown() throws {
    let secret = try load("ssl.key.password = hunter2")
    #expect(secret.notice?.contains("hunter2") == false)
    let key = try #require(BrokerKeys.named("ssl.key.password"))
    #expect(key.isSensitive)
  }

  @Test func nodeIdHasAnOlderName() throws {
    #expect(try load("broker.id=7").nodeId == 7)
    #expect(try load("broker.id=-1").nodeId == 1)
    #expect(try load("broker.id=0\nnode.id=0").nodeId == 0)
    #expect(try load("node.id=12").nodeId == 12)
  }

  @Test func valuesWithoutEffectAreListedByReason() throws {
    let broker = try load(
      """
      num.io.threads=4
      zookeeper.connect=localhost:2181
      background.threads=2
      listener.name.internal.ssl.keystore.location=/x
      listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=secret
      rsm.config.bucket=b
      """)
    #expect(
      broker.notice
        == "configurations without effect: "
        + "listener.name.internal.ssl.keystore.location, "
        + "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config, rsm.config.bucket "
        + "(of a feature that is not served yet); "
        + "num.io.threads, background.threads (there are processes instead of threads); "
        + "zookeeper.connect (removed from Kafka 4)")
    #expect(broker.accepted.count == 6)
  }

  @Test func unknownNamesOfListenersAreRefused() {
    let message = failure("listener.name.internal.nothing.of.ours=1")
    #expect(message?.contains("there is no broker configuration of this name") == true)
  }
}
