// Topics from the decision to the open log: records what is decided in the metadata, has the
// logwriter create, take up and delete logs, and publishes the image before anyone is answered.
//
// A decision is durable before the logwriter hears of it. What the logwriter did not do because it
// or we went away is done when both are back: `reconcile` compares its inventory with the metadata.
//
// A new partition is recorded as unconfirmed. When the logwriter has made its directory, and the name
// is on disk, that is recorded too, before the image lets anyone write to it. So a partition without
// a directory is made (again) only if nothing can have been in it; any other one is lost or its disk
// is away, and stays offline until it is back or its topic is deleted.

import IPC
import Linux
import Logging
import Model
import Service

/// What became of new topics or partitions.
enum PlacementOutcome: Equatable {
  case placed
  case failed(ErrorCode, String)
  case timedOut
}

final class TopicKeeper {
  /// Whether questions about logs can be asked.
  enum Phase: Equatable {
    /// No logwriter, or it has not told its inventory yet.
    case away
    /// It is taking up the logs that we know.
    case takingUp(batchesLeft: Int)
    case ready
  }

  let metadata: MetadataLog
  let configs: TopicConfigs
  let logs: LogConversation
  unowned let images: any ImagePort
  private unowned let scoreboard: any ScoreboardPort
  unowned let timers: any TimerPort
  private let log: Log
  private(set) var placement = Placement()
  private(set) var phase = Phase.away
  /// Whether we have ever been told what is on disk. Before that no topic may be created: its name may
  /// be that of one which is there.
  private(set) var knowsDisk: Bool
  var epoch: UInt64 = 0
  private var inventory: [PartitionName] = []
  var waitsForDisk: [UInt64: (timer: TimerID, then: (Bool) -> Void)] = [:]
  /// Partitions that could not be taken up, to be told of together.
  private var notTakenUp: [PartitionState] = []
  private var waits: [UInt64: PlacementWait] = [:]
  var lastWait: UInt64 = 0
  /// Called when the logwriter has taken up all logs.
  var whenReady: () -> Void = {}
  /// Called when the logwriter is gone.
  var whenAway: () -> Void = {}
  /// Called when partitions have found their place, after the image was published.
  var whenPlaced: () -> Void = {}
  /// Called after topics were deleted.
  var whenDeleted: ([Topic]) -> Void = { _ in }

  /// Partitions in one message to the logwriter.
  private static let batchMax = 4096

  init(
    metadata: MetadataLog, configs: TopicConfigs, logs: LogConversation, images: any ImagePort,
    scoreboard: any ScoreboardPort, timers: any TimerPort, log: Log
  ) {
    self.metadata = metadata
    knowsDisk = metadata.state.clusterId != nil
    self.configs = configs
    self.logs = logs
    self.images = images
    self.scoreboard = scoreboard
    self.timers = timers
    self.log = log
  }

  var state: MetadataState { metadata.state }

  /// The whole image, for someone who has none.
  var snapshot: ImageUpdate {
    ImageUpdate(
      epoch: epoch, isSnapshot: true, topics: state.topicsInOrder.map(image), removed: [])
  }

  // MARK: - The logwriter comes and goes

  /// The log directories belong to this cluster: ours too, if we have none.
  func belongs(toCluster id: String) {
    if let known = state.clusterId {
      if known != id {
        log.event(
          .metadataRefused, "the log directories belong to cluster \(id), the metadata to \(known)")
      }
      return
    }
    metadata.commit([.clusterId(id)]) { error in
      if let error { log.event(.metadataRefused, "the cluster id cannot be recorded: \(error)") }
    }
  }

  func found(_ states: [PartitionState], isLast: Bool) {
    inventory += states.map(\.name)
    if !isLast { return }
    let found = inventory
    inventory = []
    reconcile(found)
  }

  func logWriterLost() {
    phase = .away
    inventory = []
    whenAway()
  }

