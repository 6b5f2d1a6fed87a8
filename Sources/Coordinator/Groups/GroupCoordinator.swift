// All groups of this broker: finds the shard of a group, runs its state machine and performs what
// comes out, keeps the deadlines. `GroupCoordinator+Log` has the way into and out of the log.

import Linux
import Logging
import Model
import Service

/// What the operator sets for groups and their offsets.
struct GroupSettings {
  var limits = GroupLimits()
  var offsetsRetentionMs: Int64 = 7 * 24 * 3600 * 1000
  var offsetsRetentionCheckIntervalMs: Int64 = 600_000
  var compression = CompressionType.none
  /// How long appends wait for a logwriter that is away (Kafka's offsets.commit.timeout.ms).
  var awayMs: Int64 = 5_000
}

final class GroupCoordinator {
  static let topicName = "__consumer_offsets"
  /// Groups with members, or that had some; whoever would make one more is told UNKNOWN_MEMBER_ID.
  private static let sessionsMax = 500_000

  /// New groups go by it, and offsets that expire.
  var settings: GroupSettings
  let topics: TopicKeeper
  let logs: LogConversation
  unowned let scoreboard: any ScoreboardPort
  unowned let timers: any TimerPort
  unowned let clock: any ClockPort
  unowned let replies: any ReplyPort
  let log: Log
  /// Shards that are read back.
  let reads = ReadQueue()
  var shards: [GroupShard] = []
  /// The topic that the shards belong to.
  var topicId: UUID128?
  /// Shards with records to send at the end of the round.
  var shardsToFlush: Set<Int> = []
  /// Active shards whose logs the new logwriter still recovers.
  var suspended: Set<Int> = []
  var awayTimer: TimerID?
  var expiryTimer: TimerID?
  private var deadlines: [DeadlineKey: TimerID] = [:]

  private struct DeadlineKey: Hashable {
    var group: String
    var slot: GroupTimer.Slot
  }

  init(
    settings: GroupSettings, topics: TopicKeeper, logs: LogConversation,
    scoreboard: any ScoreboardPort, timers: any TimerPort, clock: any ClockPort,
    replies: any ReplyPort, log: Log
  ) {
    self.settings = settings
    self.topics = topics
    self.logs = logs
    self.scoreboard = scoreboard
    self.timers = timers
    self.clock = clock
    self.replies = replies
    self.log = log
  }

  /// The shard that `group` belongs to, or nil while there is no offsets topic.
  func shardIndex(_ group: String) -> Int? {
    shards.isEmpty ? nil : GroupPartition.of(group, partitions: shards.count)
  }

  /// NONE if the group can be worked with, otherwise what its client is told.
  func availability(_ group: String) -> ErrorCode {
    guard let index = shardIndex(group) else { return .notCoordinator }
    switch shards[index].phase {
    case .active: return .none
    case .loading: return .coordinatorLoadInProgress
    case .absent: return isComing(index) ? .coordinatorLoadInProgress : .notCoordinator
    }
  }

  /// A shard whose log is not open yet: the logwriter is away or recovers it. Clients wait best when
  /// they believe that we are loading.
  func isComing(_ index: Int) -> Bool {
    guard topics.phase == .ready, let topicId else { return true }
    guard case .failed(let error, _) = topics.placement.place(topicId, index) else { return false }
    return error == .leaderNotAvailable
  }

  func session(_ group: String) -> ClassicGroup? {
    shardIndex(group).flatMap { shards[$0].sessions[group] }
  }

  func committed(_ group: String) -> CommittedGroup? {
    shardIndex(group).flatMap { shards[$0].committed[group] }
  }

  /// Every group that is known, in order of the ids.
  var ids: [String] {
    shards.flatMap { Set($0.sessions.keys).union($0.committed.groups.keys) }.sorted()
  }

  var sessionCount: Int { shards.reduce(0) { $0 + $1.sessions.count } }

  var isLoading: Bool { shards.contains { $0.phase == .loading } }

  /// Runs an event through the group's state machine.
  /// - Parameter create: makes the group if there is none.
  /// - Returns: false when there is no such group.
  @discardableResult
  func on(_ event: GroupEvent, group: String, create: Bool = false) -> Bool {
    guard let index = shardIndex(group) else { return false }
    let nowMs = clock.wallMs
    if shards[index].sessions[group] == nil {
      guard create, sessionCount < Self.sessionsMax else { return false }
      shards[index].sessions[group] = ClassicGroup(
        id: group, limits: settings.limits, nowMs: nowMs)
    }
    // In place: a copy of the group for every heartbeat would be a waste.
    let actions = shards[index].sessions[group]?.on(event, nowMs: nowMs) ?? []
    if shards[index].sessions[group]?.isForgettable == true { shards[index].sessions[group] = nil }
    perform(actions, group)
    return true
  }

  func perform(_ actions: [GroupAction], _ group: String) {
    for action in actions {
      switch action {
      case .joined(let reply, let answer):
        replies.answer(JoinGroupApi.response(answer, version: reply.apiVersion), to: reply)
      case .synced(let reply, let answer):
        replies.answer(SyncGroupApi.response(answer), to: reply)
      case .heartbeat(let reply, let error):
        replies.answer(HeartbeatApi.response(error), to: reply)
      case .left(let reply, let answers):
        replies.answer(LeaveGroupApi.response(answers, version: reply.apiVersion), to: reply)
      case .schedule(let timer, let afterMs): schedule(timer, afterMs, group)
      case .cancel(let slot): cancel(slot, group)
      case .persist(let value, let what):
        append([.group(group, value)], group: group) { [unowned self] error in
          on(.persisted(what, error), group: group)
        }
      }
    }
  }

  private func schedule(_ timer: GroupTimer, _ afterMs: Int32, _ group: String) {
    cancel(timer.slot, group)
    let key = DeadlineKey(group: group, slot: timer.slot)
    deadlines[key] = timers.after(Int64(afterMs)) { [unowned self] in
      deadlines[key] = nil
      on(.timer(timer), group: group)
    }
  }

  private func cancel(_ slot: GroupTimer.Slot, _ group: String) {
    guard let timer = deadlines.removeValue(forKey: DeadlineKey(group: group, slot: slot)) else {
      return
    }
    timers.cancel(timer)
  }
}
