// Every API in every version that is served: a request gets one answer that the version can carry,
// in a world where things are there and in one where they are not; and bytes that are no request are
// refused, never more.

import IPC
import KafkaProtocol
import Linux
import Model
import Testing

@testable import Coordinator

@Suite struct AllVersionsTests {
  static let cases = HandledApis.all.flatMap { api in
    api.versions.map { ApiVersion(key: api.key, version: $0) }
  }

  struct ApiVersion: Sendable, CustomStringConvertible {
    var key: ApiKey
    var version: Int16
    var description: String { "\(key) v\(version)" }
  }

  @Test(arguments: cases) func isAnswered(_ at: ApiVersion) throws {
    let world = try FakeWorld(["group.initial.rebalance.delay.ms=0"])
    try prepare(world)
    for request in try requests(at, world) {
      let before = world.sent.count
      try world.send(request, version: at.version)
      world.pass(10_000)
      #expect(world.sent.count == before + 1, "\(at)")
      #expect(world.refused.isEmpty, "\(at): \(world.refused.map(\.reason))")
      try check(request, world.sent[world.sent.count - 1])
    }
  }

  @Test(arguments: cases) func isAnsweredWithoutALogwriter(_ at: ApiVersion) throws {
    let world = try FakeWorld(connect: false)
    for request in try requests(at, world) {
      let before = world.sent.count
      try world.send(request, version: at.version)
      world.pass(10_000)
      #expect(world.sent.count == before + 1, "\(at)")
      #expect(world.refused.isEmpty, "\(at): \(world.refused.map(\.reason))")
    }
  }

  @Test func randomBytesAreRefusedOrAnswered() throws {
    var seed = Seed()
    let world = try FakeWorld(["auto.create.topics.enable=false"])
    for number in 0..<3_000 {
      let at = Self.cases[seed.int(0...Self.cases.count - 1)]
      var frame: [UInt8] = []
      for part in [at.key.rawValue, at.version] {
        frame += [UInt8(truncatingIfNeeded: part >> 8), UInt8(truncatingIfNeeded: part)]
      }
      frame += [0, 0, 0, 1, 0xFF, 0xFF]
      if at.key.requestHeaderVersion(at.version) >= 2 { frame.append(0) }
      frame += (0..<seed.int(0...60)).map { _ in UInt8(seed.int(0...(seed.chance(50) ? 3 : 255))) }
      HandledApis.handle(
        ClientRequest(
          connection: 9, request: UInt64(number), listener: "PLAINTEXT", peer: "p:1",
          localHost: "h", localPort: 1, principal: "User:ANONYMOUS", frame: frame), channel: 1,
        world.broker)
      world.settle()
    }
    #expect(world.refused.count > 100, "\(seed)")
  }

  private func check<Request: WireRequest>(_ request: Request, _ sent: Sent) throws {
    let header = sent.reply.apiKey.responseHeaderVersion(sent.reply.apiVersion) >= 1 ? 9 : 8
    _ = try Request.Response(
      decoding: Array(sent.frame[header...]), version: sent.reply.apiVersion)
  }

  /// A topic, a group with a member and an offset.
  private func prepare(_ world: FakeWorld) throws {
    _ = try world.ask(
      CreateTopicsRequest(topics: [.init(name: "t", numPartitions: 2, replicationFactor: 1)]),
      version: 7)
    _ = try world.ask(FindCoordinatorRequest(key: "g"), version: 3)
    _ = try world.ask(
      OffsetCommitRequest(
        groupId: "simple",
        topics: [
          .init(
            name: "t", partitions: [.init(partitionIndex: 0, committedOffset: 5)])
        ]), version: 8)
    let join = try world.send(
      JoinGroupRequest(
        groupId: "g", sessionTimeoutMs: 300_000, protocolType: "consumer",
        protocols: [.init(name: "range", metadata: [0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF])]),
      version: 3)
    world.pass(10)
    let joined = try #require(try world.answer(JoinGroupResponse.self, to: join))
    _ = try world.ask(
      SyncGroupRequest(
        groupId: "g", generationId: 1, memberId: joined.memberId,
        assignments: [.init(memberId: joined.memberId, assignment: [1])]), version: 3)
  }

