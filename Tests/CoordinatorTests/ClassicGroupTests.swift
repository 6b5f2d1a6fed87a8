// Scenarios of classic groups, on a clock of their own.

import KafkaProtocol
import Model
import Testing

@testable import Coordinator

@Suite struct ClassicGroupTests {
  @Test func aNewMemberGetsItsIdFirst() throws {
    var bench = GroupBench()
    let first = bench.join()
    let answer = try #require(bench.joined[first])
    #expect(answer.error == .memberIdRequired)
    #expect(answer.memberId == "m-1")
    #expect(bench.group.pendingMembers == ["m-1"])
    let second = bench.join("m-1")
    #expect(bench.joined[second] == nil)
    #expect(bench.group.phase == .preparingRebalance)
    bench.pass(2_999)
    #expect(bench.joined[second] == nil)
    bench.pass(1)
    let joined = try #require(bench.joined[second])
    #expect(joined.error == .none)
    #expect(joined.generationId == 1)
    #expect(joined.leader == "m-1")
    #expect(joined.protocolName == "range")
    #expect(joined.members.map(\.id) == ["m-1"])
  }

  @Test func oldClientsJoinAtOnce() {
    var bench = GroupBench()
    let reply = bench.join(version: 3)
    bench.pass(3_000)
    #expect(bench.joined[reply]?.error == ErrorCode.none)
  }

  @Test func theInitialDelayGrowsWithNewMembersUpToTheRebalanceTimeout() {
    var bench = GroupBench()
    let first = bench.join(rebalanceMs: 7_000, version: 3)
    bench.pass(2_000)
    _ = bench.join(rebalanceMs: 7_000, version: 3)
    bench.pass(2_000)
    #expect(bench.joined[first] == nil)
    _ = bench.join(rebalanceMs: 7_000, version: 3)
    bench.pass(2_000)
    #expect(bench.joined[first] == nil)
    _ = bench.join(rebalanceMs: 7_000, version: 3)
    // 3 s, 3 s, and the last second of the rebalance time-out.
    bench.pass(1_000)
    #expect(bench.joined[first]?.generationId == 1)
    #expect(bench.joined[first]?.members.count == 4)
  }

  @Test func withoutDelayTheFirstMemberGoesAtOnce() {
    var bench = GroupBench(GroupLimits(initialRebalanceDelayMs: 0))
    let reply = bench.join(version: 3)
    bench.pass(0)
    #expect(bench.joined[reply]?.error == ErrorCode.none)
  }

  @Test func everyoneGetsItsAssignmentWhenTheRecordIsIn() throws {
    var bench = GroupBench()
    bench.persistsAtOnce = false
    let a = bench.join(version: 3)
    let b = bench.join(version: 3)
    bench.pass(10_000)
    let leader = try #require(bench.joined[a]?.leader)
    #expect(bench.joined[a]?.members.count == 2)
    #expect(bench.joined[b]?.members.isEmpty == true)
    let followerSync = bench.sync("m-2", generation: 1)
    #expect(bench.synced[followerSync] == nil)
    let leaderSync = bench.sync(leader, generation: 1, assignments: ["m-1": [1], "m-2": [2]])
    #expect(bench.synced[leaderSync] == nil)
    #expect(bench.group.phase == .completingRebalance)
    bench.persist()
    #expect(bench.synced[leaderSync]?.assignment == [1])
    #expect(bench.synced[followerSync]?.assignment == [2])
    #expect(bench.synced[followerSync]?.protocolName == "range")
    #expect(bench.group.phase == .stable)
    #expect(bench.records.last?.members.map(\.assignment) == [[1], [2]])
    // A member that asks again gets the same.
    let again = bench.sync("m-2", generation: 1)
    #expect(bench.synced[again]?.assignment == [2])
  }

  @Test func aFailedRecordMakesMembersJoinAgain() {
    var bench = GroupBench()
    bench.persistsAtOnce = false
    _ = bench.join(version: 3)
    bench.pass(10_000)
    let sync = bench.sync("m-1", generation: 1, assignments: ["m-1": [1]])
    bench.persist(.notCoordinator)
    #expect(bench.synced[sync]?.error == .notCoordinator)
    #expect(bench.group.phase == .preparingRebalance)
    let join = bench.join("m-1")
    #expect(bench.joined[join]?.generationId == 2)
  }

  @Test func aRebalanceDuringTheRecordWins() {
    var bench = GroupBench()
    bench.persistsAtOnce = false
    _ = bench.join(version: 3)
    bench.pass(10_000)
    let sync = bench.sync("m-1", generation: 1, assignments: ["m-1": [1]])
    _ = bench.join(version: 3)
    #expect(bench.synced[sync]?.error == .rebalanceInProgress)
    bench.persist()
    #expect(bench.group.phase == .preparingRebalance)
    #expect(bench.group.members["m-1"]?.assignment == [])
  }

