// Cleaners: who is connected, what the desk says to them, and what the journal is told of their work.

import IPC
import Linux
import Logging
import Model
import Service
import Storage

extension LogWriter {
  func cleanerReady(_ number: Int, _ readiness: Readiness) {
    guard let peer = cleaners[number] else { return }
    do {
      try peer.channel.ready(readiness) { message, _ throws(MessageError) in
        if case .statistics(let statistics) = message {
          cleanerTold(number, statistics)
        } else {
          try cleaning.heard(message, from: number, nowMs: Clock.wallMs())
        }
      }
    } catch { dropCleaner(number, error.reason) }
  }

  /// Passes on what was set at run time: cleaners know nobody but the logwriter.
  func configure(_ cleaner: CleanerPeer) {
    do throws(ChannelError) { try cleaner.channel.send(.configureBroker(context.dynamic)) } catch {
      cleaner.channel.abort()
    }
  }

  func dropCleaner(_ number: Int, _ reason: String) {
    guard let peer = cleaners[number] else { return }
    context.log.event(.siblingLost, "cleaner \(peer.instance) is gone: \(reason)")
    peer.channel.close()
    cleaners[number] = nil
    cleaning.left(number, nowMs: Clock.wallMs())
    cleanerLeftRound(number)
  }

  /// At the end of each round: logs that have closed a segment, orders to cleaners that are free.
  func clean() {
    for log in store.environment.takeCleanable() {
      if let slot = store.slot(of: log) { cleaning.touch(slot) }
    }
    let wakeMs = cleaning.wakeMs
    if wakeMs == .max { return }
    let nowMs = Clock.wallMs()
    if wakeMs <= nowMs { cleaning.run(nowMs: nowMs) }
    setCleaningTimer(nowMs)
  }

  private func setCleaningTimer(_ nowMs: Int64) {
    let wakeMs = cleaning.wakeMs
    if wakeMs >= cleaningTimerMs { return }
    if let cleaningTimer { loop.cancel(cleaningTimer) }
    cleaningTimerMs = wakeMs
    cleaningTimer = loop.schedule(afterMs: max(1, wakeMs - nowMs), .clean)
  }

  // MARK: Statistics

  /// Answers the coordinator when every cleaner has answered, or at once without any.
  /// - Parameter busiest: how many topics are told of.
  func reportStatistics(to coordinator: CoordinatorPeer, busiest: UInt16) {
    guard !cleaners.all.isEmpty else {
      do throws(ChannelError) {
        try coordinator.channel.send(.statistics([statistics(busiest)]))
      } catch { coordinator.channel.abort() }
      return
    }
    statisticsRound.busiest = max(statisticsRound.busiest, busiest)
    if statisticsRound.askers.isEmpty {
      statisticsRound.expected = Set(cleaners.all.keys)
      statisticsRound.gathered = []
      loop.schedule(afterMs: StatisticsRound.patienceMs, .statistics(statisticsRound.number))
      for peer in cleaners.all.values {
        do throws(ChannelError) { try peer.channel.send(.reportStatistics) } catch {
          peer.channel.abort()
        }
      }
    }
    statisticsRound.askers.append(coordinator)
  }

  private func cleanerTold(_ number: Int, _ statistics: ProcessStatistics) {
    guard statisticsRound.expected.remove(number) != nil else { return }
    statisticsRound.gathered.append(statistics)
    if statisticsRound.expected.isEmpty { endStatisticsRound(statisticsRound.number) }
  }

  private func cleanerLeftRound(_ number: Int) {
    guard statisticsRound.expected.remove(number) != nil else { return }
    if statisticsRound.expected.isEmpty { endStatisticsRound(statisticsRound.number) }
  }

  func endStatisticsRound(_ number: UInt64) {
    guard number == statisticsRound.number, !statisticsRound.askers.isEmpty else { return }
    let answer = [statistics(statisticsRound.busiest)] + statisticsRound.gathered
    let askers = statisticsRound.askers
    statisticsRound = StatisticsRound(number: number + 1)
    for coordinator in askers {
      do throws(ChannelError) { try coordinator.channel.send(.statistics(answer)) } catch {
        coordinator.channel.abort()
      }
    }
  }
}

/// One round of asking cleaners how they are.
struct StatisticsRound {
  /// How long a cleaner may take: less than the coordinator waits for us.
  static let patienceMs: Int64 = 400

  var number: UInt64 = 0
  var askers: [CoordinatorPeer] = []
  var expected: Set<Int> = []
  var gathered: [ProcessStatistics] = []
  /// The most topics that an asker wants to hear of.
  var busiest: UInt16 = 0

  init(number: UInt64 = 0) { self.number = number }
}

extension LogWriter: CleaningPort {
  /// How long a compacted log waits at most for its recovery point to be written down, ms.
  private static var hastenedCheckpointMs: Int64 { 250 }
  private static var hastenedTriesMax: Int { 20 }

  func send(_ message: LogWriterToCleaner, _ descriptors: [Int32], toCleaner number: Int) {
    guard let peer = cleaners[number] else { return }
    do throws(ChannelError) {
      try peer.channel.send(message, descriptors: descriptors)
    } catch { peer.channel.abort() }
  }

  func dismiss(cleaner number: Int, _ rule: String) {
    context.log.error("a cleaner broke a rule: \(rule)")
    cleaners[number]?.channel.abort()
  }

  func segmentsReplaced(_ slot: UInt32, _ offsets: Range<Int64>) {
    store.segmentsDropped(slot, offsets)
    // Before any answer that tells of the new segment.
    tellOfDropped()
    startSweeping()
  }

  func cleaningFailed(_ log: PartitionLog, _ reason: String, retryMs: Int64) {
    context.log.event(
      .cleaningFailed,
      "a partition cannot be compacted, next try in \(retryMs / 1000) s: \(reason)",
      metadata: ["topic": "\(log.partition.topic)", "partition": "\(log.partition.partition)"])
  }

  /// Writes the recovery points down before their usual time, which would be a minute for every
  /// segment of a busy topic.
  func recoveryPointWanted() {
    if hastenedTriesLeft > 0 { return }
    hastenedTriesLeft = Self.hastenedTriesMax
    loop.schedule(afterMs: Self.hastenedCheckpointMs, .hastenedCheckpoint)
  }

  /// A closed segment may still be on its way to the disk: then its recovery point has not moved yet.
  func writeHastenedCheckpoint() {
    hastenedTriesLeft -= 1
    var hasBegun = false
    for directory in store.directories where directory.recoveryPointsChanged {
      directory.beginCheckpoint()
      hasBegun = hasBegun || !directory.recoveryPointsChanged
    }
    if hasBegun {
      hastenedTriesLeft = 0
      return
    }
    if hastenedTriesLeft > 0 {
      loop.schedule(afterMs: Self.hastenedCheckpointMs, .hastenedCheckpoint)
    }
  }

  func cleaned(_ log: PartitionLog, upTo endOffset: Int64, _ report: CleaningReport) {
    context.log.info(
      """
      compacted up to offset \(endOffset): kept \(report.recordsKept) of \(report.recordsRead) \
      records, read \(report.bytesRead >> 10) KiB, wrote \(report.bytesWritten >> 10) KiB
      """,
      metadata: ["topic": "\(log.partition.topic)", "partition": "\(log.partition.partition)"])
  }

  func watch(thread descriptor: Int32) throws(Errno) {
    _ = try loop.watch(descriptor, .readable, .cleaningThread)
  }
}
