// Groups through the APIs, with their log: what a client sees, what is written, and what is there
// again after the coordinator, the logwriter or both have gone away.

import IPC
import KafkaProtocol
import Model
import Records
import Testing

@testable import Coordinator

@Suite struct GroupApiTests {
  func world(
    _ overrides: [String] = [], directory: String? = nil,
    logWriter: FakeLogWriter = FakeLogWriter()
  ) throws -> FakeWorld {
    let world = try FakeWorld(
      overrides + ["offsets.topic.num.partitions=3"],
      store: try SQLiteStore(directory: directory ?? TemporaryDirectory.make()),
      logWriter: logWriter)
    if world.broker.topics.state.topic("t") == nil {
      _ = try world.ask(
        CreateTopicsRequest(topics: [.init(name: "t", numPartitions: 2, replicationFactor: 1)]),
        version: 7)
      _ = try world.ask(FindCoordinatorRequest(coordinatorKeys: ["g"]), version: 4)
    }
    return world
  }

  func stable(_ world: FakeWorld) throws -> TestMember {
    var member = TestMember(world)
    _ = try member.take(member.sendJoin())
    let join = try member.sendJoin()
    world.pass(3_000)
    _ = try member.take(join)
    let sync = try member.sendSync([member.id: [1, 2, 3]])
    let synced = try #require(try world.answer(SyncGroupResponse.self, to: sync))
    #expect(synced.assignment == [1, 2, 3])
    return member
  }

  /// A coordinator that does `work` with a group's member, and is gone.
  func leave(
    _ directory: String, _ logWriter: FakeLogWriter, _ overrides: [String] = [],
    _ work: (FakeWorld, TestMember) throws -> Void
  ) throws -> (id: String, generation: Int32) {
    let world = try world(overrides, directory: directory, logWriter: logWriter)
    let member = try stable(world)
    try work(world, member)
    return (member.id, member.generation)
  }

  func offset(_ world: FakeWorld, _ group: String = "g") throws -> Int64? {
    let answer = try world.ask(
      OffsetFetchRequest(
        groups: [.init(groupId: group, topics: [.init(name: "t", partitionIndexes: [0])])]),
      version: 9)
    return answer.groups[0].errorCode == .none
      ? answer.groups[0].topics[0].partitions[0].committedOffset : nil
  }

  func state(_ world: FakeWorld, _ group: String = "g") throws -> String {
    try world.ask(DescribeGroupsRequest(groups: [group]), version: 5).groups[0].groupState
  }

  @Test func theOffsetsTopicIsCreatedOnFirstUse() throws {
    let world = try world()
    let topic = try #require(world.broker.topics.state.topic("__consumer_offsets"))
    #expect(topic.partitionCount == 3)
    #expect(world.logWriter.log("__consumer_offsets")?.config.compacts == true)
    #expect(world.logWriter.log("__consumer_offsets")?.config.deletes == false)
    #expect(world.logWriter.log("__consumer_offsets")?.config.segmentBytes == 104_857_600)
    let metadata = try world.ask(MetadataRequest(topics: nil), version: 9)
    #expect(metadata.topics.map(\.isInternal) == [true, false])
  }

  @Test func withoutAnOffsetsTopicThereIsNoCoordinator() throws {
    let world = try FakeWorld()
    let joined = try world.ask(
      JoinGroupRequest(
        groupId: "g", sessionTimeoutMs: 10_000, protocolType: "consumer",
        protocols: [.init(name: "range")]), version: 5)
    #expect(joined.errorCode == .notCoordinator)
    #expect(try world.ask(ListGroupsRequest(), version: 4).groups.isEmpty)
  }

  @Test(
    arguments: [
      ("", 0), ("g", 3), ("console-consumer-4711", 22), ("ünïcode-группа", 41), ("a-b-c", 4),
      ("polygenelubricants", 0),
    ])
  func groupsAreInKafkasPartitions(_ id: String, _ partition: Int) {
    #expect(GroupPartition.of(id, partitions: 50) == partition)
  }

