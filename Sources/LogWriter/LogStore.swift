// The partitions on disk and their slots on the scoreboard. A partition has a slot from the moment
// it can serve until it is deleted; what is not on the scoreboard cannot be named by anyone.

import Configuration
import IPC
import Linux
import Logging
import Model
import Service
import Storage

final class LogStore {
  let scoreboard: ScoreboardWriter
  let environment: LogEnvironment
  var directories: [LogDirectory] = []
  /// Logs by slot; a free slot holds none.
  private(set) var logs: [PartitionLog?] = []
  private var generations: [UInt32] = []
  private var freeSlots: [UInt32] = []
  var slotByPartition: [TopicPartition: UInt32] = [:]
  /// Shared by all partitions of a topic.
  var settingsByTopic: [UUID128: LogSettings] = [:]
  /// Logs that must be recovered before they serve.
  var unrecovered: [PartitionLog] = []
  /// The recovery of the last of them, once it is begun.
  var recovery: LogRecovery?
  /// Logs whose name a log in another directory has, too: of two topics of one name in a row, one
  /// deleted while its disk was away. They have no slot unless the coordinator wants them.
  var withheld: [PartitionLog] = []
  /// About a millisecond's work from the page cache.
  private static let recoverySliceBytes: Int64 = 4 << 20
  /// Directories of `log.dirs` that could not be opened.
  var unopened: [UnopenedDirectory] = []
  let spaceLimits: SpaceLimits
  var spaceWatch = SpaceWatch()
  /// When to look at which log's age and size.
  var retention: RetentionSchedule
  /// Segments that readers have to let go, to be told at the end of the round.
  private(set) var dropped: [DroppedSegments] = []
  /// Slots whose entry is to be published at the end of the round.
  private var changed: [UInt32] = []
  private var isChanged: [Bool] = []
  /// Slots of an earlier logwriter never match ours: generations begin at a random number.
  private let firstGeneration = UInt32.random(in: 1...0x3FFF_FFFF)
  let log: Log
  /// `producer.id.expiration.ms`.
  var producerIdExpirationMs: Int64
  /// Appends that the disk refused.
  private(set) var failures: UInt64 = 0
  /// Work by slot, since the slot got its partition.
  var work: [SlotWork] = []
  let intervals: FlushIntervals
  private let executor: ThreadedSyncExecutor
  /// Files that are synced at a time, each by a thread of its own: a disk does several at once for
  /// little more than one.
  private static let syncedFilesMax = 8

  /// Opens every directory of `log.dirs` and takes in what is there.
  /// - Parameter descriptorsMax: how many descriptors this process may have open.
  init(
    configuration: BrokerConfiguration, descriptorsMax: Int, device: LogDevice = LogDevice(),
    log: Log
  ) throws(ServiceFailure) {
    self.log = log
    producerIdExpirationMs = configuration.producerIdExpirationMs
    retention = RetentionSchedule(
      intervalMs: configuration.logRetentionCheckIntervalMs,
      earliestMs: Clock.wallMs() + configuration.logInitialTaskDelayMs)
    do throws(Errno) { scoreboard = try ScoreboardWriter() } catch { throw ServiceFailure(error) }
    intervals = FlushIntervals(configuration)
    do throws(Errno) {
      executor = try ThreadedSyncExecutor(device, filesMax: Self.syncedFilesMax)
    } catch { throw ServiceFailure(error) }
    // The rest of the descriptors is for peers and hand-overs.
    environment = LogEnvironment(
      openSegmentsMax: Self.openSegmentsMax(descriptorsMax), device: device, executor: executor)
    spaceLimits = SpaceLimits(configuration)
    try open(configuration)
    for directory in directories { takeIn(directory) }
  }

  /// Readable when syncs are done: call `environment.finishSyncs` then.
  var syncDescriptor: Int32 { executor.descriptor }

  /// Active segments that are open at once.
  static func openSegmentsMax(_ descriptorsMax: Int) -> Int {
    min(max(descriptorsMax / 4, 16), 4096)
  }

  var partitionCount: Int { slotByPartition.count }
  /// The cluster that the log belongs to, as `meta.properties` says.
  var clusterId: String { directories.lazy.compactMap(\.meta.clusterId).first ?? "" }

  private func takeIn(_ directory: LogDirectory) {
    for (error, consequence) in directory.damaged {
      log.event(.partitionChangeFailed, "a checkpoint is damaged, and \(consequence): \(error)")
    }
    for (name, what) in directory.strangers {
      log.event(.strayLog, "left alone: \(directory.path)/\(name), \(what)")
    }
    for (partition, error) in directory.refused {
      tell(.partitionOffline, partition, "a partition cannot be used: \(error)")
    }
    let others = directories.prefix { $0 !== directory }
    for partitionLog in directory.logs.values {
      if partitionLog.isOffline { continue }
      if others.contains(where: { $0.logs[partitionLog.partition] != nil }) {
        withheld.append(partitionLog)
        continue
      }
      if partitionLog.needsRecovery || !partitionLog.unindexed.isEmpty {
        unrecovered.append(partitionLog)
      } else {
        assignSlot(partitionLog)
      }
    }
    // The least first, from the end: most partitions are served soon.
    unrecovered.sort { $0.unrecoveredBytes > $1.unrecoveredBytes }
  }

