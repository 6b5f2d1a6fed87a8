// Topics through the APIs: create, find, grow, delete; and what becomes of them when the logwriter
// or the coordinator goes away in between.

import IPC
import KafkaProtocol
import Model
import Testing

@testable import Coordinator

@Suite struct TopicApiTests {
  private func create(
    _ world: FakeWorld, _ name: String, partitions: Int32 = 1, version: Int16 = 7
  ) throws -> CreateTopicsResponse.CreatableTopicResult {
    let response = try world.ask(
      CreateTopicsRequest(
        topics: [.init(name: name, numPartitions: partitions, replicationFactor: 1)]),
      version: version)
    return try #require(response.topics.first)
  }

  @Test func aTopicIsCreatedAndFound() throws {
    let world = try FakeWorld()
    let topic = try create(world, "orders", partitions: 3)
    #expect(topic.errorCode == .none)
    #expect(topic.numPartitions == 3)
    #expect(topic.topicId != .zero)
    #expect(topic.configs?.contains { $0.name == "cleanup.policy" && $0.value == "delete" } == true)
    #expect(world.logWriter.logs.count == 3)

    let metadata = try world.ask(MetadataRequest(topics: nil), version: 13)
    #expect(metadata.brokers.map(\.host) == ["10.0.0.1"])
    #expect(metadata.brokers.map(\.port) == [9092])
    #expect(metadata.clusterId == "cluster")
    #expect(metadata.topics.map(\.name) == ["orders"])
    #expect(metadata.topics[0].topicId == topic.topicId)
    #expect(metadata.topics[0].partitions.map(\.leaderId) == [1, 1, 1])
  }

  @Test func theAdvertisedListenerIsTheClientsOwn() throws {
    let world = try FakeWorld([
      "listeners=A://127.0.0.1:9092,B://127.0.0.1:9093",
      "listener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT",
      "advertised.listeners=B://broker.example:19093",
    ])
    for (listener, host, port) in [("A", "10.0.0.1", 9092), ("B", "broker.example", 19093)] {
      let reply = try world.send(MetadataRequest(topics: []), version: 9, listener: listener)
      let metadata = try #require(try world.answer(MetadataResponse.self, to: reply))
      #expect(metadata.brokers.map(\.host) == [host])
      #expect(metadata.brokers.map(\.port) == [Int32(port)])
    }
  }

  @Test func theImageComesBeforeTheAnswer() throws {
    let world = try FakeWorld()
    _ = try create(world, "a", version: 5)
    let image = try #require(world.images.last)
    #expect(image.topics.map(\.name) == ["a"])
    #expect(image.topics[0].partitions.map(\.slot) == [0])
    #expect(image.topics[0].maxMessageBytes == 1_048_588)
    #expect(world.sent.last?.imageEpoch == image.epoch)
    #expect(!image.isSnapshot)
    _ = try world.ask(DeleteTopicsRequest(topicNames: ["a"]), version: 4)
    #expect(world.images.last?.removed == [image.topics[0].id])
    #expect(world.sent.last?.imageEpoch == world.images.last?.epoch)
  }

  @Test(arguments: 0...13) func metadataCreatesTopics(version: Int16) throws {
    let world = try FakeWorld(["num.partitions=2"])
    let metadata = try world.ask(
      MetadataRequest(topics: [.init(name: "new")], allowAutoTopicCreation: true),
      version: version)
    #expect(metadata.topics.map(\.errorCode) == [.none])
    #expect(metadata.topics.map { $0.partitions.count } == [2])
  }

  @Test func metadataCreatesNothingUnasked() throws {
    let world = try FakeWorld()
    let asked = try world.ask(
      MetadataRequest(topics: [.init(name: "new")], allowAutoTopicCreation: false), version: 9)
    #expect(asked.topics.map(\.errorCode) == [.unknownTopicOrPartition])
    let off = try FakeWorld(["auto.create.topics.enable=false"])
    let metadata = try off.ask(
      MetadataRequest(topics: [.init(name: "new"), .init(name: "a/b")]), version: 9)
    #expect(metadata.topics.map(\.errorCode) == [.unknownTopicOrPartition, .invalidTopicException])
    #expect(off.logWriter.messages.isEmpty)
  }

  struct Refusal: Sendable {
    var topic: CreateTopicsRequest.CreatableTopic
    var error: ErrorCode
  }