  @Test func threeMembersOneLeaves() {
    var bench = GroupBench()
    let members = bench.makeStable(3)
    #expect(bench.group.phase == .stable)
    #expect(bench.leave(members[1]) == [.none])
    #expect(bench.group.phase == .preparingRebalance)
    #expect(bench.heartbeat(members[0], generation: 1) == .rebalanceInProgress)
    #expect(bench.heartbeat(members[1], generation: 1) == .unknownMemberId)
    let leader = bench.join(members[0])
    #expect(bench.joined[leader] == nil)
    let other = bench.join(members[2])
    #expect(bench.joined[leader]?.generationId == 2)
    #expect(bench.joined[other]?.generationId == 2)
    #expect(bench.joined[leader]?.members.count == 2)
  }

  @Test func whoDoesNotRejoinIsOut() {
    var bench = GroupBench()
    let members = bench.makeStable(3, rebalanceMs: 5_000)
    // A session that outlives the rebalance.
    let leader = bench.join(members[0], sessionMs: 30_000, rebalanceMs: 5_000)
    let other = bench.join(members[1], sessionMs: 30_000, rebalanceMs: 5_000)
    #expect(bench.heartbeat(members[2], generation: 1) == .rebalanceInProgress)
    bench.pass(5_000)
    #expect(bench.joined[leader]?.members.map(\.id).sorted() == members[..<2].sorted())
    #expect(bench.joined[other]?.generationId == 2)
    #expect(bench.heartbeat(members[2], generation: 1) == .unknownMemberId)
  }

  @Test func aSilentMemberTimesOut() {
    var bench = GroupBench()
    let members = bench.makeStable(2)
    bench.pass(9_999)
    #expect(bench.heartbeat(members[0], generation: 1) == ErrorCode.none)
    bench.pass(1)
    #expect(bench.group.members.count == 1)
    #expect(bench.group.phase == .preparingRebalance)
    #expect(bench.heartbeat(members[0], generation: 1) == .rebalanceInProgress)
  }

  @Test func aCommitIsASignOfLife() {
    var bench = GroupBench()
    let members = bench.makeStable(1)
    for _ in 0..<5 {
      bench.pass(8_000)
      bench.on(.committed(memberId: members[0]))
    }
    #expect(bench.group.phase == .stable)
    bench.pass(10_000)
    #expect(bench.group.phase == .empty)
  }

  @Test func theLastMemberLeavesAnEmptyGroup() {
    var bench = GroupBench()
    let members = bench.makeStable(1)
    #expect(bench.leave(members[0]) == [.none])
    #expect(bench.group.phase == .empty)
    #expect(bench.group.generationId == 2)
    #expect(bench.records.last?.members.isEmpty == true)
    #expect(bench.records.last?.generation == 2)
    #expect(bench.deadlines.isEmpty)
  }

  @Test func aPendingMemberHoldsTheRebalanceUpAndTimesOut() {
    var bench = GroupBench()
    let members = bench.makeStable(1)
    _ = bench.join(sessionMs: 6_000)
    let leader = bench.join(members[0], sessionMs: 30_000)
    #expect(bench.joined[leader] == nil)
    bench.pass(6_000)
    #expect(bench.joined[leader]?.generationId == 2)
  }

  @Test func whoNeverSyncsIsOut() {
    var bench = GroupBench()
    let a = bench.join(sessionMs: 100_000, rebalanceMs: 20_000, version: 3)
    _ = bench.join(sessionMs: 100_000, rebalanceMs: 20_000, version: 3)
    bench.pass(6_000)
    #expect(bench.joined[a]?.generationId == 1)
    let sync = bench.sync("m-1", generation: 1, assignments: ["m-1": [1]])
    #expect(bench.synced[sync]?.error == ErrorCode.none)
    bench.pass(20_000)
    #expect(Array(bench.group.members.keys) == ["m-1"])
    #expect(bench.group.phase == .preparingRebalance)
  }

  struct JoinCase: Sendable {
    var name: String
    var memberId = ""
    var instance: String?
    var protocols = ["range"]
    var type = "consumer"
    var error: ErrorCode
  }