  @Test func aMemberLivesAndItsRecordsAreKafkas() throws {
    let world = try world()
    let member = try stable(world)
    #expect(try member.heartbeat() == .none)
    let commit = try member.commit(42)
    #expect(try member.commitError(commit) == ErrorCode.none)
    #expect(try offset(world) == 42)
    let partition = Int32(GroupPartition.of("g", partitions: 3))
    let log = try #require(world.logWriter.log("__consumer_offsets", partition))
    let records = world.logWriter.records(log.slot)
    #expect(records.count == 2)
    // Key type 2, "g"; value version 3.
    #expect(records[0].key == [0, 2, 0, 1, 0x67])
    #expect(records[0].value?.prefix(2) == [0, 3])
    // Key type 1, "g", "t", 0; value version 3: offset, epoch, metadata, time.
    #expect(records[1].key == [0, 1, 0, 1, 0x67, 0, 1, 0x74, 0, 0, 0, 0])
    #expect(records[1].value?.prefix(14) == [0, 3, 0, 0, 0, 0, 0, 0, 0, 42, 0, 0, 0, 0])
  }

  @Test func itIsAllThereAfterARestart() throws {
    let directory = TemporaryDirectory.make()
    let logWriter = FakeLogWriter()
    let member = try leave(directory, logWriter) { world, member in
      _ = try member.commit(1)
      _ = try member.commit(2)
      _ = try world.ask(
        OffsetCommitRequest(
          groupId: "simple",
          topics: [.init(name: "t", partitions: [.init(partitionIndex: 1, committedOffset: 9)])]),
        version: 8)
    }
    logWriter.restart()

    let after = try world(directory: directory, logWriter: logWriter)
    #expect(try offset(after) == 2)
    #expect(try state(after) == "Stable")
    #expect(try state(after, "simple") == "Empty")
    var restored = TestMember(after)
    restored.id = member.id
    restored.generation = member.generation
    #expect(try restored.heartbeat() == .none)
    let commit = try restored.commit(3)
    #expect(try restored.commitError(commit) == ErrorCode.none)
    #expect(try offset(after) == 3)
    // Members that do not come back are out after their session.
    after.pass(10_000)
    #expect(try state(after) == "Empty")
  }

  @Test(arguments: ["1", "2", "3", "4"]) func compressedLogsAreRead(codec: String) throws {
    let directory = TemporaryDirectory.make()
    let logWriter = FakeLogWriter()
    let overrides = ["offsets.topic.compression.codec=\(codec)"]
    _ = try leave(directory, logWriter, overrides) { _, member in
      for offset in 1...50 { _ = try member.commit(Int64(offset)) }
    }
    let after = try world(directory: directory, logWriter: logWriter)
    #expect(try offset(after) == 50)
  }

