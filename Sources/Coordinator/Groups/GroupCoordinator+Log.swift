// Groups and their log: appending, reading back at the start, and what a restart of the logwriter
// means. Records gathered in one round of the loop travel as one batch per shard.

import Compression
import IPC
import KafkaProtocol
import Logging
import Model
import Records
import Service

extension GroupCoordinator {
  /// Bytes in one batch, unless those of one request are more.
  private static var batchBytesMax: Int { 512 << 10 }
  /// Requests that wait for a logwriter that is away.
  private static var waitingMax: Int { 10_000 }

  /// Has records of `group` appended; `then` is told when they are in the log and replayed.
  func append(
    _ records: [GroupRecord], group: String, then: @escaping (ErrorCode) -> Void
  ) {
    guard let index = shardIndex(group), shards[index].phase == .active else {
      return then(.notCoordinator)
    }
    guard shards[index].waiting.count < Self.waitingMax else {
      return then(.coordinatorNotAvailable)
    }
    do throws(WireError) {
      shards[index].waiting.append(try GroupAppend(records, then: then))
      shardsToFlush.insert(index)
    } catch {
      // Such as a name that is too long for its field.
      log.event(.groupsUnavailable, "a group's record cannot be encoded: \(error)")
      then(.unknownServerError)
    }
  }

  /// Sends what the round has gathered.
  func roundEnded() {
    while let index = shardsToFlush.popFirst() { flush(index) }
  }

  private func flush(_ index: Int) {
    guard topics.phase == .ready, let ref = slot(index) else { return }
    while let batch = shards[index].takeWaiting(bytesMax: Self.batchBytesMax) {
      guard let bytes = build(batch), bytes.count <= batchBytesAllowed else {
        // Nothing that the log would take; Kafka has the same answer for it.
        finish(shards[index].answered(batch.number, baseOffset: nil), .unknownServerError)
        continue
      }
      logs.append(ref, bytes) { [unowned self] entry in
        // Lost: what became of it shows when the logwriter is back.
        guard let entry else { return }
        appended(index, batch.number, entry)
      }
    }
  }

  private func appended(_ index: Int, _ number: UInt64, _ entry: AppendedEntry) {
    guard index < shards.count else { return }
    let isAppended = entry.error == .none
    let appends = shards[index].answered(number, baseOffset: isAppended ? entry.baseOffset : nil)
    if !isAppended {
      log.event(
        .groupsUnavailable, "group records could not be appended: \(entry.error)",
        metadata: [
          "topic": "\(Self.topicName)", "partition": "\(index)", "@errorCode": "\(entry.error)",
        ])
    }
    finish(appends, Self.clientError(entry.error))
    if isAppended { watchExpiry() }
  }

  private func finish(_ appends: [GroupAppend], _ error: ErrorCode) {
    for append in appends { append.then(error) }
  }

  /// What a client of a group is told about a failed append, as Kafka translates it.
  private static func clientError(_ error: ErrorCode) -> ErrorCode {
    switch error {
    case .unknownTopicOrPartition, .notEnoughReplicas, .notEnoughReplicasAfterAppend,
      .requestTimedOut:
      .coordinatorNotAvailable
    case .notLeaderOrFollower, .kafkaStorageError: .notCoordinator
    case .messageTooLarge, .recordListTooLarge, .invalidFetchSize: .unknownServerError
    default: error
    }
  }

  /// `max.message.bytes` of the offsets topic.
  private var batchBytesAllowed: Int {
    guard let topic = topics.state.topic(Self.topicName) else { return 0 }
    return Int(topics.configs.settings(topic.configs).log.maxMessageBytes)
  }

  private func build(_ batch: GroupShard.Sent) -> [UInt8]? {
    var builder = RecordBatchBuilder()
    let nowMs = clock.wallMs
    for append in batch.appends {
      for (key, value) in append.encoded {
        builder.append(timestamp: nowMs, key: key, value: value)
      }
    }
    do throws(CompressionError) {
      return try builder.build(compression: settings.compression) {
        bytes throws(CompressionError) in
        try Compression.compress(bytes, as: settings.compression)
      }
    } catch {
      log.event(.groupsUnavailable, "group records cannot be compressed: \(error)")
      return nil
    }
  }

  private func slot(_ index: Int) -> SlotRef? {
    guard let topicId else { return nil }
    return topics.placement.place(topicId, index).slot
  }

  // MARK: - The log comes and goes

  /// Takes up the partitions of the offsets topic that have come into reach.
  func takeUp() {
    guard let topic = topics.state.topic(Self.topicName) else { return }
    if topicId != topic.id {
      drop(.notCoordinator)
      topicId = topic.id
      shards = (0..<topic.partitionCount).map { GroupShard(partition: Int32($0)) }
    }
    for index in suspended where !isComing(index) {
      suspended.remove(index)
      resume(index)
    }
    for index in shards.indices where shards[index].phase == .absent { load(index) }
  }

  /// The logwriter is back with all its logs.
  func logWriterReady() {
    if let awayTimer { timers.cancel(awayTimer) }
    awayTimer = nil
    for index in shards.indices where shards[index].phase != .absent {
      // It is not gone, only recovered later than others.
      if isComing(index) { suspended.insert(index) } else { resume(index) }
    }
    takeUp()
    if !suspended.isEmpty { awaitLogs() }
  }

