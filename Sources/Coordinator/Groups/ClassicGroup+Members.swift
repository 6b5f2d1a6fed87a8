// SyncGroup, Heartbeat, LeaveGroup and the deadlines of a group.

import KafkaProtocol
import Model

extension ClassicGroup {
  mutating func onSync(_ sync: GroupSync, _ reply: Reply, _ nowMs: Int64) {
    let error = syncError(sync)
    if error != .none {
      actions.append(.synced(reply, SyncAnswer(error: error)))
      return
    }
    switch phase {
    case .empty, .dead:
      actions.append(.synced(reply, SyncAnswer(error: .unknownMemberId)))
    case .preparingRebalance:
      actions.append(.synced(reply, SyncAnswer(error: .rebalanceInProgress)))
    case .completingRebalance:
      answerSync(sync.memberId, SyncAnswer(error: .rebalanceInProgress))
      members[sync.memberId]?.syncing = reply
      noteSynced(sync.memberId)
      if leaderId == sync.memberId { assign(sync.assignments, nowMs) }
    case .stable:
      noteSynced(sync.memberId)
      guard let member = members[sync.memberId] else { return }
      actions.append(
        .synced(
          reply,
          SyncAnswer(
            error: .none, protocolType: protocolType, protocolName: protocolName,
            assignment: member.assignment)))
      awaitSignOfLife(member)
    }
  }

  private func syncError(_ sync: GroupSync) -> ErrorCode {
    if phase == .dead { return .coordinatorNotAvailable }
    let error = validate(sync.memberId, sync.instanceId)
    if error != .none { return error }
    if sync.generationId != generationId { return .illegalGeneration }
    if let type = sync.protocolType, type != protocolType { return .inconsistentGroupProtocol }
    if let name = sync.protocolName, name != protocolName { return .inconsistentGroupProtocol }
    return .none
  }

  private mutating func noteSynced(_ memberId: String) {
    pendingSync.remove(memberId)
    if pendingSync.isEmpty { actions.append(.cancel(.sync)) }
  }

  /// The leader has assigned: members hear of it when the record is in the log.
  private mutating func assign(_ assignments: [String: [UInt8]], _ nowMs: Int64) {
    var record = stored
    record.currentStateTimestamp = nowMs
    for index in record.members.indices {
      record.members[index].assignment = assignments[record.members[index].memberId] ?? []
    }
    for id in members.keys { members[id]?.assignment = assignments[id] ?? [] }
    actions.append(.persist(record, .assignment(generationId: generationId)))
  }

  mutating func onPersisted(_ what: GroupPersisting, _ error: ErrorCode, _ nowMs: Int64) {
    switch what {
    case .assignment(let generationId):
      // Another member may have joined meanwhile.
      guard phase == .completingRebalance, generationId == self.generationId else { return }
      if error == .none {
        answerAllSyncs(.none)
        move(to: .stable, nowMs)
      } else {
        forgetAssignments()
        answerAllSyncs(error)
        prepareOrCompleteRebalance(nowMs)
      }
    case .empty: break
    case .returned(let memberId, let reply, let answer):
      actions.append(
        .joined(reply, error == .none ? answer : JoinAnswer(error: error, memberId: memberId)))
    }
  }

  mutating func onHeartbeat(_ heartbeat: GroupHeartbeat, _ reply: Reply) {
    var error =
      phase == .dead
      ? .coordinatorNotAvailable
      : validate(
        heartbeat.memberId, heartbeat.instanceId)
    if error == .none, heartbeat.generationId != generationId { error = .illegalGeneration }
    if error == .none {
      if let member = members[heartbeat.memberId] { awaitSignOfLife(member) }
      switch phase {
      case .preparingRebalance: error = .rebalanceInProgress
      case .empty, .dead: error = .unknownMemberId
      case .completingRebalance, .stable: break
      }
    }
    actions.append(.heartbeat(reply, error))
  }

  mutating func onLeave(_ leavers: [GroupLeaver], _ reply: Reply, _ nowMs: Int64) {
    var answers: [LeaveAnswer] = []
    for leaver in leavers {
      answers.append(
        LeaveAnswer(
          memberId: leaver.memberId, instanceId: leaver.instanceId, error: take(out: leaver)))
    }
    actions.append(.left(reply, answers))
    if answers.contains(where: { $0.error == .none }) { prepareOrCompleteAfterLeaving(nowMs) }
  }

  private mutating func take(out leaver: GroupLeaver) -> ErrorCode {
    if phase == .dead { return .coordinatorNotAvailable }
    if leaver.memberId.isEmpty, let instanceId = leaver.instanceId {
      guard let memberId = memberIdByInstance[instanceId] else { return .unknownMemberId }
      remove(memberId)
      return .none
    }
    if pendingMembers.contains(leaver.memberId) {
      remove(leaver.memberId)
      return .none
    }
    let error = validate(leaver.memberId, leaver.instanceId)
    if error == .none { remove(leaver.memberId) }
    return error
  }

  private mutating func prepareOrCompleteAfterLeaving(_ nowMs: Int64) {
    switch phase {
    case .stable, .completingRebalance: prepareOrCompleteRebalance(nowMs)
    case .preparingRebalance: completeIfAllJoined(nowMs)
    case .empty, .dead: break
    }
  }

  mutating func onTimer(_ timer: GroupTimer, _ nowMs: Int64) {
    switch timer {
    case .initialJoin(let delayMs, let remainingMs):
      onInitialJoin(delayMs: delayMs, remainingMs: remainingMs, nowMs)
    case .join: completeJoin(nowMs)
    case .sync(let generationId): onSyncDeadline(generationId: generationId, nowMs)
    case .member(let id):
      if pendingMembers.contains(id) {
        remove(id)
        completeIfAllJoined(nowMs)
      } else if let member = members[id], !excuses(member) {
        remove(id)
        prepareOrCompleteAfterLeaving(nowMs)
      }
    }
  }

  /// A member that waits for us need not send heartbeats, unless it has never been answered.
  private func excuses(_ member: GroupMember) -> Bool {
    !member.isNew && (member.joining != nil || member.syncing != nil)
  }
}