  @Test func whileLoadingClientsAreToldToWait() throws {
    let directory = TemporaryDirectory.make()
    let logWriter = FakeLogWriter()
    let member = try leave(directory, logWriter) { _, _ in }
    let after = try FakeWorld(
      ["offsets.topic.num.partitions=3"], store: try SQLiteStore(directory: directory),
      logWriter: logWriter, connect: false)
    var waiting = TestMember(after)
    waiting.id = member.id
    waiting.generation = member.generation
    #expect(try waiting.heartbeat() == .none)
    let commit = try waiting.commit(1)
    #expect(try waiting.commitError(commit) == .coordinatorLoadInProgress)
    let join = try waiting.sendJoin()
    #expect(
      try after.answer(JoinGroupResponse.self, to: join)?.errorCode == .coordinatorLoadInProgress)
    #expect(try offset(after) == nil)
    after.connect()
    #expect(try waiting.commitError(try waiting.commit(1)) == ErrorCode.none)
  }

  // MARK: - Administration

  @Test func groupsAreListedDescribedAndDeleted() throws {
    let world = try world()
    let member = try stable(world)
    _ = try member.commit(5)
    let listed = try world.ask(ListGroupsRequest(), version: 5)
    #expect(listed.groups.map(\.groupId) == ["g"])
    #expect(listed.groups.map(\.groupState) == ["Stable"])
    #expect(listed.groups.map(\.protocolType) == ["consumer"])
    #expect(try world.ask(ListGroupsRequest(statesFilter: ["Empty"]), version: 4).groups.isEmpty)

    let described = try world.ask(DescribeGroupsRequest(groups: ["g", "x"]), version: 6).groups
    #expect(described.map(\.errorCode) == [.none, .groupIdNotFound])
    #expect(described[0].protocolData == "range")
    #expect(described[0].members.map(\.memberAssignment) == [[1, 2, 3]])
    #expect(described[0].members.map(\.clientHost) == ["/10.0.0.9"])

    let busy = try world.ask(DeleteGroupsRequest(groupsNames: ["g", "x"]), version: 2)
    #expect(busy.results.map(\.errorCode) == [.nonEmptyGroup, .groupIdNotFound])
    _ = try world.ask(
      LeaveGroupRequest(groupId: "g", members: [.init(memberId: member.id)]), version: 5)
    let deleted = try world.ask(DeleteGroupsRequest(groupsNames: ["g"]), version: 2)
    #expect(deleted.results.map(\.errorCode) == [.none])
    #expect(try world.ask(ListGroupsRequest(), version: 5).groups.isEmpty)
    #expect(try state(world) == "Dead")
  }

  @Test func offsetsAreDeletedUnlessTheyAreRead() throws {
    let world = try world()
    _ = try world.ask(
      CreateTopicsRequest(topics: [.init(name: "u", numPartitions: 1, replicationFactor: 1)]),
      version: 7)
    let member = try stable(world)
    _ = try member.commit(5)
    _ = try member.commit(6, topic: "u")
    let answer = try world.ask(
      OffsetDeleteRequest(
        groupId: "g",
        topics: ["t", "u", "x"].map { .init(name: $0, partitions: [.init(partitionIndex: 0)]) }),
      version: 0)
    #expect(
      answer.topics.map { $0.partitions[0].errorCode }
        == [.groupSubscribedToTopic, .none, .unknownTopicOrPartition])
    #expect(world.broker.groups.committed("g")?.partitionsInOrder.map(\.topic) == ["t"])
  }

  @Test func offsetsGoWithTheirTopic() throws {
    let world = try world()
    let member = try stable(world)
    _ = try member.commit(5)
    _ = try world.ask(DeleteTopicsRequest(topicNames: ["t"]), version: 4)
    #expect(try offset(world) == -1)
  }

  @Test func offsetsOfAnEmptyGroupExpire() throws {
    let world = try world(["offsets.retention.minutes=60"])
    let member = try stable(world)
    _ = try member.commit(5)
    for _ in 0..<1_000 {
      world.pass(9_000)
      #expect(try member.heartbeat() == .none)
    }
    #expect(try offset(world) == 5)
    _ = try world.ask(
      LeaveGroupRequest(groupId: "g", members: [.init(memberId: member.id)]), version: 5)
    world.pass(50 * 60_000)
    #expect(try offset(world) == 5)
    world.pass(20 * 60_000)
    #expect(try offset(world) == -1)
    #expect(try state(world) == "Dead")
    world.pass(600_000)
    #expect(world.timerCount == 0, "nothing is left to wake up for")
  }

  // MARK: - Commits

  struct CommitCase: Sendable {
    var name: String
    var group = "g"
    var member: String?
    var generation: Int32?
    var version: Int16 = 8
    var error: ErrorCode
  }

  @Test(arguments: [
    CommitCase(name: "as it should be", error: .none),
    CommitCase(name: "old generation", generation: 0, error: .illegalGeneration),
    CommitCase(name: "nobody", member: "nobody", error: .unknownMemberId),
    CommitCase(name: "past the members", member: "", generation: -1, error: .unknownMemberId),
    CommitCase(name: "no such group", group: "x", error: .illegalGeneration),
    CommitCase(name: "no such group, newer", group: "x", version: 9, error: .groupIdNotFound),
    CommitCase(name: "by hand", group: "x", member: "", generation: -1, error: .none),
  ])
  func commits(_ commit: CommitCase) throws {
    let world = try world()
    let member = try stable(world)
    let answer = try world.ask(
      OffsetCommitRequest(
        groupId: commit.group, generationIdOrMemberEpoch: commit.generation ?? member.generation,
        memberId: commit.member ?? member.id,
        topics: [.init(name: "t", partitions: [.init(partitionIndex: 0, committedOffset: 1)])]),
      version: commit.version)
    #expect(answer.topics[0].partitions[0].errorCode == commit.error, "\(commit.name)")
  }

  @Test func aCommitDuringTheRebalance() throws {
    let world = try world()
    let member = try stable(world)
    var other = TestMember(world)
    _ = try other.take(other.sendJoin())
    let otherJoin = try other.sendJoin()
    // The old generation may commit until the new one begins.
    #expect(try member.heartbeat() == .rebalanceInProgress)
    #expect(try member.commitError(try member.commit(7)) == ErrorCode.none)
    var rejoined = member
    let join = try member.sendJoin()
    _ = try rejoined.take(join)
    _ = try other.take(otherJoin)
    #expect(rejoined.generation == 2)
    #expect(try member.commitError(try member.commit(8)) == .illegalGeneration)
    #expect(try rejoined.commitError(try rejoined.commit(8)) == .rebalanceInProgress)
    #expect(try offset(world) == 7)
  }

  @Test func badPartitionsHaveTheirOwnErrors() throws {
    let world = try world(["offset.metadata.max.bytes=4"])
    let answer = try world.ask(
      OffsetCommitRequest(
        groupId: "x",
        topics: [
          .init(
            name: "t",
            partitions: [
              .init(partitionIndex: 0, committedOffset: 1, committedMetadata: "1234"),
              .init(partitionIndex: 1, committedOffset: 1, committedMetadata: "12345"),
              .init(partitionIndex: 2, committedOffset: 1),
            ]), .init(name: "none", partitions: [.init(partitionIndex: 0, committedOffset: 1)]),
        ]), version: 8)
    #expect(
      answer.topics.flatMap { $0.partitions.map(\.errorCode) }
        == [.none, .offsetMetadataTooLarge, .unknownTopicOrPartition, .unknownTopicOrPartition])
  }

  @Test func manyCommitsOfOneRoundAreOneBatch() throws {
    let world = try world()
    let before = world.logWriter.messages.count
    world.delivers = false
    for number in 0..<20 {
      world.enqueue {
        _ = try world.send(
          OffsetCommitRequest(
            groupId: "x",
            topics: [
              .init(
                name: "t",
                partitions: [.init(partitionIndex: 0, committedOffset: Int64(number))])
            ]), version: 8)
      }
    }
    try world.runQueued()
    world.delivers = true
    world.settle()
    #expect(world.logWriter.messages.count == before + 1)
    #expect(try offset(world, "x") == 19)
  }

  @Test func everyVersionOfOffsetFetchSaysTheSame() throws {
    let world = try world()
    let member = try stable(world)
    _ = try member.commit(5)
    for version in Int16(1)...7 {
      let answer = try world.ask(
        OffsetFetchRequest(
          groupId: "g", topics: [.init(name: "t", partitionIndexes: [0, 1])]), version: version)
      #expect(answer.errorCode == .none)
      #expect(answer.topics[0].partitions.map(\.committedOffset) == [5, -1])
      #expect(answer.topics[0].partitions.map(\.metadata) == ["m5", ""])
      #expect(
        answer.topics[0].partitions.map(\.committedLeaderEpoch) == [version >= 5 ? 0 : -1, -1])
    }
    let all = try world.ask(
      OffsetFetchRequest(groups: [
        .init(groupId: "g", topics: nil), .init(groupId: "x", topics: nil),
      ]),
      version: 8)
    #expect(all.groups.map { $0.topics.count } == [1, 0])
  }
}