  // MARK: Finding

  /// The log in `slot` if it still is of `generation`.
  func log(slot: UInt32, generation: UInt32) -> PartitionLog? {
    guard slot < logs.count, generations[Int(slot)] == generation else { return nil }
    return logs[Int(slot)]
  }

  /// The log in `slot`, if there is one.
  func log(slot: UInt32) -> PartitionLog? { slot < logs.count ? logs[Int(slot)] : nil }

  /// The log in `slot` and its generation now.
  func current(slot: UInt32) -> (log: PartitionLog, generation: UInt32)? {
    log(slot: slot).map { ($0, generations[Int(slot)]) }
  }

  /// The slot of this log, which another one of the same name may have.
  func slot(of log: PartitionLog) -> UInt32? {
    guard let slot = slotByPartition[log.partition], logs[Int(slot)] === log else { return nil }
    return slot
  }

  func slots(of topicId: UUID128) -> [UInt32] {
    logs.indices.filter { logs[$0]?.topicId == topicId }.map { UInt32($0) }
  }

  /// The partition's log, rather the one of this topic: another directory may have one that was
  /// deleted while its disk was away.
  func find(_ partition: TopicPartition, _ topicId: UUID128) -> PartitionLog? {
    var other: PartitionLog?
    for directory in directories {
      guard let found = directory.logs[partition] else { continue }
      if found.topicId == topicId { return found }
      other = other ?? found
    }
    return other
  }

  /// What the coordinator is told of a partition.
  func state(of log: PartitionLog) -> PartitionState {
    let name = PartitionName(
      topic: log.partition.topic, partition: log.partition.partition, topicId: log.topicId)
    if let failure = log.failure {
      return PartitionState(
        name: name, slot: PartitionImage.noSlot, generation: 0, error: .kafkaStorageError,
        detail: "\(failure)")
    }
    guard let slot = slot(of: log) else {
      return PartitionState(
        name: name, slot: PartitionImage.noSlot, generation: 0, error: .leaderNotAvailable,
        detail: "being recovered")
    }
    return PartitionState(name: name, slot: slot, generation: generations[Int(slot)])
  }

  // MARK: Configuring

  func configure(topicId: UUID128, _ config: LogConfig) {
    // One that is not here yet brings its settings when it is created.
    settingsByTopic[topicId]?.config = config
    for slot in logs.indices where logs[slot]?.topicId == topicId { retention.touch(UInt32(slot)) }
  }

  func settings(of topicId: UUID128, _ config: LogConfig) -> LogSettings {
    if let known = settingsByTopic[topicId] {
      known.config = config
      return known
    }
    let made = LogSettings(config)
    settingsByTopic[topicId] = made
    return made
  }

  /// Logs an event of one partition.
  func tell(_ kind: EventKind, _ partition: TopicPartition, _ message: String) {
    log.event(
      kind, "\(message)",
      metadata: ["topic": "\(partition.topic)", "partition": "\(partition.partition)"])
  }

  // MARK: Recovery

  /// Goes on with the recovery of logs, for a slice that does not keep the others waiting.
  /// - Returns: the state of a log that is done with it.
  func recoverSlice() -> PartitionState? {
    guard let next = unrecovered.last else { return nil }
    // The one that was under way may have been deleted.
    if recovery?.log !== next { recovery = nil }
    if next.isOffline {
      unrecovered.removeLast()
      return state(of: next)
    }
    let recovery = recovery ?? LogRecovery(next, nowMs: Clock.wallMs())
    self.recovery = recovery
    do throws(StorageError) {
      guard let report = try recovery.advance(bytesMax: Self.recoverySliceBytes) else { return nil }
      if report.isNews {
        tell(.partitionRecovered, next.partition, "recovered a partition: \(report)")
      }
      assignSlot(next)
    } catch {
      // It is among those that `takeFailed` tells of.
      log.debug("not recovered: \(error)")
    }
    self.recovery = nil
    unrecovered.removeLast()
    return state(of: next)
  }

  /// Bytes that recovery has still to look at, at most.
  var unrecoveredBytes: Int64 {
    unrecovered.reduce(0) { $0 + $1.unrecoveredBytes } - (recovery?.bytesDone ?? 0)
  }

  /// Forgets producers that have been idle for `producer.id.expiration.ms`.
  func expireProducers() {
    let nowMs = Clock.wallMs()
    for log in logs {
      log?.expireProducers(nowMs: nowMs, expirationMs: producerIdExpirationMs)
    }
  }