  static let refusals: [Refusal] = [
    Refusal(
      topic: .init(name: "", numPartitions: 1, replicationFactor: 1), error: .invalidTopicException),
    Refusal(
      topic: .init(name: "a b", numPartitions: 1, replicationFactor: 1),
      error: .invalidTopicException),
    Refusal(
      topic: .init(name: "../etc", numPartitions: 1, replicationFactor: 1),
      error: .invalidTopicException),
    Refusal(
      topic: .init(name: "there", numPartitions: 1, replicationFactor: 1),
      error: .topicAlreadyExists),
    Refusal(
      topic: .init(name: "with_dot", numPartitions: 1, replicationFactor: 1),
      error: .invalidTopicException),
    Refusal(
      topic: .init(name: "n", numPartitions: 0, replicationFactor: 1), error: .invalidPartitions),
    Refusal(
      topic: .init(name: "n", numPartitions: -2, replicationFactor: 1), error: .invalidPartitions),
    Refusal(
      topic: .init(name: "n", numPartitions: 1, replicationFactor: 0),
      error: .invalidReplicationFactor),
    Refusal(
      topic: .init(name: "n", numPartitions: 1, replicationFactor: 3),
      error: .invalidReplicationFactor),
    Refusal(
      topic: .init(name: "n", numPartitions: 1_000_000, replicationFactor: 1),
      error: .policyViolation),
    Refusal(
      topic: .init(name: "n", numPartitions: .max, replicationFactor: 1), error: .policyViolation),
    Refusal(
      topic: .init(
        name: "n", numPartitions: 1, replicationFactor: 1,
        configs: [.init(name: "no.such", value: "1")]), error: .invalidConfig),
    Refusal(
      topic: .init(
        name: "n", numPartitions: 1, replicationFactor: 1,
        configs: [.init(name: "retention.ms", value: "x")]), error: .invalidConfig),
    Refusal(
      topic: .init(
        name: "n", numPartitions: 1, replicationFactor: 1,
        configs: [.init(name: "retention.ms", value: nil)]), error: .invalidConfig),
    Refusal(
      topic: .init(
        name: "n", numPartitions: -1, replicationFactor: -1,
        assignments: [.init(partitionIndex: 1, brokerIds: [1])]), error: .invalidReplicaAssignment),
    Refusal(
      topic: .init(
        name: "n", numPartitions: -1, replicationFactor: -1,
        assignments: [.init(partitionIndex: 0, brokerIds: [2])]), error: .invalidReplicaAssignment),
    Refusal(
      topic: .init(
        name: "n", numPartitions: -1, replicationFactor: -1,
        assignments: [.init(partitionIndex: 0, brokerIds: [])]), error: .invalidReplicaAssignment),
    Refusal(
      topic: .init(
        name: "n", numPartitions: 2, replicationFactor: -1,
        assignments: [.init(partitionIndex: 0, brokerIds: [1])]), error: .invalidRequest),
  ]

  @Test(arguments: refusals) func isRefused(_ refusal: Refusal) throws {
    let world = try FakeWorld()
    _ = try create(world, "there")
    _ = try create(world, "with.dot")
    let before = world.logWriter.messages.count
    let response = try world.ask(CreateTopicsRequest(topics: [refusal.topic]), version: 7)
    #expect(response.topics.map(\.errorCode) == [refusal.error])
    #expect(response.topics[0].errorMessage?.isEmpty == false)
    #expect(world.logWriter.messages.count == before)
  }