  @Test(arguments: [
    JoinCase(name: "unknown member", memberId: "nobody", error: .unknownMemberId),
    JoinCase(name: "other type", type: "connect", error: .inconsistentGroupProtocol),
    JoinCase(name: "no common protocol", protocols: ["sticky"], error: .inconsistentGroupProtocol),
    JoinCase(name: "no protocol", protocols: [], error: .inconsistentGroupProtocol),
    JoinCase(name: "unknown instance", memberId: "m-1", instance: "i", error: .unknownMemberId),
  ])
  func wrongJoins(_ wrong: JoinCase) {
    var bench = GroupBench()
    _ = bench.makeStable(2)
    let reply = bench.join(
      wrong.memberId, instance: wrong.instance, protocols: wrong.protocols, type: wrong.type)
    #expect(bench.joined[reply]?.error == wrong.error, "\(wrong.name)")
    #expect(bench.group.phase == .stable)
  }

  @Test func aFirstMemberNeedsATypeAndAProtocol() {
    var bench = GroupBench()
    let noType = bench.join(type: "")
    let noProtocols = bench.join(protocols: [])
    #expect(bench.joined[noType]?.error == .inconsistentGroupProtocol)
    #expect(bench.joined[noProtocols]?.error == .inconsistentGroupProtocol)
    #expect(bench.group.isForgettable)
  }

  @Test func wrongSyncsAndHeartbeats() {
    var bench = GroupBench()
    let members = bench.makeStable(1)
    let stale = bench.sync(members[0], generation: 0)
    #expect(bench.synced[stale]?.error == .illegalGeneration)
    let nobody = bench.sync("nobody", generation: 1)
    #expect(bench.synced[nobody]?.error == .unknownMemberId)
    let type = bench.sync(members[0], generation: 1, type: "connect")
    #expect(bench.synced[type]?.error == .inconsistentGroupProtocol)
    let name = bench.sync(members[0], generation: 1, name: "sticky")
    #expect(bench.synced[name]?.error == .inconsistentGroupProtocol)
    #expect(bench.heartbeat(members[0], generation: 2) == .illegalGeneration)
    #expect(bench.heartbeat("nobody", generation: 1) == .unknownMemberId)
    #expect(bench.heartbeat(members[0], generation: 1, instance: "i") == .unknownMemberId)
    #expect(bench.leave("nobody") == [.unknownMemberId])
  }

  @Test func theMostWantedCommonProtocolWins() {
    var bench = GroupBench()
    _ = bench.join(protocols: ["range", "sticky", "x"], version: 3)
    _ = bench.join(protocols: ["sticky", "range"], version: 3)
    let last = bench.join(protocols: ["y", "sticky", "range"], version: 3)
    bench.pass(10_000)
    #expect(bench.joined[last]?.protocolName == "sticky")
  }

  @Test func aFollowerThatRejoinsUnchangedDisturbsNobody() {
    var bench = GroupBench()
    let members = bench.makeStable(2)
    let reply = bench.join(members[1])
    #expect(bench.joined[reply]?.generationId == 1)
    #expect(bench.joined[reply]?.members.isEmpty == true)
    #expect(bench.group.phase == .stable)
    _ = bench.join(members[1], metadata: [2])
    #expect(bench.group.phase == .preparingRebalance)
  }

  @Test func aLeaderThatRejoinsRebalances() {
    var bench = GroupBench()
    let members = bench.makeStable(2)
    _ = bench.join(members[0])
    #expect(bench.group.phase == .preparingRebalance)
  }

  @Test func aSecondJoinReplacesTheFirst() {
    var bench = GroupBench()
    let members = bench.makeStable(2)
    let first = bench.join(members[0])
    let second = bench.join(members[0])
    #expect(bench.joined[first]?.error == .rebalanceInProgress)
    #expect(bench.joined[second] == nil)
    _ = bench.join(members[1])
    #expect(bench.joined[second]?.generationId == 2)
  }

  @Test func theGroupHasAMaximum() {
    var bench = GroupBench(GroupLimits(sizeMax: 2))
    _ = bench.makeStable(2)
    let reply = bench.join(version: 3)
    #expect(bench.joined[reply]?.error == .groupMaxSizeReached)
    #expect(bench.group.phase == .stable)
  }

  @Test func aGroupFromTheLogGoesOn() throws {
    var before = GroupBench()
    let members = before.makeStable(2)
    let record = try #require(before.records.last)
    var bench = GroupBench(restoring: record)
    #expect(bench.group.phase == .stable)
    #expect(bench.group.protocolName == "range")
    #expect(bench.heartbeat(members[1], generation: 1) == ErrorCode.none)
    let sync = bench.sync(members[1], generation: 1)
    #expect(bench.synced[sync]?.assignment == Array(members[1].utf8))
    // Those who do not come back time out.
    bench.pass(9_000)
    #expect(bench.heartbeat(members[1], generation: 1) == ErrorCode.none)
    bench.pass(1_000)
    #expect(Array(bench.group.members.keys) == [members[1]])
  }
}