  /// Takes note of a log that could not be written. One that went offline is told of by
  /// `takeFailed`.
  func noteFailure(_ failed: PartitionLog, _ error: StorageError) {
    failures += 1
    if failed.isOffline { return }
    if error.isDiskFull { foundFull(failed.directory) }
    tell(
      .appendRefused, failed.partition,
      "a partition refuses records, others may too: \(error)")
  }

  /// Ends cleanly: the next start needs no recovery.
  func close() {
    for directory in directories {
      do throws(StorageError) {
        for (partition, error) in try directory.close() {
          tell(.partitionChangeFailed, partition, "a partition was not closed: \(error)")
        }
      } catch {
        log.event(
          .partitionChangeFailed, "\(directory.path) was not closed cleanly: \(error)")
      }
    }
  }

  // MARK: Slots

  func assignSlot(_ partitionLog: PartitionLog) {
    let slot: UInt32
    if let free = freeSlots.popLast() {
      slot = free
      logs[Int(slot)] = partitionLog
    } else {
      slot = UInt32(logs.count)
      logs.append(partitionLog)
      generations.append(firstGeneration)
      isChanged.append(false)
      work.append(SlotWork())
    }
    slotByPartition[partitionLog.partition] = slot
    retention.touch(slot)
    partitionLog.place = slot
    publish(slot)
  }

  func releaseSlot(_ slot: UInt32) {
    segmentsDropped(slot, .min ..< .max)
    logs[Int(slot)] = nil
    work[Int(slot)] = SlotWork()
    generations[Int(slot)] = generations[Int(slot)] % 0x7FFF_FFFF + 1
    freeSlots.append(slot)
    markChanged(slot)
  }

  /// The partition's segments with base offsets in `offsets` are no more.
  func segmentsDropped(_ slot: UInt32, _ offsets: Range<Int64>) {
    dropped.append(
      DroppedSegments(
        slot: slot, generation: generations[Int(slot)], fromOffset: offsets.lowerBound,
        toOffset: offsets.upperBound))
  }

  func takeDropped() -> [DroppedSegments] {
    defer { dropped.removeAll() }
    return dropped
  }

  /// The log in `slot` was appended to.
  func appended(to slot: UInt32) {
    markChanged(slot)
    retention.touch(slot)
  }

  /// The slot's entry is published at the end of the round.
  func markChanged(_ slot: UInt32) {
    if isChanged[Int(slot)] { return }
    isChanged[Int(slot)] = true
    changed.append(slot)
  }

  /// Partitions that failed behind their owner's back are shown as offline.
  /// - Parameter body: is told of each.
  /// - Returns: their states, for the coordinator.
  func takeFailed(_ body: (PartitionLog) -> Void) -> [PartitionState] {
    var states: [PartitionState] = []
    // A directory that is given up takes its other partitions along.
    while case let failed = environment.takeFailed(), !failed.isEmpty {
      for partitionLog in failed {
        body(partitionLog)
        if let failure = partitionLog.failure {
          giveUp(partitionLog.directory, failure)
          tell(.partitionOffline, partitionLog.partition, "a partition is offline: \(failure)")
        }
        if let slot = slot(of: partitionLog) { markChanged(slot) }
        states.append(state(of: partitionLog))
      }
    }
    return states
  }

  /// Publishes all changed slots and hands them to `wake`, after the barrier that lets nobody
  /// sleep over them.
  func publishChanged(_ wake: ([UInt32]) -> Void) {
    if changed.isEmpty { return }
    for slot in changed {
      isChanged[Int(slot)] = false
      publish(slot)
    }
    SharedWord.fence()
    wake(changed)
    changed.removeAll(keepingCapacity: true)
  }

  private func publish(_ slot: UInt32) {
    guard let log = logs[Int(slot)] else {
      scoreboard.publish(slot, .free)
      return
    }
    let active = log.activeSegment
    scoreboard.publish(
      slot,
      ScoreboardEntry(
        generation: generations[Int(slot)], logStartOffset: log.logStartOffset,
        logEndOffset: log.logEndOffset, highWatermark: log.highWatermark,
        lastStableOffset: log.lastStableOffset, leaderEpoch: log.leaderEpoch,
        isOffline: log.isOffline, segmentBaseOffset: active.baseOffset,
        segmentPosition: active.size,
        abortedTransactionsEdition: log.abortedTransactionsEdition))
  }
}

extension ScoreboardEntry {
  /// What a slot without a partition shows.
  static let free = ScoreboardEntry(
    generation: 0, logStartOffset: 0, logEndOffset: 0, highWatermark: 0, lastStableOffset: 0,
    leaderEpoch: 0, isOffline: false, segmentBaseOffset: 0, segmentPosition: 0)
}

extension PartitionState {
  /// The same state under the name that was asked for.
  func named(_ name: PartitionName) -> PartitionState {
    var state = self
    state.name = name
    return state
  }
}