  @Test func oneBadTopicDoesNotStopTheOthers() throws {
    let world = try FakeWorld()
    let response = try world.ask(
      CreateTopicsRequest(
        topics: ["a", "b", "b", "c.d", "c_d"].map {
          .init(name: $0, numPartitions: 1, replicationFactor: 1)
        }), version: 7)
    #expect(
      response.topics.map(\.errorCode)
        == [.none, .invalidRequest, .invalidRequest, .none, .invalidTopicException])
    #expect(world.broker.topics.state.topicsInOrder.map(\.name) == ["a", "c.d"])
    // One message for all of them.
    #expect(world.logWriter.messages.count == 1)
  }

  @Test func validationCreatesNothing() throws {
    let world = try FakeWorld()
    let response = try world.ask(
      CreateTopicsRequest(
        topics: [.init(name: "a", numPartitions: 4, replicationFactor: 1)], validateOnly: true),
      version: 7)
    #expect(response.topics.map(\.errorCode) == [.none])
    #expect(response.topics[0].numPartitions == 4)
    #expect(world.broker.topics.state.topicCount == 0)
  }

  @Test func aFullDiskLeavesNoTopicBehind() throws {
    let world = try FakeWorld()
    world.logWriter.failures["full"] = .kafkaStorageError
    let response = try world.ask(
      CreateTopicsRequest(
        topics: ["full", "fine"].map { .init(name: $0, numPartitions: 1, replicationFactor: 1) }),
      version: 7)
    #expect(response.topics.map(\.errorCode) == [.kafkaStorageError, .none])
    #expect(world.broker.topics.state.topicsInOrder.map(\.name) == ["fine"])
    #expect(world.broker.topics.state.deletions.isEmpty)
  }

  @Test func withoutALogwriterCreationTimesOutAndIsDoneLater() throws {
    let world = try FakeWorld()
    world.disconnect()
    let reply = try world.send(
      CreateTopicsRequest(
        topics: [.init(name: "a", numPartitions: 2, replicationFactor: 1)], timeoutMs: 1_000),
      version: 7)
    #expect(try world.answer(CreateTopicsResponse.self, to: reply) == nil)
    world.pass(1_000)
    let answer = try #require(try world.answer(CreateTopicsResponse.self, to: reply))
    #expect(answer.topics.map(\.errorCode) == [.requestTimedOut])
    world.connect()
    #expect(world.logWriter.logs.count == 2)
    #expect(world.images.last?.topics.map(\.name) == ["a"])
    #expect(world.images.last?.isSnapshot == true)
  }

  @Test func nothingIsCreatedBeforeTheTopicsOnDiskAreKnown() throws {
    let world = try FakeWorld(connect: false)
    let id = UUID128(high: 5, low: 5)
    let offsets = UUID128(high: 6, low: 6)
    world.logWriter.addLog(.init(topic: "a", partition: 0, topicId: id))
    for partition in Int32(0)..<3 {
      world.logWriter.addLog(
        .init(topic: "__consumer_offsets", partition: partition, topicId: offsets))
    }
    func create(_ name: String, timeoutMs: Int32) throws -> Reply {
      try world.send(
        CreateTopicsRequest(
          topics: [.init(name: name, numPartitions: 1, replicationFactor: 1)],
          timeoutMs: timeoutMs), version: 7)
    }
    func error(_ reply: Reply) throws -> ErrorCode? {
      try world.answer(CreateTopicsResponse.self, to: reply)?.topics.first?.errorCode
    }
    let found = try world.ask(FindCoordinatorRequest(key: "g"), version: 3)
    #expect(found.errorCode == .coordinatorNotAvailable)
    let metadata = try world.ask(
      MetadataRequest(topics: [.init(name: "a")], allowAutoTopicCreation: true), version: 9)
    #expect(metadata.topics.map(\.errorCode) == [.leaderNotAvailable])
    let early = try create("a", timeoutMs: 100)
    let (late, new) = (try create("a", timeoutMs: 1_000), try create("new", timeoutMs: 1_000))
    world.pass(100)
    #expect(try error(early) == .requestTimedOut)
    #expect(try error(late) == nil)
    #expect(world.broker.topics.state.topicCount == 0)
    world.connect()
    #expect(try error(late) == .topicAlreadyExists)
    #expect(try error(new) == ErrorCode.none)
    #expect(world.broker.topics.state.topic("a")?.id == id)
    #expect(world.broker.topics.state.topic("__consumer_offsets")?.id == offsets)
    #expect(world.broker.topics.state.topic("__consumer_offsets")?.partitionCount == 3)
    #expect(world.timerCount == 0)
  }

  @Test func whatIsFoundKeepsItsRecords() throws {
    let logWriter = FakeLogWriter()
    for (number, name) in ["a", "__consumer_offsets"].enumerated() {
      logWriter.addLog(
        .init(topic: name, partition: 0, topicId: UUID128(high: 5, low: UInt64(number))))
    }
    let world = try FakeWorld(logWriter: logWriter)
    let state = world.broker.topics.state
    #expect(state.topic("a")?.configs == ["retention.ms": "-1", "retention.bytes": "-1"])
    #expect(state.topic("__consumer_offsets")?.configs["cleanup.policy"] == "compact")
    var sent: [String: LogConfig] = [:]
    for case .createPartitions(_, let specs) in logWriter.messages {
      for spec in specs { sent[spec.name.topic] = spec.config }
    }
    #expect(sent["a"]?.retentionMs == -1)
    #expect(sent["__consumer_offsets"]?.compacts == true)
  }

  @Test func theNameOfKRaftsLogIsTaken() throws {
    let world = try FakeWorld()
    #expect(try create(world, "__cluster_metadata").errorCode == .invalidRequest)
  }

  @Test func aLogwriterThatComesInTimeAnswersTheRequest() throws {
    let world = try FakeWorld(connect: false)
    let reply = try world.send(
      CreateTopicsRequest(topics: [.init(name: "a", numPartitions: 2, replicationFactor: 1)]),
      version: 7)
    world.pass(500)
    world.connect()
    let answer = try #require(try world.answer(CreateTopicsResponse.self, to: reply))
    #expect(answer.topics.map(\.errorCode) == [.none])
    #expect(world.timerCount == 0)
  }

  @Test func topicsGrow() throws {
    let world = try FakeWorld()
    _ = try create(world, "a", partitions: 2)
    let answer = try world.ask(
      CreatePartitionsRequest(
        topics: ["a", "none"].map { .init(name: $0, count: 5, assignments: nil) },
        timeoutMs: 1_000),
      version: 3)
    #expect(answer.results.map(\.errorCode) == [.none, .unknownTopicOrPartition])
    #expect(world.logWriter.logs.count == 5)
    #expect(world.images.last?.topics.first?.partitions.map(\.slot) == [0, 1, 2, 3, 4])
    for (count, assignments) in [(5, nil), (1, nil), (7, [[1]]), (6, [[2]])]
      as [(Int32, [[Int32]]?)]
    {
      let refused = try world.ask(
        CreatePartitionsRequest(
          topics: [
            .init(
              name: "a", count: count, assignments: assignments?.map { .init(brokerIds: $0) })
          ]), version: 3)
      let expected: ErrorCode = assignments == nil ? .invalidPartitions : .invalidReplicaAssignment
      #expect(refused.results.map(\.errorCode) == [expected])
    }
  }

  @Test func topicsAreDeletedByNameAndId() throws {
    let world = try FakeWorld()
    let a = try create(world, "a")
    _ = try create(world, "b")
    let answer = try world.ask(
      DeleteTopicsRequest(
        topics: [
          .init(name: nil, topicId: a.topicId), .init(name: "b"), .init(name: "none"),
          .init(name: nil, topicId: UUID128(high: 9, low: 9)),
        ]), version: 6)
    #expect(
      answer.responses.map(\.errorCode)
        == [.none, .none, .unknownTopicOrPartition, .unknownTopicId])
    #expect(answer.responses.map(\.name) == ["a", "b", "none", nil])
    #expect(world.logWriter.logs.isEmpty)
    #expect(world.broker.topics.state.deletions.isEmpty)
    let off = try FakeWorld(["delete.topic.enable=false"])
    _ = try create(off, "a")
    let refused = try off.ask(DeleteTopicsRequest(topicNames: ["a"]), version: 4)
    #expect(refused.responses.map(\.errorCode) == [.topicDeletionDisabled])
  }

  @Test func aDeletionIsFinishedAfterARestart() throws {
    let directory = TemporaryDirectory.make()
    let logWriter = FakeLogWriter()
    do {
      let world = try FakeWorld(
        store: try SQLiteStore(directory: directory), logWriter: logWriter)
      _ = try create(world, "a", partitions: 3)
      world.delivers = false
      _ = try world.ask(DeleteTopicsRequest(topicNames: ["a"]), version: 4)
      // A new topic of the same name may follow at once.
      #expect(world.broker.topics.state.deletions.count == 1)
    }
    #expect(logWriter.logs.count == 3)
    let world = try FakeWorld(store: try SQLiteStore(directory: directory), logWriter: logWriter)
    #expect(logWriter.logs.isEmpty)
    #expect(world.broker.topics.state.deletions.isEmpty)
    #expect(world.broker.topics.state.topicCount == 0)
  }

  @Test func topicsOnDiskAreAdoptedUnlessTheyWereDeleted() throws {
    let directory = TemporaryDirectory.make()
    let logWriter = FakeLogWriter()
    let old = UUID128(high: 4, low: 4)
    logWriter.addLog(.init(topic: "from-kafka", partition: 0, topicId: old))
    logWriter.addLog(.init(topic: "from-kafka", partition: 2, topicId: old))
    let world = try FakeWorld(store: try SQLiteStore(directory: directory), logWriter: logWriter)
    let topic = try #require(world.broker.topics.state.topic("from-kafka"))
    #expect(topic.id == old)
    #expect(topic.partitionCount == 3)
    // The one between has been somewhere, and is not made anew.
    #expect(logWriter.logs.count == 2)
    _ = try world.ask(DeleteTopicsRequest(topicNames: ["from-kafka"]), version: 4)
    #expect(logWriter.logs.isEmpty)
    // A disk that was away comes back with a copy.
    logWriter.addLog(.init(topic: "from-kafka", partition: 1, topicId: old))
    world.disconnect()
    world.connect()
    #expect(world.broker.topics.state.topicCount == 0)
    #expect(logWriter.logs.isEmpty)
  }

  @Test func anAdoptedLogGoesOnUnderItsLeaderEpoch() throws {
    let directory = TemporaryDirectory.make()
    let logWriter = FakeLogWriter()
    let id = UUID128(high: 4, low: 4)
    logWriter.addLog(.init(topic: "from-kafka", partition: 0, topicId: id), leaderEpoch: 7)
    logWriter.addLog(.init(topic: "from-kafka", partition: 1, topicId: id))
    let world = try FakeWorld(store: try SQLiteStore(directory: directory), logWriter: logWriter)
    #expect(world.images.last?.topics.first?.partitions.map(\.leaderEpoch) == [7, 0])
    let metadata = try world.ask(MetadataRequest(topics: nil), version: 9)
    #expect(metadata.topics[0].partitions.map(\.leaderEpoch) == [7, 0])
    #expect(world.broker.topics.state.topic(id: id)?.leaderEpochs == [7, 0])
  }

  @Test func aPartitionOfAnotherTopicsIdIsOffline() throws {
    let world = try FakeWorld()
    world.disconnect()
    world.logWriter.addLog(.init(topic: "a", partition: 0, topicId: UUID128(high: 5, low: 5)))
    _ = try world.send(
      CreateTopicsRequest(topics: [.init(name: "a", numPartitions: 1, replicationFactor: 1)]),
      version: 7)
    world.connect()
    #expect(world.logWriter.logs.count == 1)
    #expect(world.broker.topics.state.topicCount == 0)
  }

  @Test func pagesOfPartitions() throws {
    let world = try FakeWorld(["max.request.partition.size.limit=4"])
    for name in ["a", "b", "c"] { _ = try create(world, name, partitions: 3) }
    var cursor: DescribeTopicPartitionsRequest.Cursor?
    var seen: [String] = []
    for _ in 0..<10 {
      let page = try world.ask(
        DescribeTopicPartitionsRequest(responsePartitionLimit: 100, cursor: cursor), version: 0)
      let partitions = page.topics.flatMap { topic in
        topic.partitions.map { "\(topic.name ?? "")-\($0.partitionIndex)" }
      }
      #expect(partitions.count <= 4)
      seen += partitions
      guard let next = page.nextCursor else { break }
      cursor = .init(topicName: next.topicName, partitionIndex: next.partitionIndex)
    }
    #expect(seen == ["a", "b", "c"].flatMap { name in (0..<3).map { "\(name)-\($0)" } })
  }

  @Test func producerIdsAreNeverGivenTwice() throws {
    let directory = TemporaryDirectory.make()
    var seen: Set<Int64> = []
    for _ in 0..<3 {
      let world = try FakeWorld(store: try SQLiteStore(directory: directory))
      for _ in 0..<1_100 {
        let answer = try world.ask(
          InitProducerIdRequest(transactionalId: nil, transactionTimeoutMs: 1), version: 4)
        #expect(answer.errorCode == .none)
        #expect(answer.producerEpoch == 0)
        #expect(seen.insert(answer.producerId).inserted)
      }
    }
  }
}
