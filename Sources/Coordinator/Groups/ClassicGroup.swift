// A consumer group of the classic protocol, between its members: who is there, who is waiting, what
// phase the group is in. A value without clock, log or sockets: events go in, actions come out, and
// whoever runs it performs them (`GroupCoordinator`).
//
//   Empty ──join──▶ PreparingRebalance ──all joined──▶ CompletingRebalance ──leader's sync──▶ Stable
//     ▲                   │    ▲                              │                                │
//     └──── nobody left ──┘    └───────── join, leave, time-out of a member ◀──────────────────┘
//
// Rules and error codes are those of Kafka 4.1's group coordinator for classic groups. What has to
// survive a restart (generation, protocol, leader, members) leaves as `persist` when the group has
// become stable or empty.

import KafkaProtocol
import Model

enum GroupPhase: String, Equatable {
  case empty = "Empty"
  case preparingRebalance = "PreparingRebalance"
  case completingRebalance = "CompletingRebalance"
  case stable = "Stable"
  case dead = "Dead"
}

/// What the operator sets for all groups.
struct GroupLimits: Equatable {
  /// `group.initial.rebalance.delay.ms`
  var initialRebalanceDelayMs: Int32 = 3000
  /// `group.max.size`
  var sizeMax = Int(Int32.max)
  /// How long a JoinGroup of a new member may wait; Kafka has it fixed at 5 minutes.
  var newMemberJoinTimeoutMs: Int32 = 300_000
  /// Ids given to members that have not come back with them yet.
  var pendingMembersMax = 10_000
  /// Bytes of metadata that all members together may offer.
  var metadataBytesMax = 32 << 20
}

struct ClassicGroup: Equatable {
  let id: String
  let limits: GroupLimits
  private(set) var phase = GroupPhase.empty
  private(set) var previousPhase = GroupPhase.empty
  private(set) var phaseSinceMs: Int64
  var generationId: Int32 = 0
  var protocolType: String?
  var protocolName: String?
  var leaderId: String?
  var members: [String: GroupMember] = [:]
  /// Ids of static members, by `group.instance.id`.
  var memberIdByInstance: [String: String] = [:]
  /// New members that were given an id and have not joined with it yet.
  var pendingMembers: Set<String> = []
  /// Members that have not asked for their assignment of this generation.
  var pendingSync: Set<String> = []
  /// While the first rebalance is being delayed: someone has joined since the last look.
  var newMemberAdded = false
  /// A deadline for the join phase runs.
  var actions: [GroupAction] = []

  /// A group that nobody has joined.
  init(id: String, limits: GroupLimits, nowMs: Int64) {
    self.id = id
    self.limits = limits
    phaseSinceMs = nowMs
  }

  /// A group as the log has it. Its members have to show themselves within their session time-outs.
  init(id: String, limits: GroupLimits, stored: GroupMetadataValue) {
    self.id = id
    self.limits = limits
    phase = stored.members.isEmpty ? .empty : .stable
    previousPhase = phase
    phaseSinceMs = stored.currentStateTimestamp
    generationId = stored.generation
    protocolType = stored.protocolType.isEmpty ? nil : stored.protocolType
    protocolName = stored.protocol
    leaderId = stored.leader
    for value in stored.members {
      let member = GroupMember(stored: value, protocolName: stored.protocol ?? "")
      members[member.id] = member
      if let instanceId = member.instanceId { memberIdByInstance[instanceId] = member.id }
    }
  }

  /// Nothing is known of it and nobody waits: it need not be kept.
  var isForgettable: Bool {
    phase == .empty && generationId == 0 && members.isEmpty && pendingMembers.isEmpty
  }

  /// Takes an event in.
  /// - Parameter nowMs: wall clock, for the time of a change of phase.
  /// - Returns: what is to be done, in this order.
  mutating func on(_ event: GroupEvent, nowMs: Int64) -> [GroupAction] {
    actions.removeAll()
    switch event {
    case .join(let join, let reply): onJoin(join, reply, nowMs)
    case .sync(let sync, let reply): onSync(sync, reply, nowMs)
    case .heartbeat(let heartbeat, let reply): onHeartbeat(heartbeat, reply)
    case .leave(let leavers, let reply): onLeave(leavers, reply, nowMs)
    case .committed(let memberId):
      if let member = members[memberId] { awaitSignOfLife(member) }
    case .timer(let timer): onTimer(timer, nowMs)
    case .persisted(let what, let error): onPersisted(what, error, nowMs)
    }
    defer { actions.removeAll() }
    return actions
  }

