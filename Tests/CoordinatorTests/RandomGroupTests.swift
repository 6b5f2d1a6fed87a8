// Random sequences of what clients, time and the logwriter do to groups. After every step the rules
// of a group hold, and what is in memory is what reading the log gives.

import KafkaProtocol
import Model
import Records
import Testing

@testable import Coordinator

@Suite struct RandomGroupTests {
  /// A client that does whatever comes to its mind, mostly with the ids it was given.
  private struct Client {
    var group: String
    var instance: String?
    var id = ""
    var generation: Int32 = -1
    var joining: Reply?
    var syncing: Reply?
    var isLeader = false
  }

  private final class Run {
    var seed: Seed
    let world: FakeWorld
    var clients: [Client] = []
    var waiting: [Reply] = []
    var generations: [String: Int32] = [:]

    init(_ seed: Seed) throws {
      self.seed = seed
      world = try FakeWorld([
        "offsets.topic.num.partitions=2", "group.initial.rebalance.delay.ms=500",
        "offsets.retention.minutes=30", "offsets.retention.check.interval.ms=60000",
        "group.max.size=5",
      ])
      _ = try world.ask(
        CreateTopicsRequest(topics: [.init(name: "t", numPartitions: 4, replicationFactor: 1)]),
        version: 7)
      _ = try world.ask(FindCoordinatorRequest(coordinatorKeys: ["g"]), version: 4)
      for number in 0..<9 {
        clients.append(
          Client(
            group: number % 3 == 0 ? "a" : "b", instance: number % 4 == 1 ? "i\(number)" : nil))
      }
    }

    func step() throws {
      let number = seed.int(0...clients.count - 1)
      try takeAnswers(number)
      switch seed.int(1...100) {
      case 1...30: try join(number)
      case 31...50: try sync(number)
      case 51...62: try heartbeat(number)
      case 63...67: try leave(number)
      case 68...80: try commit(number)
      case 81...92: world.pass(Int64(seed.int(0...4_000)))
      case 93: world.pass(Int64(seed.int(0...100_000)))
      case 94: world.disconnect()
      case 95...97: reconnect()
      case 98: world.delivers.toggle()
      case 99: world.logWriter.appendError = seed.chance(30) ? .kafkaStorageError : .none
      default:
        clients[number] = Client(group: clients[number].group, instance: clients[number].instance)
      }
      world.settle()
    }

    func reconnect() {
      world.delivers = true
      if !world.isConnected {
        world.logWriter.restart()
        world.connect()
      }
      world.settle()
    }

    private func takeAnswers(_ number: Int) throws {
      if let reply = clients[number].joining,
        let answer = try world.answer(JoinGroupResponse.self, to: reply)
      {
        clients[number].joining = nil
        if answer.errorCode == .none || answer.errorCode == .memberIdRequired {
          clients[number].id = answer.memberId
        } else if answer.errorCode == .unknownMemberId || answer.errorCode == .fencedInstanceId {
          clients[number].id = ""
        }
        if answer.errorCode == .none {
          clients[number].generation = answer.generationId
          clients[number].isLeader = answer.leader == answer.memberId
        }
      }
      if let reply = clients[number].syncing,
        try world.answer(SyncGroupResponse.self, to: reply) != nil
      {
        clients[number].syncing = nil
      }
    }

    private func join(_ number: Int) throws {
      if clients[number].joining != nil, seed.chance(80) { return }
      let client = clients[number]
      let names = seed.chance(80) ? ["range", "sticky"] : ["sticky", "x"]
      let reply = try world.send(
        JoinGroupRequest(
          groupId: client.group, sessionTimeoutMs: 6_000, rebalanceTimeoutMs: 8_000,
          memberId: client.id, groupInstanceId: client.instance, protocolType: "consumer",
          protocols: names.map {
            .init(name: $0, metadata: [0, 0, 0, 0, 0, 0, UInt8(seed.int(0...1)), 0, 0, 0, 0])
          }), version: Int16(seed.int(5...9)), clientId: "c\(number)")
      clients[number].joining = reply
      waiting.append(reply)
    }

    private func sync(_ number: Int) throws {
      let client = clients[number]
      let assignments = client.isLeader ? clients.map { ($0.id, [UInt8(seed.int(0...9))]) } : []
      let reply = try world.send(
        SyncGroupRequest(
          groupId: client.group, generationId: client.generation, memberId: client.id,
          groupInstanceId: client.instance,
          assignments: assignments.map { .init(memberId: $0.0, assignment: $0.1) }), version: 4)
      clients[number].syncing = reply
      waiting.append(reply)
    }

