// Logs that are gone from the disk: they are not made anew, unless nothing can have been in them.

import IPC
import KafkaProtocol
import Model
import Testing

@testable import Coordinator

@Suite struct LostLogTests {
  @discardableResult
  private func create(_ world: FakeWorld, _ name: String, _ partitions: Int32) throws -> Topic {
    let answer = try world.ask(
      CreateTopicsRequest(
        topics: [.init(name: name, numPartitions: partitions, replicationFactor: 1)]), version: 7)
    try #require(answer.topics.map(\.errorCode) == [.none])
    return try #require(world.broker.topics.state.topic(name))
  }

  private func slots(_ world: FakeWorld, _ name: String) throws -> [UInt32] {
    let topic = try #require(world.broker.topics.state.topic(name))
    return world.broker.topics.image(topic).partitions.map(\.slot)
  }

  private func restart(_ world: FakeWorld) {
    world.disconnect()
    world.logWriter.restart()
    world.connect()
  }

  @Test func whatIsGoneStaysOfflineUntilItIsBack() throws {
    let world = try FakeWorld()
    try create(world, "a", 3)
    try create(world, "b", 1)
    let lost = try #require(world.logWriter.lose("a", 1))
    restart(world)
    #expect(world.logWriter.log("a", 1) == nil)
    #expect(try slots(world, "a").map { $0 == PartitionImage.offlineSlot } == [false, true, false])
    #expect(try slots(world, "b") != [PartitionImage.offlineSlot])
    #expect(world.broker.topics.placement.offlineCount == 1)
    let metadata = try world.ask(MetadataRequest(topics: nil), version: 9)
    #expect(
      metadata.topics.first { $0.name == "a" }?.partitions.map(\.errorCode)
        == [.none, .leaderNotAvailable, .none])
    let offsets = try world.ask(
      ListOffsetsRequest(
        replicaId: -1,
        topics: [
          .init(
            name: "a",
            partitions: (0..<3).map {
              .init(partitionIndex: $0, currentLeaderEpoch: -1, timestamp: -1)
            })
        ]), version: 5)
    #expect(offsets.topics[0].partitions.map(\.errorCode) == [.none, .kafkaStorageError, .none])
    world.logWriter.logs[lost.slot] = lost
    restart(world)
    #expect(try !slots(world, "a").contains(PartitionImage.offlineSlot))
    #expect(world.broker.topics.placement.offlineCount == 0)
  }

  @Test func aTopicWithALostPartitionGrowsAndIsDeleted() throws {
    let world = try FakeWorld()
    let old = try create(world, "a", 2)
    _ = world.logWriter.lose("a", 0)
    restart(world)
    let grown = try world.ask(
      CreatePartitionsRequest(
        topics: [.init(name: "a", count: 4, assignments: nil)], timeoutMs: 1_000), version: 3)
    #expect(grown.results.map(\.errorCode) == [.none])
    #expect(
      try slots(world, "a").map { $0 == PartitionImage.offlineSlot } == [true, false, false, false])
    restart(world)
    #expect(world.logWriter.log("a", 0) == nil)
    let answer = try world.ask(DeleteTopicsRequest(topicNames: ["a"]), version: 4)
    #expect(answer.responses.map(\.errorCode) == [.none])
    #expect(world.logWriter.logs.isEmpty)
    #expect(world.broker.topics.state.deletions.isEmpty)
    #expect(world.broker.topics.placement.offlineCount == 0)
    let new = try create(world, "a", 2)
    #expect(new.id != old.id)
    #expect(world.logWriter.logs.count == 2)
    // The disk with the old one is back.
    world.logWriter.addLog(.init(topic: "a", partition: 1, topicId: old.id))
    restart(world)
    #expect(world.logWriter.logs.values.allSatisfy { $0.name.topicId == new.id })
    #expect(try !slots(world, "a").contains(PartitionImage.offlineSlot))
  }

  /// Whatever goes away between the record of a topic and the logwriter's answer: it is created at the
  /// next start; once it was there it is never made again.
  @Test(arguments: [0, 1, 2, 3]) func creationSurvivesEveryEnd(step: Int) throws {
    let directory = TemporaryDirectory.make()
    let logWriter = FakeLogWriter()
    do {
      let world = try FakeWorld(store: try SQLiteStore(directory: directory), logWriter: logWriter)
      // 0: the logwriter heard nothing; 1: it did it, and nobody heard; 2: all went well.
      world.delivers = step == 2 || step == 3
      try world.send(
        CreateTopicsRequest(
          topics: [.init(name: "a", numPartitions: 2, replicationFactor: 1)], timeoutMs: 1_000),
        version: 7)
      let isConfirmed = world.broker.topics.state.topic("a")?.unconfirmed.isEmpty
      #expect(isConfirmed == world.delivers)
      if step == 1, let message = world.lastUndelivered { _ = logWriter.handle(message) }
      // 3: the same coordinator, with a new logwriter.
      if step == 3 { restart(world) }
      // Nobody waits any more.
      world.pass(1_000)
    }
    do {
      let world = try FakeWorld(store: try SQLiteStore(directory: directory), logWriter: logWriter)
      #expect(logWriter.logs.count == 2)
      #expect(world.broker.topics.state.topic("a")?.unconfirmed == [])
      #expect(try !slots(world, "a").contains(PartitionImage.offlineSlot))
    }
    logWriter.logs = [:]
    for _ in 0..<2 {
      let world = try FakeWorld(store: try SQLiteStore(directory: directory), logWriter: logWriter)
      #expect(logWriter.logs.isEmpty)
      #expect(try slots(world, "a") == [PartitionImage.offlineSlot, PartitionImage.offlineSlot])
    }
  }

  /// When clients may write to it, it counts as created.
  @Test func itIsConfirmedBeforeTheImage() throws {
    let world = try FakeWorld()
    var isConfirmed: [Bool] = []
    let watch = world.store.watch("/topics") { _ in
      let topic = world.broker.topics.state.topic("a")
      isConfirmed.append(topic?.unconfirmed.isEmpty == true)
      #expect(world.images.allSatisfy { $0.topics.isEmpty })
    }
    try create(world, "a", 1)
    #expect(isConfirmed.count == 2)
    #expect(world.images.last?.topics.map(\.name) == ["a"])
    world.store.unwatch(watch)
  }

  /// The metadata were on the disk with partition 1.
  @Test func adoptedLogsCountAsCreated() throws {
    let world = try FakeWorld(connect: false)
    let id = UUID128(high: 4, low: 4)
    world.logWriter.addLog(.init(topic: "k", partition: 0, topicId: id))
    world.logWriter.addLog(.init(topic: "k", partition: 2, topicId: id))
    world.connect()
    #expect(world.logWriter.logs.count == 2)
    #expect(try slots(world, "k").map { $0 == PartitionImage.offlineSlot } == [false, true, false])
    world.logWriter.logs = [:]
    restart(world)
    #expect(world.logWriter.logs.isEmpty)
  }

  @Test func theOffsetsTopicIsMadeAnewAfterItWasDeleted() throws {
    let world = try FakeWorld()
    let name = GroupCoordinator.topicName
    func find() throws -> ErrorCode? {
      try world.ask(FindCoordinatorRequest(coordinatorKeys: ["g"]), version: 4).coordinators.first?
        .errorCode
    }
    func commit() throws -> ErrorCode? {
      try world.ask(
        OffsetCommitRequest(
          groupId: "g", topics: [.init(name: "a", partitions: [.init(committedOffset: 3)])]),
        version: 8
      ).topics.first?.partitions.first?.errorCode
    }
    try create(world, "a", 1)
    #expect(try find() == ErrorCode.none)
    #expect(try commit() == ErrorCode.none)
    let a = try #require(world.logWriter.log("a"))
    world.logWriter.logs = [a.slot: a]
    restart(world)
    // Nothing of it was made anew, and nobody believes that the group has no offsets.
    #expect(world.logWriter.logs.count == 1)
    #expect(try commit() == .notCoordinator)
    let answer = try world.ask(DeleteTopicsRequest(topicNames: [name]), version: 4)
    #expect(answer.responses.map(\.errorCode) == [.none])
    #expect(try find() == ErrorCode.none)
    #expect(try commit() == ErrorCode.none)
    #expect(world.logWriter.logs.count > 1)
  }

  @Test func theOldFormatOfTopicsHasThemAllCreated() throws {
    var topic = Topic(
      name: "a", id: UUID128(high: 1, low: 2), leaderEpochs: [0, 3], configs: ["k": "v"])
    topic.unconfirmed = [1]
    func node(_ bytes: [UInt8]) -> StoredNode {
      StoredNode(path: "/topics/a", value: bytes, version: 0, owner: nil)
    }
    let bytes = NodeValue.encode(topic)
    #expect(try NodeValue.topic(node(bytes)) == topic)
    // What is new is at the end: a count and one number.
    let old = [1] + Array(bytes.dropFirst().dropLast(8))
    topic.unconfirmed = []
    #expect(try NodeValue.topic(node(old)) == topic)
    var wrong = bytes
    wrong[bytes.count - 4] = 2
    #expect(throws: StoreError.self) { try NodeValue.topic(node(wrong)) }
  }

  @Test func manyAreToldInFewLines() {
    func state(_ topic: String, _ partition: Int32, _ error: ErrorCode, _ detail: String = "gone")
      -> PartitionState
    {
      PartitionState(
        name: .init(topic: topic, partition: partition, topicId: .zero),
        slot: PartitionImage.noSlot, generation: 0, error: error, detail: detail)
    }
    let one = FailedPartitions([
      state("a", 0, .none), state("a", 1, .leaderNotAvailable), state("a", 2, .kafkaStorageError),
    ])
    #expect(
      one.lines == [
        .init(
          topic: "a", partitions: "2", error: .kafkaStorageError,
          text: "a partition cannot be used: \(ErrorCode.kafkaStorageError) gone")
      ])
    let several = FailedPartitions(
      [5, 0, 1, 2, 7].map { state("a", $0, .kafkaStorageError) }
        + [state("a", 3, .kafkaStorageError, "damaged")])
    #expect(several.lines.map(\.partitions).sorted() == ["0-2, 5, 7", "3"])
    let many = FailedPartitions(
      (0..<10_000).map { state("t\($0 / 10)", Int32($0 % 10), .kafkaStorageError) })
    #expect(many.lines.count == FailedPartitions.linesMax)
    #expect(many.lines.allSatisfy { $0.partitions == "0-9" })
    #expect(many.otherPartitions == 10_000 - 10 * FailedPartitions.linesMax)
    #expect(many.otherTopics == 1_000 - FailedPartitions.linesMax)
  }
}
