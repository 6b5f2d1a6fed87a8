// A classic group on the bench: its deadlines run on a clock that the test moves, its records are
// persisted when the test says so, its answers are collected.

import KafkaProtocol
import Model

@testable import Coordinator

struct GroupBench {
  var group: ClassicGroup
  private(set) var nowMs: Int64 = 1_000_000
  private(set) var joined: [Reply: JoinAnswer] = [:]
  private(set) var synced: [Reply: SyncAnswer] = [:]
  private(set) var heartbeats: [Reply: ErrorCode] = [:]
  private(set) var left: [Reply: [LeaveAnswer]] = [:]
  private(set) var deadlines: [GroupTimer.Slot: (atMs: Int64, timer: GroupTimer)] = [:]
  /// Records on their way into the log.
  private(set) var persisting: [(GroupMetadataValue, GroupPersisting)] = []
  /// Records in the log.
  private(set) var records: [GroupMetadataValue] = []
  var persistsAtOnce = true
  private var lastRequest: UInt64 = 0
  private var lastMember = 0

  init(_ limits: GroupLimits = GroupLimits()) {
    group = ClassicGroup(id: "g", limits: limits, nowMs: nowMs)
  }

  init(restoring value: GroupMetadataValue, _ limits: GroupLimits = GroupLimits()) {
    group = ClassicGroup(id: "g", limits: limits, stored: value)
    perform(group.resume(nowMs: nowMs))
  }

  mutating func on(_ event: GroupEvent) { perform(group.on(event, nowMs: nowMs)) }

  mutating func join(
    _ memberId: String = "", instance: String? = nil, protocols: [String] = ["range"],
    metadata: [UInt8] = [1], type: String = "consumer", sessionMs: Int32 = 10_000,
    rebalanceMs: Int32 = 60_000, version: Int16 = 9
  ) -> Reply {
    lastMember += 1
    let reply = newReply(.joinGroup, version)
    on(
      .join(
        GroupJoin(
          memberId: memberId, instanceId: instance,
          newMemberId: "\(instance ?? "m")-\(lastMember)", clientId: "c", clientHost: "/h",
          protocolType: type,
          protocols: protocols.map { GroupProtocol(name: $0, metadata: metadata) },
          sessionTimeoutMs: sessionMs, rebalanceTimeoutMs: rebalanceMs,
          requiresKnownMemberId: version >= 4, supportsSkippingAssignment: version >= 9),
        reply))
    return reply
  }

  mutating func sync(
    _ memberId: String, generation: Int32, instance: String? = nil,
    assignments: [String: [UInt8]] = [:], type: String? = "consumer", name: String? = nil
  ) -> Reply {
    let reply = newReply(.syncGroup, 5)
    on(
      .sync(
        GroupSync(
          memberId: memberId, instanceId: instance, generationId: generation, protocolType: type,
          protocolName: name ?? group.protocolName, assignments: assignments), reply))
    return reply
  }

  mutating func heartbeat(
    _ memberId: String, generation: Int32, instance: String? = nil
  ) -> ErrorCode? {
    let reply = newReply(.heartbeat, 4)
    on(
      .heartbeat(
        GroupHeartbeat(memberId: memberId, instanceId: instance, generationId: generation), reply))
    return heartbeats[reply]
  }

  mutating func leave(_ members: [GroupLeaver]) -> [ErrorCode] {
    let reply = newReply(.leaveGroup, 5)
    on(.leave(members, reply))
    return left[reply]?.map(\.error) ?? []
  }

  mutating func leave(_ memberId: String) -> [ErrorCode] {
    leave([GroupLeaver(memberId: memberId, instanceId: nil)])
  }

  /// Lets time pass, deadlines coming due on the way.
  mutating func pass(_ ms: Int64) {
    let end = nowMs + ms
    while let next = deadlines.min(by: { $0.value.atMs < $1.value.atMs }), next.value.atMs <= end {
      nowMs = max(nowMs, next.value.atMs)
      deadlines[next.key] = nil
      on(.timer(next.value.timer))
    }
    nowMs = end
  }

  /// The log answers the oldest record.
  mutating func persist(_ error: ErrorCode = .none) {
    let (value, what) = persisting.removeFirst()
    if error == .none { records.append(value) }
    on(.persisted(what, error))
  }

  /// Makes a stable group of `count` dynamic members; the first one leads.
  mutating func makeStable(_ count: Int, rebalanceMs: Int32 = 60_000) -> [String] {
    var members: [String] = []
    for _ in 0..<count {
      let first = join(rebalanceMs: rebalanceMs)
      members.append(joined[first]?.memberId ?? "")
    }
    let replies = members.map { join($0, rebalanceMs: rebalanceMs) }
    pass(Int64(group.limits.initialRebalanceDelayMs) * 2)
    let leader = joined[replies[0]]?.leader ?? ""
    for member in members where member != leader {
      _ = sync(member, generation: group.generationId)
    }
    _ = sync(
      leader, generation: group.generationId,
      assignments: Dictionary(uniqueKeysWithValues: members.map { ($0, Array($0.utf8)) }))
    return [leader] + members.filter { $0 != leader }
  }

  private mutating func newReply(_ key: ApiKey, _ version: Int16) -> Reply {
    lastRequest += 1
    return Reply(
      channel: 1, connection: 1, request: lastRequest, apiKey: key, apiVersion: version,
      correlationId: 0)
  }

  private mutating func perform(_ actions: [GroupAction]) {
    for action in actions {
      switch action {
      case .joined(let reply, let answer):
        precondition(joined[reply] == nil, "answered twice")
        joined[reply] = answer
      case .synced(let reply, let answer):
        precondition(synced[reply] == nil, "answered twice")
        synced[reply] = answer
      case .heartbeat(let reply, let error): heartbeats[reply] = error
      case .left(let reply, let answers): left[reply] = answers
      case .schedule(let timer, let afterMs):
        deadlines[timer.slot] = (nowMs + Int64(max(0, afterMs)), timer)
      case .cancel(let slot): deadlines[slot] = nil
      case .persist(let value, let what):
        persisting.append((value, what))
        if persistsAtOnce { persist() }
      }
    }
  }
}