  /// The deadlines of a group that was just taken from the log; a group that has become too large
  /// for `group.max.size` rebalances at once.
  mutating func resume(nowMs: Int64) -> [GroupAction] {
    actions.removeAll()
    for member in membersInOrder { awaitSignOfLife(member) }
    if members.count > limits.sizeMax { prepareRebalance(nowMs) }
    defer { actions.removeAll() }
    return actions
  }

  /// Answers everybody who waits with `error`: the group moves away or its log is lost.
  mutating func abandon(_ error: ErrorCode) -> [GroupAction] {
    actions.removeAll()
    for member in membersInOrder {
      answerJoin(member.id, JoinAnswer(error: error, memberId: member.id))
      answerSync(member.id, SyncAnswer(error: error))
      actions.append(.cancel(.member(member.id)))
    }
    for id in pendingMembers.sorted() { actions.append(.cancel(.member(id))) }
    actions.append(.cancel(.join))
    actions.append(.cancel(.sync))
    phase = .dead
    defer { actions.removeAll() }
    return actions
  }

  // MARK: - Shared by the parts of the state machine

  var membersInOrder: [GroupMember] { members.values.sorted { $0.id < $1.id } }

  /// Whether `memberId`, with `instanceId` if it is static, is a member; if not, the error.
  func validate(_ memberId: String, _ instanceId: String?) -> ErrorCode {
    if let instanceId {
      guard let current = memberIdByInstance[instanceId] else { return .unknownMemberId }
      if current != memberId { return .fencedInstanceId }
    }
    return members[memberId] == nil ? .unknownMemberId : .none
  }

  mutating func move(to next: GroupPhase, _ nowMs: Int64) {
    previousPhase = phase
    phase = next
    phaseSinceMs = nowMs
  }

  mutating func awaitSignOfLife(_ member: GroupMember) {
    actions.append(.schedule(.member(member.id), afterMs: member.sessionTimeoutMs))
  }

  mutating func answerJoin(_ memberId: String, _ answer: JoinAnswer) {
    guard let reply = members[memberId]?.joining else { return }
    members[memberId]?.joining = nil
    actions.append(.joined(reply, answer))
  }

  mutating func answerSync(_ memberId: String, _ answer: SyncAnswer) {
    guard let reply = members[memberId]?.syncing else { return }
    members[memberId]?.syncing = nil
    actions.append(.synced(reply, answer))
  }

  /// Takes a member out, whatever phase the group is in.
  mutating func remove(_ memberId: String) {
    if let member = members.removeValue(forKey: memberId) {
      if let instanceId = member.instanceId, memberIdByInstance[instanceId] == memberId {
        memberIdByInstance[instanceId] = nil
      }
      // Whoever it is still waiting for may join anew.
      if let reply = member.joining {
        actions.append(.joined(reply, JoinAnswer(error: .unknownMemberId, memberId: "")))
      }
      if let reply = member.syncing {
        actions.append(.synced(reply, SyncAnswer(error: .unknownMemberId)))
      }
    }
    pendingMembers.remove(memberId)
    pendingSync.remove(memberId)
    if leaderId == memberId { leaderId = members.keys.min() }
    actions.append(.cancel(.member(memberId)))
  }

  /// The group as its record has it.
  var stored: GroupMetadataValue {
    GroupMetadataValue(
      protocolType: protocolType ?? "", generation: generationId, protocol: protocolName,
      leader: leaderId, currentStateTimestamp: phaseSinceMs,
      members: membersInOrder.map { $0.stored(protocolName: protocolName ?? "") })
  }

  /// Every member and its metadata, for the leader.
  var membersForLeader: [JoinAnswer.Member] {
    membersInOrder.map {
      JoinAnswer.Member(
        id: $0.id, instanceId: $0.instanceId, metadata: $0.metadata(for: protocolName ?? ""))
    }
  }
}