  /// The logwriter reports a partition on its own account.
  func changed(_ partition: PartitionState) {
    guard let topic = state.topic(id: partition.name.topicId), placement.set(partition) else {
      return
    }
    report([partition])
    takeOverLeaderEpochs([topic])
    publish([topic])
    settle()
  }

  private func reconcile(_ found: [PartitionName]) {
    var plan: Reconciliation
    do throws(StoreError) {
      plan = try Reconciliation(state, found, wasDeleted: metadata.wasDeleted)
    } catch {
      log.event(.metadataRefused, "cannot compare the logs on disk with the metadata: \(error)")
      return
    }
    for index in plan.adopted.indices {
      plan.adopted[index].configs = configs.adopted(plan.adopted[index].name)
    }
    for stray in plan.strays {
      log.event(
        .strayLog,
        "left alone: a log that belongs to no topic, while another topic has its name",
        metadata: ["topic": "\(stray.topic)", "partition": "\(stray.partition)"])
    }
    defer { diskIsKnown() }
    let records =
      plan.adopted.map { MetadataRecord.topic($0) }
      + plan.finished.map { MetadataRecord.deletionFinished($0) }
    if records.isEmpty { return takeUp(plan) }
    metadata.commit(records) { error in
      if let error {
        // What we know is served all the same; the next logwriter brings the rest up again.
        log.event(.metadataRefused, "cannot record the topics found on disk: \(error)")
        return takeUp(plan)
      }
      for topic in plan.adopted {
        let keeps =
          topic.configs["retention.ms"] == nil
          ? "" : "; its configuration is unknown, so it keeps all records: retention.ms=-1"
        log.event(
          .topicCreated, "adopted a topic found on disk\(keeps)",
          metadata: ["topic": "\(topic.name)", "partitions": "\(topic.partitionCount)"])
      }
      takeUp(plan)
    }
  }

  private func diskIsKnown() {
    knowsDisk = true
    for (_, wait) in waitsForDisk.sorted(by: { $0.key < $1.key }) {
      timers.cancel(wait.timer)
      wait.then(true)
    }
    waitsForDisk = [:]
  }

  private func takeUp(_ plan: Reconciliation) {
    placement = Placement()
    notTakenUp = []
    for id in Set(plan.deleted.map(\.topicId)) {
      deleteLogs(id, plan.deleted.filter { $0.topicId == id })
    }
    let topics = state.topicsInOrder
    let all = topics.flatMap { specs($0, from: 0) }
    phase = .takingUp(batchesLeft: (all.count + Self.batchMax - 1) / Self.batchMax)
    for topic in topics { placement.expect(topic) }
    if all.isEmpty { return becomeReady() }
    ask(all) { [unowned self] answered in
      guard case .takingUp(let left) = phase, answered else { return }
      phase = .takingUp(batchesLeft: left - 1)
      if left == 1 { becomeReady() }
    }
  }

  private func becomeReady() {
    phase = .ready
    report(notTakenUp)
    notTakenUp = []
    takeOverLeaderEpochs(state.topicsInOrder)
    epoch += 1
    images.publish(snapshot)
    settle()
    whenReady()
  }

  /// A log that was written under a later leader epoch than we know, by Kafka or before our metadata
  /// were lost, goes on under that epoch: epochs in a log never go back.
  private func takeOverLeaderEpochs(_ topics: [Topic]) {
    var changed: [Topic] = []
    for topic in topics {
      var leaderEpochs = topic.leaderEpochs
      for (partition, known) in topic.leaderEpochs.enumerated() {
        guard let ref = placement.place(topic.id, partition).slot,
          let entry = scoreboard.entry(ref), entry.leaderEpoch > known
        else { continue }
        leaderEpochs[partition] = entry.leaderEpoch
      }
      if leaderEpochs == topic.leaderEpochs { continue }
      var later = topic
      later.leaderEpochs = leaderEpochs
      changed.append(later)
    }
    if changed.isEmpty { return }
    metadata.commit(changed.map { .topic($0) }) { error in
      if let error { log.event(.metadataRefused, "leader epochs cannot be recorded: \(error)") }
    }
  }

