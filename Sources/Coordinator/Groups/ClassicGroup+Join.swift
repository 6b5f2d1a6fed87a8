// JoinGroup: who may join, and what a member that joins again is told.

import KafkaProtocol
import Model

extension ClassicGroup {
  mutating func onJoin(_ join: GroupJoin, _ reply: Reply, _ nowMs: Int64) {
    func refuse(_ error: ErrorCode, _ memberId: String) {
      actions.append(.joined(reply, JoinAnswer(error: error, memberId: memberId)))
    }
    guard accepts(join.memberId), hasRoom(for: join) else {
      remove(join.memberId)
      return refuse(.groupMaxSizeReached, "")
    }
    if phase == .dead { return refuse(.coordinatorNotAvailable, join.memberId) }
    guard supports(join) else { return refuse(.inconsistentGroupProtocol, join.memberId) }
    if join.memberId.isEmpty { return onJoinOfNewMember(join, reply, nowMs) }
    if pendingMembers.contains(join.memberId) {
      // A member with an instance id is never made to wait for its id.
      if join.instanceId != nil { return refuse(.unknownMemberId, join.memberId) }
      return add(join.memberId, join, reply, nowMs)
    }
    let error = validate(join.memberId, join.instanceId)
    if error != .none { return refuse(error, join.memberId) }
    onJoinOfMember(join, reply, nowMs)
  }

  /// Whether the size of the group allows the member (`group.max.size`).
  private func accepts(_ memberId: String) -> Bool {
    switch phase {
    case .empty, .dead: true
    case .preparingRebalance:
      members[memberId]?.joining != nil
        || members.values.count { $0.joining != nil } < limits.sizeMax
    case .completingRebalance, .stable:
      members[memberId] != nil || members.count < limits.sizeMax
    }
  }

  /// Whether what the members offer stays within bounds.
  private func hasRoom(for join: GroupJoin) -> Bool {
    let offered = join.protocols.reduce(0) { $0 + $1.metadata.count + $1.name.utf8.count }
    // The sum over all members is taken only where it can matter.
    if offered < limits.metadataBytesMax / 10_000, members.count < 5_000 { return true }
    let others = members.values.reduce(0) {
      $1.id == join.memberId ? $0 : $0 + $1.metadataBytes
    }
    return others + offered <= limits.metadataBytesMax
  }

  /// Whether the group can agree with the member on a protocol.
  private func supports(_ join: GroupJoin) -> Bool {
    if phase == .empty || members.isEmpty {
      return !join.protocolType.isEmpty && !join.protocols.isEmpty
    }
    guard join.protocolType == protocolType else { return false }
    return join.protocols.contains { offer in isSupportedByAll(offer.name) }
  }

  func isSupportedByAll(_ name: String) -> Bool {
    members.values.allSatisfy { $0.protocols.contains { $0.name == name } }
  }

  private mutating func onJoinOfNewMember(_ join: GroupJoin, _ reply: Reply, _ nowMs: Int64) {
    if let instanceId = join.instanceId {
      if let current = memberIdByInstance[instanceId] {
        replaceStatic(current, join, reply, nowMs)
      } else {
        add(join.newMemberId, join, reply, nowMs)
      }
    } else if join.requiresKnownMemberId {
      guard pendingMembers.count < limits.pendingMembersMax else {
        actions.append(.joined(reply, JoinAnswer(error: .groupMaxSizeReached, memberId: "")))
        return
      }
      pendingMembers.insert(join.newMemberId)
      actions.append(.schedule(.member(join.newMemberId), afterMs: join.sessionTimeoutMs))
      actions.append(
        .joined(reply, JoinAnswer(error: .memberIdRequired, memberId: join.newMemberId)))
    } else {
      add(join.newMemberId, join, reply, nowMs)
    }
  }

  private mutating func onJoinOfMember(_ join: GroupJoin, _ reply: Reply, _ nowMs: Int64) {
    let memberId = join.memberId
    let isSame = members[memberId]?.protocols == join.protocols
    switch phase {
    case .preparingRebalance:
      update(memberId, join, reply)
      prepareOrCompleteRebalance(nowMs)
    case .completingRebalance where isSame:
      // It did not get the answer to its first JoinGroup: the generation stands.
      actions.append(.joined(reply, currentGeneration(for: memberId)))
    case .stable where isSame && leaderId != memberId:
      actions.append(.joined(reply, currentGeneration(for: memberId)))
    case .completingRebalance, .stable:
      // A leader that joins again wants to assign anew, for a change that its metadata do not show.
      update(memberId, join, reply)
      prepareOrCompleteRebalance(nowMs)
    case .empty, .dead:
      actions.append(.joined(reply, JoinAnswer(error: .unknownMemberId, memberId: memberId)))
    }
  }

