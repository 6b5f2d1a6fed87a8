// A member of a group as a client plays it.

import KafkaProtocol
import Model
import Testing

@testable import Coordinator

struct TestMember {
  let world: FakeWorld
  let group: String
  var id = ""
  var generation: Int32 = -1

  init(_ world: FakeWorld, group: String = "g") {
    self.world = world
    self.group = group
  }

  func sendJoin(topics: [String] = ["t"], sessionMs: Int32 = 10_000) throws -> Reply {
    let subscription = try ConsumerProtocolSubscription(topics: topics).encodedVersioned(0)
    return try world.send(
      JoinGroupRequest(
        groupId: group, sessionTimeoutMs: sessionMs, rebalanceTimeoutMs: 20_000, memberId: id,
        protocolType: "consumer", protocols: [.init(name: "range", metadata: subscription)]),
      version: 9, clientId: "c")
  }

  mutating func take(_ reply: Reply) throws -> JoinGroupResponse {
    let joined = try #require(try world.answer(JoinGroupResponse.self, to: reply))
    id = joined.memberId
    generation = joined.generationId
    return joined
  }

  func sendSync(_ assignments: [String: [UInt8]] = [:]) throws -> Reply {
    try world.send(
      SyncGroupRequest(
        groupId: group, generationId: generation, memberId: id, protocolType: "consumer",
        protocolName: "range",
        assignments: assignments.map { .init(memberId: $0.key, assignment: $0.value) }), version: 5)
  }

  func heartbeat() throws -> ErrorCode {
    try world.ask(
      HeartbeatRequest(groupId: group, generationId: generation, memberId: id), version: 4
    ).errorCode
  }

  func commit(_ offset: Int64, topic: String = "t", partition: Int32 = 0) throws -> Reply {
    try world.send(
      OffsetCommitRequest(
        groupId: group, generationIdOrMemberEpoch: generation, memberId: id,
        topics: [
          .init(
            name: topic,
            partitions: [
              .init(
                partitionIndex: partition, committedOffset: offset, committedLeaderEpoch: 0,
                committedMetadata: "m\(offset)")
            ])
        ]), version: 9)
  }

  func commitError(_ reply: Reply) throws -> ErrorCode? {
    try world.answer(OffsetCommitResponse.self, to: reply)?.topics[0].partitions[0].errorCode
  }
}
