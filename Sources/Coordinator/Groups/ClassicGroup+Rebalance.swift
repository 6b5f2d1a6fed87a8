// The rebalance itself: when it begins, how long it waits, what a new generation is.

import KafkaProtocol
import Model

extension ClassicGroup {
  /// Begins a rebalance if none runs, or ends the join phase of the one that runs if it can.
  mutating func prepareOrCompleteRebalance(_ nowMs: Int64) {
    switch phase {
    case .empty, .stable, .completingRebalance: prepareRebalance(nowMs)
    case .preparingRebalance: completeIfAllJoined(nowMs)
    case .dead: break
    }
  }

  mutating func prepareRebalance(_ nowMs: Int64) {
    if phase == .completingRebalance {
      // Members that wait for their assignment have to join again.
      forgetAssignments()
      answerAllSyncs(.rebalanceInProgress)
    }
    actions.append(.cancel(.sync))
    let isFirst = phase == .empty
    move(to: .preparingRebalance, nowMs)
    if isFirst {
      // A new group: others are probably about to join.
      newMemberAdded = false
      let delayMs = limits.initialRebalanceDelayMs
      actions.append(
        .schedule(
          .initialJoin(delayMs: delayMs, remainingMs: max(0, rebalanceTimeoutMs - delayMs)),
          afterMs: delayMs))
    } else if hasAllJoined {
      completeJoin(nowMs)
    } else {
      actions.append(.schedule(.join, afterMs: rebalanceTimeoutMs))
    }
  }

  /// The first rebalance is not ended early: its delay is what lets a group start as a whole.
  mutating func completeIfAllJoined(_ nowMs: Int64) {
    if phase == .preparingRebalance, previousPhase != .empty, hasAllJoined { completeJoin(nowMs) }
  }

  private var hasAllJoined: Bool {
    pendingMembers.isEmpty && members.values.allSatisfy { $0.joining != nil }
  }

  /// The longest time that a member asks for.
  private var rebalanceTimeoutMs: Int32 { members.values.map(\.rebalanceTimeoutMs).max() ?? 0 }

  mutating func onInitialJoin(delayMs: Int32, remainingMs: Int32, _ nowMs: Int64) {
    guard phase == .preparingRebalance else { return }
    guard newMemberAdded, remainingMs > 0 else { return completeJoin(nowMs) }
    newMemberAdded = false
    let nextMs = min(limits.initialRebalanceDelayMs, remainingMs)
    actions.append(
      .schedule(
        .initialJoin(delayMs: nextMs, remainingMs: max(0, remainingMs - delayMs)),
        afterMs: nextMs))
  }

  /// Ends the join phase: whoever has not joined is out, the others begin a new generation.
  mutating func completeJoin(_ nowMs: Int64) {
    guard phase == .preparingRebalance else { return }
    actions.append(.cancel(.join))
    for member in membersInOrder where member.joining == nil && !member.isStatic {
      remove(member.id)
    }
    if !members.isEmpty, !electJoinedLeader() {
      // Only static members are left and none has joined: wait until their sessions time out.
      actions.append(.schedule(.join, afterMs: rebalanceTimeoutMs))
      return
    }
    generationId &+= 1
    pendingSync.removeAll()
    if members.isEmpty {
      protocolName = nil
      leaderId = nil
      move(to: .empty, nowMs)
      actions.append(.persist(stored, .empty(generationId: generationId)))
      return
    }
    protocolName = selectProtocol()
    move(to: .completingRebalance, nowMs)
    for member in membersInOrder {
      answerJoin(member.id, currentGeneration(for: member.id))
      awaitSignOfLife(member)
      members[member.id]?.isNew = false
      pendingSync.insert(member.id)
    }
    actions.append(.schedule(.sync(generationId: generationId), afterMs: rebalanceTimeoutMs))
  }

  /// Keeps the leader if it has joined, otherwise takes a member that has; false when none has.
  private mutating func electJoinedLeader() -> Bool {
    if let leaderId, members[leaderId]?.joining != nil { return true }
    guard let joined = membersInOrder.first(where: { $0.joining != nil }) else { return false }
    leaderId = joined.id
    return true
  }

  /// The protocol that most members prefer among those that all support; of equals the first by
  /// name.
  func selectProtocol() -> String? {
    var votes: [String: Int] = [:]
    guard let any = members.values.first else { return nil }
    let candidates = Set(any.protocols.map(\.name).filter(isSupportedByAll))
    for member in members.values {
      if let vote = member.protocols.first(where: { candidates.contains($0.name) }) {
        votes[vote.name, default: 0] += 1
      }
    }
    return votes.max { a, b in a.value == b.value ? a.key > b.key : a.value < b.value }?.key
  }

  mutating func onSyncDeadline(generationId: Int32, _ nowMs: Int64) {
    guard generationId == self.generationId, phase == .completingRebalance || phase == .stable,
      !pendingSync.isEmpty
    else { return }
    for id in pendingSync.sorted() { remove(id) }
    prepareRebalance(nowMs)
  }

  mutating func forgetAssignments() {
    for id in members.keys { members[id]?.assignment = [] }
  }

  mutating func answerAllSyncs(_ error: ErrorCode) {
    for member in membersInOrder where member.syncing != nil {
      let answer =
        error == .none
        ? SyncAnswer(
          error: .none, protocolType: protocolType, protocolName: protocolName,
          assignment: member.assignment)
        : SyncAnswer(error: error)
      answerSync(member.id, answer)
      // A time-out that came due while it waited was passed over.
      awaitSignOfLife(member)
    }
  }
}