  // MARK: - Topics come, grow and go

  /// Records new topics, or topics with more partitions, in one transaction, and has their logs
  /// created. `then` is told of each topic id when its logs are there, or after `timeoutMs`.
  func put(
    _ topics: [Topic], timeoutMs: Int64,
    then: @escaping (Result<[UUID128: PlacementOutcome], StoreError>) -> Void
  ) {
    let before = Dictionary(
      uniqueKeysWithValues: topics.map { ($0.id, state.topic(id: $0.id)?.partitionCount ?? 0) })
    metadata.commit(topics.map { .topic($0) }) { error in
      if let error { return then(.failure(error)) }
      for topic in topics {
        let isNew = before[topic.id] == 0
        log.event(
          isNew ? .topicCreated : .topicChanged, isNew ? "created a topic" : "changed a topic",
          metadata: ["topic": "\(topic.name)", "partitions": "\(topic.partitionCount)"])
        placement.expect(topic)
      }
      wait(for: topics, from: before, timeoutMs: timeoutMs) { then(.success($0)) }
      // Without a logwriter the reconciliation will do it.
      if phase == .away { return }
      ask(topics.flatMap { specs($0, from: before[$0.id] ?? 0, .new) }) {
        [unowned self] answered in
        if !answered { return }
        publish(topics)
        settle()
      }
    }
  }

  /// Records that topics are deleted and has their logs deleted; `then` need not wait for the logs.
  func delete(_ topics: [Topic], then: (StoreError?) -> Void) {
    let deleted = topics.map {
      DeletedTopic(id: $0.id, name: $0.name, partitionCount: $0.partitionCount)
    }
    metadata.commit(deleted.map { .topicDeleted($0) }) { error in
      if let error { return then(error) }
      for topic in topics {
        log.event(.topicDeleted, "deleted a topic", metadata: ["topic": "\(topic.name)"])
        placement.forget(topic.id)
      }
      epoch += 1
      images.publish(
        ImageUpdate(epoch: epoch, isSnapshot: false, topics: [], removed: topics.map(\.id)))
      if phase != .away {
        for topic in deleted { deleteLogs(topic.id, topic.partitionNames) }
      }
      settle()
      whenDeleted(topics)
      then(nil)
    }
  }

  private func deleteLogs(_ id: UUID128, _ names: [PartitionName]) {
    logs.deletePartitions(names) { [unowned self] states in
      guard let states else { return }
      if let failed = states.first(where: { !Self.isGone($0) }) {
        log.event(
          .partitionChangeFailed,
          "a log could not be deleted; the next logwriter will be asked again: \(failed.detail)",
          metadata: ["topic": "\(failed.name.topic)", "partition": "\(failed.name.partition)"])
        return
      }
      guard state.deletions[id] != nil else { return }
      metadata.commit([.deletionFinished(id)]) { error in
        if let error {
          log.event(.metadataRefused, "cannot record the end of a deletion: \(error)")
        }
      }
    }
  }

  private static func isGone(_ state: PartitionState) -> Bool {
    state.error == .none || state.error == .unknownTopicOrPartition
      || state.error == .unknownTopicId
  }

  // MARK: - Asking and telling

  /// - Parameter creation: nil: what is known of each partition.
  private func specs(
    _ topic: Topic, from first: Int, _ creation: PartitionSpec.Creation? = nil
  ) -> [PartitionSpec] {
    let config = configs.settings(topic.configs).log
    return (first..<max(first, topic.partitionCount)).map {
      PartitionSpec(
        name: topic.partitionName($0), config: config, leaderEpoch: topic.leaderEpochs[$0],
        creation: creation ?? (topic.unconfirmed.contains($0) ? .begun : .done))
    }
  }

  /// Has logs created or taken up, in as many messages as it takes; `then` follows each one.
  private func ask(_ specs: [PartitionSpec], then: @escaping (Bool) -> Void) {
    for start in stride(from: 0, to: specs.count, by: Self.batchMax) {
      logs.createPartitions(Array(specs[start..<min(start + Self.batchMax, specs.count)])) {
        [unowned self] states in
        let expected = (states ?? []).filter { placement.set($0) }
        confirm(expected)
        if case .takingUp = phase {
          notTakenUp += expected.filter { $0.error != .none }
        } else {
          report(expected)
        }
        then(states != nil)
      }
    }
  }