    private func heartbeat(_ number: Int) throws {
      let client = clients[number]
      waiting.append(
        try world.send(
          HeartbeatRequest(
            groupId: client.group, generationId: client.generation, memberId: client.id,
            groupInstanceId: client.instance), version: 4))
    }

    private func leave(_ number: Int) throws {
      let client = clients[number]
      waiting.append(
        try world.send(
          LeaveGroupRequest(
            groupId: client.group,
            members: [.init(memberId: client.id, groupInstanceId: client.instance)]), version: 5))
    }

    private func commit(_ number: Int) throws {
      let client = clients[number]
      let isByHand = seed.chance(20)
      waiting.append(
        try world.send(
          OffsetCommitRequest(
            groupId: isByHand ? "hand" : client.group,
            generationIdOrMemberEpoch: isByHand ? -1 : client.generation,
            memberId: isByHand ? "" : client.id, groupInstanceId: isByHand ? nil : client.instance,
            topics: [
              .init(
                name: "t",
                partitions: [
                  .init(
                    partitionIndex: Int32(seed.int(0...3)),
                    committedOffset: Int64(seed.int(0...1_000)))
                ])
            ]), version: 8))
    }

    // MARK: - Rules

    func checkGroups(_ step: Int) {
      for shard in world.broker.groups.shards {
        for (id, group) in shard.sessions {
          let at = "step \(step) of \(seed), group \(id) in \(group.phase)"
          #expect(group.phase != .dead, "\(at)")
          #expect(
            group.generationId >= 0
              && Set(group.members.keys) == Set(group.members.values.map(\.id)),
            "\(at)")
          #expect(group.pendingSync.isSubset(of: group.members.keys), "\(at)")
          #expect(group.pendingMembers.isDisjoint(with: group.members.keys), "\(at)")
          #expect(
            group.memberIdByInstance.count == group.members.values.count { $0.isStatic }, "\(at)")
          for (instance, member) in group.memberIdByInstance {
            #expect(group.members[member]?.instanceId == instance, "\(at)")
          }
          if !group.members.isEmpty {
            #expect(group.leaderId.map { group.members[$0] != nil } == true, "\(at)")
          }
          switch group.phase {
          case .empty: #expect(group.members.isEmpty, "\(at)")
          case .stable:
            #expect(!group.members.isEmpty, "\(at)")
            #expect(
              group.members.values.allSatisfy { $0.joining == nil && $0.syncing == nil }, "\(at)")
          case .completingRebalance:
            #expect(group.members.values.allSatisfy { $0.joining == nil }, "\(at)")
          case .preparingRebalance:
            #expect(group.members.values.allSatisfy { $0.syncing == nil }, "\(at)")
          case .dead: break
          }
        }
      }
    }

    /// Live state is that of the log, and a group from the log is the group that lives.
    func checkLog(_ step: Int) {
      guard world.isConnected, world.delivers else { return }
      for shard in world.broker.groups.shards
      where shard.phase == .active && shard.sent.isEmpty && shard.waiting.isEmpty {
        guard let log = world.logWriter.log("__consumer_offsets", shard.partition) else { continue }
        var replayed = CommittedGroups()
        for record in world.logWriter.records(log.slot) {
          do {
            guard let key = record.key, let record = try GroupRecord(key: key, value: record.value)
            else { continue }
            replayed.replay(record)
          } catch { Issue.record("step \(step) of \(seed): \(error)") }
        }
        #expect(replayed == shard.committed, "step \(step) of \(seed)")
        #expect(shard.endOffset == log.endOffset, "step \(step) of \(seed)")
        for (id, live) in shard.sessions where live.phase == .stable {
          guard let stored = replayed[id]?.metadata else {
            Issue.record("step \(step) of \(seed): \(id) is stable and not in the log")
            continue
          }
          let restored = ClassicGroup(id: id, limits: live.limits, stored: stored)
          #expect(restored.generationId == live.generationId, "step \(step) of \(seed)")
          #expect(restored.protocolName == live.protocolName, "step \(step) of \(seed)")
          #expect(restored.protocolType == live.protocolType, "step \(step) of \(seed)")
        }
      }
    }

    /// With the logwriter back and enough time everybody is answered.
    func finish() {
      world.logWriter.appendError = .none
      reconnect()
      world.pass(700_000)
      for reply in waiting {
        #expect(world.hasAnswered(reply), "\(reply.apiKey) was never answered: \(seed)")
      }
      checkLog(.max)
    }
  }

  @Test(arguments: 0..<20) func anything(_ number: Int) throws {
    let run = try Run(Seed())
    for step in 0..<400 {
      try run.step()
      run.checkGroups(step)
      run.checkLog(step)
    }
    run.finish()
  }
}