  func currentGeneration(for memberId: String) -> JoinAnswer {
    JoinAnswer(
      error: .none, generationId: generationId, protocolType: protocolType,
      protocolName: protocolName, leader: leaderId ?? "", memberId: memberId,
      members: leaderId == memberId ? membersForLeader : [])
  }

  private mutating func add(
    _ memberId: String, _ join: GroupJoin, _ reply: Reply, _ nowMs: Int64
  ) {
    if phase == .preparingRebalance, previousPhase == .empty { newMemberAdded = true }
    if members.isEmpty { protocolType = join.protocolType }
    var member = GroupMember(
      id: memberId, instanceId: join.instanceId, clientId: join.clientId,
      clientHost: join.clientHost, sessionTimeoutMs: join.sessionTimeoutMs,
      rebalanceTimeoutMs: join.rebalanceTimeoutMs, protocols: join.protocols)
    member.isNew = true
    member.joining = reply
    members[memberId] = member
    if let instanceId = join.instanceId { memberIdByInstance[instanceId] = memberId }
    if leaderId == nil { leaderId = memberId }
    pendingMembers.remove(memberId)
    // It cannot send heartbeats before it is answered, but must not wait for ever either: its client
    // may have gone and come back as another member.
    actions.append(.schedule(.member(memberId), afterMs: limits.newMemberJoinTimeoutMs))
    prepareOrCompleteRebalance(nowMs)
  }

  /// Takes over what the member now offers, and lets its request wait.
  private mutating func update(_ memberId: String, _ join: GroupJoin, _ reply: Reply) {
    // Of two requests only the last one waits; the first has lost its client, most likely.
    answerJoin(memberId, JoinAnswer(error: .rebalanceInProgress, memberId: memberId))
    members[memberId]?.protocols = join.protocols
    members[memberId]?.sessionTimeoutMs = join.sessionTimeoutMs
    members[memberId]?.rebalanceTimeoutMs = join.rebalanceTimeoutMs
    members[memberId]?.joining = reply
  }

  /// A static member came back without its member id: it gets a new one, and whoever still uses
  /// the old one is fenced.
  private mutating func replaceStatic(
    _ oldId: String, _ join: GroupJoin, _ reply: Reply, _ nowMs: Int64
  ) {
    guard var member = members.removeValue(forKey: oldId) else {
      preconditionFailure("a static member that is none")
    }
    let leaderBefore = leaderId
    let newId = join.newMemberId
    if let waiting = member.joining {
      actions.append(.joined(waiting, JoinAnswer(error: .fencedInstanceId, memberId: oldId)))
    }
    if let waiting = member.syncing {
      actions.append(.synced(waiting, SyncAnswer(error: .fencedInstanceId)))
    }
    member.id = newId
    member.joining = nil
    member.syncing = nil
    member.clientId = join.clientId
    member.clientHost = join.clientHost
    members[newId] = member
    memberIdByInstance[join.instanceId ?? ""] = newId
    if leaderId == oldId { leaderId = newId }
    if pendingSync.remove(oldId) != nil { pendingSync.insert(newId) }
    actions.append(.cancel(.member(oldId)))
    update(newId, join, reply)
    if let member = members[newId] { awaitSignOfLife(member) }

    switch phase {
    case .stable where selectProtocol() == protocolName:
      answerReturned(newId, join, leaderBefore, reply, nowMs)
    case .stable: prepareOrCompleteRebalance(nowMs)
    case .completingRebalance:
      // The leader may be assigning to the old id at this moment.
      prepareRebalance(nowMs)
    case .preparingRebalance: completeIfAllJoined(nowMs)
    case .empty, .dead: preconditionFailure("a member in a group without members")
    }
  }

  /// Nothing changes for the others: the member takes its old assignment up again.
  private mutating func answerReturned(
    _ newId: String, _ join: GroupJoin, _ leaderBefore: String?, _ reply: Reply, _ nowMs: Int64
  ) {
    members[newId]?.joining = nil
    var answer = currentGeneration(for: newId)
    if join.supportsSkippingAssignment {
      answer.skipAssignment = leaderId == newId
    } else {
      // An older client that is told it leads would assign: it is told the id it had before.
      answer.members = []
      answer.leader = leaderBefore ?? ""
    }
    actions.append(
      .persist(stored, .returned(memberId: newId, reply, answer)))
  }
}
