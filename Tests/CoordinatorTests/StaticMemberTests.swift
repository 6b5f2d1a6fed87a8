// Static members: they come back under a new id without a rebalance, and whoever still uses the old
// one is fenced.

import KafkaProtocol
import Model
import Testing

@testable import Coordinator

@Suite struct StaticMemberTests {
  /// A stable group of two static members, a (the leader) and b.
  private func stable() -> (GroupBench, a: String, b: String) {
    var bench = GroupBench()
    _ = bench.join(instance: "a")
    _ = bench.join(instance: "b")
    bench.pass(10_000)
    _ = bench.sync("b-2", generation: 1, instance: "b")
    _ = bench.sync(
      "a-1", generation: 1, instance: "a", assignments: ["a-1": [1], "b-2": [2]])
    return (bench, "a-1", "b-2")
  }

  @Test func aStaticMemberNeedsNoIdFirst() {
    let (bench, _, _) = stable()
    #expect(bench.group.phase == .stable)
    #expect(bench.group.memberIdByInstance == ["a": "a-1", "b": "b-2"])
  }

  @Test func aFollowerComesBackWithoutARebalance() {
    var (bench, _, old) = stable()
    let reply = bench.join(instance: "b")
    #expect(bench.joined[reply]?.error == ErrorCode.none)
    #expect(bench.joined[reply]?.generationId == 1)
    #expect(bench.joined[reply]?.memberId == "b-3")
    #expect(bench.joined[reply]?.skipAssignment == false)
    #expect(bench.group.phase == .stable)
    #expect(bench.records.last?.members.map(\.memberId) == ["a-1", "b-3"])
    let sync = bench.sync("b-3", generation: 1, instance: "b")
    #expect(bench.synced[sync]?.assignment == [2])
    #expect(bench.heartbeat(old, generation: 1, instance: "b") == .fencedInstanceId)
    let fenced = bench.join(old, instance: "b")
    #expect(bench.joined[fenced]?.error == .fencedInstanceId)
  }

  @Test(arguments: [Int16(8), 9]) func aLeaderComesBack(version: Int16) {
    var (bench, _, _) = stable()
    let reply = bench.join(instance: "a", version: version)
    let answer = bench.joined[reply]
    #expect(bench.group.leaderId == "a-3")
    #expect(bench.group.phase == .stable)
    if version >= 9 {
      #expect(answer?.skipAssignment == true)
      #expect(answer?.leader == "a-3")
      #expect(answer?.members.map(\.id) == ["a-3", "b-2"])
    } else {
      // It must not believe that it has to assign.
      #expect(answer?.leader == "a-1")
      #expect(answer?.members.isEmpty == true)
    }
  }

  @Test func aMemberThatComesBackChangedRebalancesIfTheProtocolChanges() {
    var bench = GroupBench()
    _ = bench.join(instance: "a", protocols: ["range"], version: 5)
    bench.pass(3_000)
    _ = bench.sync("a-1", generation: 1, instance: "a", assignments: ["a-1": [1]])
    let reply = bench.join(instance: "a", protocols: ["sticky", "range"])
    #expect(bench.joined[reply]?.generationId == 2)
    #expect(bench.joined[reply]?.protocolName == "sticky")
  }

  @Test func whileTheLeaderAssignsAReturnRebalances() {
    var bench = GroupBench()
    _ = bench.join(instance: "a")
    _ = bench.join(instance: "b")
    bench.pass(10_000)
    let waiting = bench.sync("b-2", generation: 1, instance: "b")
    _ = bench.join(instance: "b")
    #expect(bench.synced[waiting]?.error == .fencedInstanceId)
    #expect(bench.group.phase == .preparingRebalance)
  }

  @Test func aWaitingJoinOfTheOldIdIsFenced() {
    var bench = GroupBench()
    let first = bench.join(instance: "a")
    let second = bench.join(instance: "a")
    #expect(bench.joined[first]?.error == .fencedInstanceId)
    bench.pass(10_000)
    #expect(bench.joined[second]?.generationId == 1)
    #expect(bench.joined[second]?.members.map(\.instanceId) == ["a"])
  }

  @Test func aStaticMemberSurvivesARebalanceThatItMisses() {
    var (bench, a, _) = stable()
    let reply = bench.join(a, instance: "a", sessionMs: 10_000, rebalanceMs: 5_000)
    bench.pass(9_000)
    #expect(bench.joined[reply] == nil)
    // Its session ends: then it is out.
    bench.pass(1_000)
    #expect(bench.joined[reply]?.members.map(\.id) == [a])
  }

  @Test func anAdministratorRemovesByInstance() {
    var (bench, _, _) = stable()
    let codes = bench.leave([
      GroupLeaver(memberId: "", instanceId: "b"), GroupLeaver(memberId: "", instanceId: "x"),
      GroupLeaver(memberId: "b-9", instanceId: "a"),
    ])
    #expect(codes == [.none, .unknownMemberId, .fencedInstanceId])
    #expect(bench.group.memberIdByInstance == ["a": "a-1"])
    #expect(bench.group.phase == .preparingRebalance)
  }

  @Test func theOldIdAloneIsUnknown() {
    var (bench, _, old) = stable()
    _ = bench.join(instance: "b")
    #expect(bench.heartbeat(old, generation: 1) == .unknownMemberId)
  }
}