  // swift-format-ignore
  private func requests(_ at: ApiVersion, _ world: FakeWorld) throws -> [any WireRequest] {
    let version = at.version
    switch at.key {
    case .listOffsets:
      let timestamps: [Int64] = [-1, -2, -3, -4, -5, -6, 0, 1_800_000_000_000]
      return timestamps.map { timestamp in
        ListOffsetsRequest(replicaId: -1, topics: ["t", "none"].map {
          .init(name: $0, partitions: [.init(partitionIndex: 0, timestamp: timestamp)])
        })
      }
    case .metadata:
      var all: [any WireRequest] = [MetadataRequest(topics: version == 0 ? [] : nil)]
      for name in ["t", "new.topic", "..", "not/legal"] {
        all.append(MetadataRequest(
          topics: [.init(name: name)], allowAutoTopicCreation: true,
          includeClusterAuthorizedOperations: (8...10).contains(version),
          includeTopicAuthorizedOperations: version >= 8))
      }
      if version >= 12 {
        all.append(MetadataRequest(topics: [.init(topicId: UUID128(high: 7, low: 7), name: nil)]))
      }
      return all
    case .offsetCommit:
      return ["simple", "g", "new"].map { group in
        OffsetCommitRequest(groupId: group, topics: [
          .init(name: "t", partitions: [
            .init(partitionIndex: 0, committedOffset: 7, committedMetadata: "x"),
            .init(partitionIndex: 99, committedOffset: 7),
            .init(partitionIndex: 1, committedOffset: 7,
              committedMetadata: String(repeating: "m", count: 5_000)),
          ])])
      }
    case .offsetFetch:
      if version >= 8 {
        return [OffsetFetchRequest(groups: [
          .init(groupId: "simple", topics: nil), .init(groupId: "simple", topics: [.init(name: "t", partitionIndexes: [0, 1])]),
          .init(groupId: "none", topics: []),
        ])]
      }
      var all = [OffsetFetchRequest(groupId: "simple", topics: [.init(name: "t", partitionIndexes: [0, 1])])]
      if version >= 2 { all.append(OffsetFetchRequest(groupId: "simple", topics: nil)) }
      return all
    case .findCoordinator:
      return (0...3).compactMap { (type: Int8) -> (any WireRequest)? in
        if version == 0 && type > 0 { return nil }
        return version >= 4
          ? FindCoordinatorRequest(keyType: type, coordinatorKeys: ["a", "b"])
          : FindCoordinatorRequest(key: "a", keyType: type)
      }
    case .joinGroup:
      return [
        JoinGroupRequest(groupId: "", sessionTimeoutMs: 10_000, protocolType: "consumer"),
        JoinGroupRequest(groupId: "h", sessionTimeoutMs: 1, protocolType: "consumer"),
        JoinGroupRequest(groupId: "h", sessionTimeoutMs: 10_000, memberId: "nobody", protocolType: "consumer", protocols: [.init(name: "p")]),
        JoinGroupRequest(groupId: "h", sessionTimeoutMs: 10_000, protocolType: "consumer", protocols: [.init(name: "p")]),
        JoinGroupRequest(groupId: "s", sessionTimeoutMs: 10_000, groupInstanceId: version >= 5 ? "i" : nil, protocolType: "consumer", protocols: [.init(name: "p")]),
      ]
    case .heartbeat:
      return ["", "g", "none"].map { HeartbeatRequest(groupId: $0, generationId: 1, memberId: "x") }
    case .leaveGroup:
      return ["", "g", "none"].map { group in
        version >= 3
          ? LeaveGroupRequest(groupId: group, members: [.init(memberId: "x"), .init(memberId: "", groupInstanceId: "i")])
          : LeaveGroupRequest(groupId: group, memberId: "x")
      }
    case .syncGroup:
      return ["", "g", "none"].map {
        SyncGroupRequest(
          groupId: $0, generationId: 1, memberId: "x",
          protocolType: version >= 5 ? "consumer" : nil, protocolName: version >= 5 ? "range" : nil)
      }
    case .describeGroups:
      return [DescribeGroupsRequest(
        groups: ["g", "simple", "none"], includeAuthorizedOperations: version >= 3)]
    case .listGroups:
      return [ListGroupsRequest(
        statesFilter: version >= 4 ? ["Stable", "empty"] : [],
        typesFilter: version >= 5 ? ["Classic"] : [])]
    case .createTopics:
      return [false, true].map { validateOnly in
        CreateTopicsRequest(topics: [
          .init(name: "n1", numPartitions: 1, replicationFactor: 1),
          .init(name: "t", numPartitions: 1, replicationFactor: 1),
          .init(name: "n2", numPartitions: -1, replicationFactor: -1, configs: [.init(name: "x", value: "y")]),
        ], timeoutMs: 1_000, validateOnly: validateOnly)
      }
    case .deleteTopics:
      return [version >= 6
        ? DeleteTopicsRequest(topics: [.init(name: "t"), .init(topicId: UUID128(high: 1, low: 1)), .init()])
        : DeleteTopicsRequest(topicNames: ["t", "none"])]
    case .deleteRecords:
      return [DeleteRecordsRequest(topics: ["t", "none"].map {
        .init(name: $0, partitions: [.init(partitionIndex: 0, offset: -1), .init(partitionIndex: 1, offset: 5)])
      }, timeoutMs: 1_000)]
    case .initProducerId:
      return [nil, "", "tx"].map {
        InitProducerIdRequest(transactionalId: $0, transactionTimeoutMs: 1_000)
      }
    case .describeConfigs:
      return [DescribeConfigsRequest(resources: [
        .init(resourceType: 2, resourceName: "t"), .init(resourceType: 2, resourceName: "none"),
        .init(resourceType: 2, resourceName: "?"), .init(resourceType: 4, resourceName: "1", configurationKeys: ["log.dirs"]),
        .init(resourceType: 4, resourceName: "7"), .init(resourceType: 4, resourceName: "x"),
        .init(resourceType: 4, resourceName: ""), .init(resourceType: 8, resourceName: "1"), .init(resourceType: 77, resourceName: "1"),
      ], includeSynonyms: true, includeDocumentation: version >= 3)]
    case .alterConfigs:
      return [true, false].map { validateOnly in
        AlterConfigsRequest(resources: [
          .init(resourceType: 2, resourceName: "t", configs: [.init(name: "retention.ms", value: "5")]),
          .init(resourceType: 2, resourceName: "none", configs: []),
          .init(resourceType: 4, resourceName: "", configs: [.init(name: "max.connections", value: "500")]),
          .init(resourceType: 4, resourceName: "1", configs: [.init(name: "log.dirs", value: "/x")]),
          .init(resourceType: 77, resourceName: "1"),
        ], validateOnly: validateOnly)
      }
    case .incrementalAlterConfigs:
      return [true, false].map { validateOnly in
        IncrementalAlterConfigsRequest(resources: [
          .init(resourceType: 2, resourceName: "t", configs: [
            .init(name: "cleanup.policy", configOperation: 2, value: "compact"),
            .init(name: "retention.ms", configOperation: 1, value: nil)]),
          .init(resourceType: 4, resourceName: "1", configs: [.init(name: "max.connections", value: "500")]),
          .init(resourceType: 8, resourceName: "1"), .init(resourceType: 2, resourceName: ""),
        ], validateOnly: validateOnly)
      }
    case .listConfigResources:
      return version == 0 ? [ListConfigResourcesRequest()]
        : [[], [2, 4], [8, 16, 32], [77]].map { ListConfigResourcesRequest(resourceTypes: $0) }
    case .describeLogDirs:
      return [DescribeLogDirsRequest(topics: nil), DescribeLogDirsRequest(topics: [
        .init(topic: "t", partitions: [0, 7]), .init(topic: "none", partitions: [0])])]
    case .createPartitions:
      return [CreatePartitionsRequest(topics: [
        .init(name: "t", count: 3), .init(name: "none", count: 3),
      ], timeoutMs: 1_000)]
    case .deleteGroups:
      return [DeleteGroupsRequest(groupsNames: ["g", "simple", "none", "none"])]
    case .offsetDelete:
      return ["g", "simple", "none"].map {
        OffsetDeleteRequest(groupId: $0, topics: [
          .init(name: "t", partitions: [.init(partitionIndex: 0), .init(partitionIndex: 9)])])
      }
    case .describeCluster:
      return (0...3).compactMap { (type: Int8) -> (any WireRequest)? in
        if version == 0 && type != 1 { return nil }
        return DescribeClusterRequest(includeClusterAuthorizedOperations: true, endpointType: type)
      }
    case .describeTopicPartitions:
      return [DescribeTopicPartitionsRequest(topics: [.init(name: "t"), .init(name: "none")]),
        DescribeTopicPartitionsRequest(cursor: .init(topicName: "t", partitionIndex: 1))]
    default: throw WireError(.unknownApiKey, "test", at: 0)
    }
  }
}