  func logWriterAway() {
    for index in shards.indices where shards[index].phase == .loading { shards[index].clear() }
    suspended = []
    awaitLogs()
  }

  private func awaitLogs() {
    guard awayTimer == nil, shards.contains(where: { $0.phase == .active }) else { return }
    awayTimer = timers.after(settings.awayMs) { [unowned self] in giveUpWaiting() }
  }

  /// The logwriter stays away, or needs long for some logs: nobody is left waiting for it.
  private func giveUpWaiting() {
    awayTimer = nil
    for index in shards.indices where topics.phase != .ready || suspended.contains(index) {
      let isUnknown = !shards[index].sent.isEmpty
      let unfinished = shards[index].takeUnfinished()
      if isUnknown { reload(index, .coordinatorNotAvailable) }
      finish(unfinished, .coordinatorNotAvailable)
    }
    if topics.phase != .ready || !suspended.isEmpty { awaitLogs() }
  }

  /// Goes on with a shard that was active: the end of its log tells what got in.
  private func resume(_ index: Int) {
    guard let ref = slot(index), let entry = scoreboard.entry(ref),
      let appended = shards[index].sentBatchesIn(logEndOffset: entry.logEndOffset)
    else {
      let unfinished = shards[index].takeUnfinished()
      reload(index, .notCoordinator)
      return finish(unfinished, .notCoordinator)
    }
    for _ in 0..<appended {
      guard let batch = shards[index].sent.first else { break }
      finish(
        shards[index].answered(batch.number, baseOffset: shards[index].endOffset), .none)
    }
    shards[index].sendAgain()
    shardsToFlush.insert(index)
  }

  /// Forgets a shard, to read its log anew when it can be reached.
  private func reload(_ index: Int, _ error: ErrorCode) {
    suspended.remove(index)
    for group in shards[index].sessions.keys.sorted() {
      perform(shards[index].sessions[group]?.abandon(error) ?? [], group)
    }
    shards[index].clear()
  }

  /// The offsets topic is gone, and all groups with it.
  func drop(_ error: ErrorCode) {
    for index in shards.indices {
      let unfinished = shards[index].takeUnfinished()
      reload(index, error)
      finish(unfinished, error)
    }
    shards = []
    topicId = nil
    shardsToFlush = []
    suspended = []
  }

  // MARK: - Reading the log back

  private func load(_ index: Int) {
    guard let ref = slot(index), let entry = scoreboard.entry(ref), !entry.isOffline else { return }
    shards[index].endOffset = entry.logEndOffset
    if entry.logStartOffset >= entry.logEndOffset { return activate(index) }
    shards[index].phase = .loading
    shards[index].loadingFrom = ref
    reads.add { [unowned self] done in
      guard isLoading(index, ref) else { return done() }
      read(index, ref, entry, done)
    }
  }

  private func read(
    _ index: Int, _ ref: SlotRef, _ entry: ScoreboardEntry,
    _ done: @escaping () -> Void
  ) {
    let reader = PartitionReader(
      logs, timers: timers, ref, from: entry.logStartOffset, to: entry.logEndOffset,
      onBatch: { [unowned self] header, batch throws(PartitionReadError) in
        guard isLoading(index, ref) else { return .stop }
        if header.isControlBatch { return .goOn }
        try BatchRecords.forEach(header, batch) { record in
          replay(record, index)
          return .goOn
        }
        return .goOn
      },
      whenDone: { [unowned self] error in
        done()
        guard isLoading(index, ref) else { return }
        loaded(index, error)
      })
    reader.start()
  }

  /// Whether the reading that began at `ref` still counts: the logwriter may have come anew.
  private func isLoading(_ index: Int, _ ref: SlotRef) -> Bool {
    index < shards.count && shards[index].phase == .loading && shards[index].loadingFrom == ref
  }

  private func replay(_ record: RecordView, _ index: Int) {
    guard let key = record.key else { return }
    do throws(WireError) {
      guard
        let record = try GroupRecord(key: [UInt8](key), value: record.value.map { [UInt8]($0) })
      else { return }
      shards[index].replay(record)
    } catch {
      log.event(
        .groupsUnavailable, "passed over a record that cannot be read: \(error)",
        metadata: ["topic": "\(Self.topicName)", "partition": "\(index)"])
    }
  }

  private func loaded(_ index: Int, _ error: PartitionReadError?) {
    if let error {
      // Without the logwriter its return starts all over; otherwise someone has to look.
      shards[index].clear()
      if error != .lost {
        log.event(
          .groupsUnavailable, "groups cannot be loaded: \(error)",
          metadata: ["topic": "\(Self.topicName)", "partition": "\(index)"])
      }
      return
    }
    activate(index)
  }

  private func activate(_ index: Int) {
    shards[index].phase = .active
    let nowMs = clock.wallMs
    for (id, group) in shards[index].committed.groups.sorted(by: { $0.key < $1.key }) {
      guard let stored = group.metadata else { continue }
      var session = ClassicGroup(id: id, limits: settings.limits, stored: stored)
      let actions = session.resume(nowMs: nowMs)
      shards[index].sessions[id] = session
      perform(actions, id)
    }
    watchExpiry()
  }
}