  /// Records that partitions were created, those of which that is news.
  private func confirm(_ states: [PartitionState]) {
    var changed: [UUID128: Topic] = [:]
    // One that is being recovered has a directory.
    for partition in states where partition.error == .none || partition.error == .leaderNotAvailable
    {
      let id = partition.name.topicId
      let number = Int(partition.name.partition)
      guard let topic = changed[id] ?? state.topic(id: id), topic.unconfirmed.contains(number)
      else { continue }
      changed[id, default: topic].unconfirmed.remove(number)
    }
    if changed.isEmpty { return }
    metadata.commit(changed.values.sorted { $0.name < $1.name }.map { .topic($0) }) { error in
      // They are served all the same; the next logwriter confirms them again.
      if let error {
        log.event(.metadataRefused, "the creation of partitions cannot be recorded: \(error)")
      }
    }
  }

  private func report(_ states: [PartitionState]) {
    let failed = FailedPartitions(states)
    for line in failed.lines {
      log.event(
        .partitionOffline, "\(line.text)",
        metadata: [
          "topic": "\(line.topic)", "partition": "\(line.partitions)",
          "@errorCode": "\(line.error)",
        ])
    }
    if failed.otherPartitions == 0 { return }
    log.event(
      .partitionOffline,
      "\(failed.otherPartitions) more partitions of \(failed.otherTopics) more topics cannot be used"
    )
  }

  func image(_ topic: Topic) -> TopicImage {
    placement.image(topic, configs.settings(topic.configs).image)
  }

  private func publish(_ topics: [Topic]) {
    let current = topics.compactMap { state.topic(id: $0.id) }
    if current.isEmpty { return }
    epoch += 1
    images.publish(
      ImageUpdate(epoch: epoch, isSnapshot: false, topics: current.map(image), removed: []))
    if phase == .ready { whenPlaced() }
  }

  // MARK: - Waiting for logs

  private struct PlacementWait {
    /// Topics, and the first partition of each that is waited for.
    var first: [(id: UUID128, partition: Int)]
    var timer: TimerID
    var then: ([UUID128: PlacementOutcome]) -> Void
  }

  private func wait(
    for topics: [Topic], from first: [UUID128: Int], timeoutMs: Int64,
    then: @escaping ([UUID128: PlacementOutcome]) -> Void
  ) {
    lastWait += 1
    let number = lastWait
    let timer = timers.after(timeoutMs) { [unowned self] in finish(number) }
    waits[number] = PlacementWait(
      first: topics.map { ($0.id, first[$0.id] ?? 0) }, timer: timer, then: then)
  }

  /// Answers those whose topics have all been placed, failed or deleted. While logs are being taken
  /// up nobody is: the image is published in the end.
  private func settle() {
    if case .takingUp = phase { return }
    for (number, wait) in waits.sorted(by: { $0.key < $1.key })
    where wait.first.allSatisfy({ id, partition in
      placement.isSettled(id, from: partition) || state.topic(id: id) == nil
    }) {
      finish(number)
    }
  }

  private func finish(_ number: UInt64) {
    guard let wait = waits.removeValue(forKey: number) else { return }
    timers.cancel(wait.timer)
    var outcomes: [UUID128: PlacementOutcome] = [:]
    for (id, first) in wait.first {
      if state.topic(id: id) == nil {
        outcomes[id] = .failed(.unknownTopicOrPartition, "The topic was deleted meanwhile.")
      } else if let failure = placement.failure(id, from: first) {
        outcomes[id] = .failed(failure.error, failure.detail)
      } else {
        outcomes[id] = placement.isSettled(id, from: first) ? .placed : .timedOut
      }
    }
    wait.then(outcomes)
  }
}
