// The orders to cleaners: which log is next, who cleans what, which files are being put in place.
// What is sent and what the journal is told goes through `port`; the thread's results come in through
// `threadReady`.

import IPC
import Linux
import Logging
import Model
import Service
import Storage

/// What the desk needs of its process.
protocol CleaningPort: AnyObject {
  /// Sends to a cleaner, if it is still there.
  func send(_ message: LogWriterToCleaner, _ descriptors: [Int32], toCleaner number: Int)
  /// Ends the connection of a cleaner that broke a rule.
  func dismiss(cleaner number: Int, _ rule: String)
  /// The segments of a partition with base offsets in `offsets` are replaced: tells readers at once.
  func segmentsReplaced(_ slot: UInt32, _ offsets: Range<Int64>)
  /// A partition could not be cleaned.
  func cleaningFailed(_ log: PartitionLog, _ reason: String, retryMs: Int64)
  func cleaned(_ log: PartitionLog, upTo endOffset: Int64, _ report: CleaningReport)
  /// More of a log could be compacted if the disk knew a later recovery point.
  func recoveryPointWanted()
  /// Watches the thread's descriptor and calls `threadReady` when it is readable.
  func watch(thread descriptor: Int32) throws(Errno)
}

final class CleaningDesk {
  private let store: LogStore
  private unowned let port: any CleaningPort
  private let isEnabled: Bool
  private var schedule: CleaningSchedule
  private var jobs: [UInt64: CleaningJob] = [:]
  /// Cleaners that have no order.
  private var free: [Int] = []
  private var nextToken: UInt64 = 1
  private var thread: CleaningThread?
  private(set) var cleanings: UInt64 = 0
  private(set) var replacements: UInt64 = 0

  /// Logs looked at in one go.
  private static let looksMax = 32
  /// A log whose next change is near is not looked at more often than that, ms.
  private static let lookMsMin: Int64 = 1_000

  init(_ store: LogStore, isEnabled: Bool, backoffMs: Int64, port: any CleaningPort) {
    self.store = store
    self.isEnabled = isEnabled
    self.port = port
    schedule = CleaningSchedule(backoffMs: backoffMs)
  }

  /// `log.cleaner.backoff.ms`.
  func set(backoffMs: Int64) { schedule.backoffMs = backoffMs }

  /// The process ends: cleaners get no more orders, and what is being put in place is finished.
  func finish() {
    free.removeAll()
    for job in jobs.values { job.cleaner = nil }
    while let thread, jobs.values.contains(where: { $0.replacement != nil }) {
      guard Poll.waitAny([thread.descriptor], .readable, timeoutMs: 60_000) != nil else { return }
      threadReady(nowMs: Clock.wallMs())
    }
  }

  var failingCount: Int { schedule.failingCount }

  /// When `run` has something to do, ms since 1970; `.max` for never. Without a cleaner that is free
  /// nothing need be known.
  var wakeMs: Int64 { free.isEmpty ? .max : schedule.wakeMs }

  /// Something has happened to the log in `slot`.
  func touch(_ slot: UInt32) { if isEnabled { schedule.touch(slot) } }

  /// Tries logs again that could not be cleaned, without waiting any longer.
  func forgetFailures() { schedule.forgetFailures() }

  // MARK: Orders

  /// Looks at what has changed and gives orders to cleaners that are free.
  func run(nowMs: Int64) {
    if free.isEmpty { return }
    for _ in 0..<Self.looksMax {
      guard let slot = schedule.nextToLookAt(nowMs: nowMs) else { break }
      look(slot, nowMs)
    }
    while let cleaner = free.last, let slot = schedule.take(nowMs: nowMs) {
      do throws(StorageError) {
        guard let job = try makeJob(slot, cleaner, nowMs) else {
          schedule.ended(slot)
          continue
        }
        free.removeLast()
        jobs[job.order.token] = job
        port.send(.clean(job.order), [], toCleaner: cleaner)
      } catch { failed(slot, error.description, nowMs) }
    }
  }

  private func look(_ slot: UInt32, _ nowMs: Int64) {
    guard let log = store.log(slot: slot) else { return schedule.forget(slot) }
    do throws(StorageError) {
      guard let cleanable = try log.cleanable(nowMs: nowMs) else { return schedule.forget(slot) }
      let isDue = cleanable.isDue(log.settings.config)
      if cleanable.waitsForRecoveryPoint {
        log.flushClosedSegments()
        port.recoveryPointWanted()
      }
      let againMs = cleanable.nextChangeMs
      schedule.looked(
        slot, dirtyRatio: isDue ? cleanable.dirtyRatio : nil,
        againMs: againMs == .max ? .max : max(againMs, nowMs + Self.lookMsMin), nowMs: nowMs)
    } catch { failed(slot, error.description, nowMs) }
  }

  private func makeJob(_ slot: UInt32, _ cleaner: Int, _ nowMs: Int64) throws(StorageError)
    -> CleaningJob?
  {
    guard let (log, generation) = store.current(slot: slot) else { return nil }
    var producers: [ProducerLastRecord] = []
    // The log is read back for this, and knows its last stable offset from then on.
    try log.forEachProducer(nowMs: nowMs) { id, epoch, offset in
      producers.append(
        ProducerLastRecord(producerId: id, producerEpoch: epoch, lastDataOffset: offset))
    }
    let config = log.settings.config
    guard let cleanable = try log.cleanable(nowMs: nowMs), cleanable.isDue(config) else {
      return nil
    }
    let segments = try log.segmentsToClean(below: cleanable.endOffset)
    let order = CleaningOrder(
      token: nextToken, topic: log.partition.topic, partition: log.partition.partition,
      firstDirtyOffset: cleanable.firstDirtyOffset, endOffset: cleanable.endOffset, nowMs: nowMs,
      deleteRetentionMs: config.deleteRetentionMs, maxMessageBytes: config.maxMessageBytes,
      segmentBytes: config.segmentBytes, segmentIndexBytes: config.segmentIndexBytes,
      segments: segments.map {
        SegmentToClean(
          baseOffset: $0.baseOffset, size: $0.size, indexSize: $0.indexSize,
          timeIndexSize: $0.timeIndexSize)
      }, producers: producers, abortedTransactions: try log.abortedTransactions())
    nextToken += 1
    return CleaningJob(order, slot: slot, generation: generation, log: log, cleaner: cleaner)
  }

  // MARK: Cleaners

  /// A cleaner has connected.
  func joined(_ cleaner: Int) {
    if isEnabled, free.count + jobs.count < CleaningThread.checksMax { free.append(cleaner) }
  }

  /// A cleaner is gone. What it had finished is still put in place.
  func left(_ cleaner: Int, nowMs: Int64) {
    free.removeAll { $0 == cleaner }
    for (token, job) in jobs where job.cleaner == cleaner {
      job.cleaner = nil
      // It may have died of what it was cleaning.
      if isCurrent(job) { failed(job.slot, "the cleaner is gone", nowMs) }
      if job.replacement == nil { jobs[token] = nil }
    }
  }

  /// What a cleaner says.
  func heard(_ message: CleanerToLogWriter, from cleaner: Int, nowMs: Int64) throws(MessageError) {
    switch message {
    case .openSegment(let token, let baseOffset):
      guard let job = try job(token, of: cleaner) else { return }
      guard job.has(baseOffset) else { throw MessageError("a segment that is not of the order") }
      attempt(job, nowMs) { () throws(StorageError) in
        let file = try job.log.openClosed(baseOffset)
        port.send(
          .segment(token: token, baseOffset: baseOffset), [file.rawValue], toCleaner: cleaner)
      }
    case .openOutput(let token, let baseOffset):
      guard let job = try job(token, of: cleaner) else { return }
      guard job.has(baseOffset) else { throw MessageError("a file for no segment of the order") }
      attempt(job, nowMs) { () throws(StorageError) in
        let number = try job.openOutput(baseOffset)
        port.send(.output(token: token, baseOffset: baseOffset), [number], toCleaner: cleaner)
      }
    case .replace(let segment):
      guard let job = try job(segment.token, of: cleaner) else { return }
      try replace(job, segment, nowMs)
    case .cleaned(let token, let endOffset, let report):
      guard let job = try job(token, of: cleaner) else { return }
      guard endOffset > job.order.firstDirtyOffset, endOffset <= job.order.endOffset,
        job.replacement == nil
      else { throw MessageError("an end that is not of the order") }
      finish(job, endOffset, report)
    case .failed(let token, let reason):
      guard let job = try job(token, of: cleaner) else { return }
      fail(job, reason, nowMs)
    case .statistics: break
    }
  }

  /// The order of that number, which the cleaner must have; nil when it has ended meanwhile.
  private func job(_ token: UInt64, of cleaner: Int) throws(MessageError) -> CleaningJob? {
    guard token < nextToken else { throw MessageError("an order that was never given") }
    guard let job = jobs[token], job.cleaner == cleaner else { return nil }
    if isCurrent(job) { return job }
    cancel(job)
    return nil
  }

  private func isCurrent(_ job: CleaningJob) -> Bool {
    store.log(slot: job.slot, generation: job.generation) === job.log
  }

  /// Partitions were deleted or configured anew: what is no longer to be cleaned is not.
  func cancelOutdated() {
    for job in jobs.values where !isCurrent(job) || !job.log.settings.config.compacts {
      if job.replacement == nil || !isCurrent(job) { cancel(job) }
    }
  }

  // MARK: The end of an order

  private func attempt(
    _ job: CleaningJob, _ nowMs: Int64, _ body: () throws(StorageError) -> Void
  ) {
    do throws(StorageError) { try body() } catch {
      cancelAtCleaner(job)
      fail(job, error.description, nowMs)
    }
  }

  private func finish(_ job: CleaningJob, _ endOffset: Int64, _ report: CleaningReport) {
    job.log.cleaned(upTo: endOffset)
    cleanings += 1
    do throws(StorageError) { try job.log.directory.writeCleanedOffsets(durable: false) } catch {
      // After a restart the log is cleaned again, which does no harm.
      store.log.warning("a cleaned offset cannot be noted: \(error)")
    }
    port.cleaned(job.log, upTo: endOffset, report)
    schedule.ended(job.slot)
    release(job)
  }

  private func fail(_ job: CleaningJob, _ reason: String, _ nowMs: Int64) {
    if isCurrent(job) { failed(job.slot, reason, nowMs) }
    release(job)
  }

  private func failed(_ slot: UInt32, _ reason: String, _ nowMs: Int64) {
    let retryMs = schedule.failed(slot, nowMs: nowMs)
    if let log = store.log(slot: slot) { port.cleaningFailed(log, reason, retryMs: retryMs) }
  }

  /// For no fault of the log's or the cleaner's.
  private func cancel(_ job: CleaningJob) {
    cancelAtCleaner(job)
    if isCurrent(job) { schedule.ended(job.slot) }
    release(job)
  }

  private func cancelAtCleaner(_ job: CleaningJob) {
    if let cleaner = job.cleaner {
      port.send(.cancel(token: job.order.token), [], toCleaner: cleaner)
    }
  }

  /// The order has ended; its cleaner is free.
  private func release(_ job: CleaningJob) {
    if let cleaner = job.cleaner { free.append(cleaner) }
    job.cleaner = nil
    // The thread may be at work on its file, which is then let go.
    if job.waiting.isEmpty { jobs[job.order.token] = nil }
  }

  // MARK: Putting a file in place

  private func replace(_ job: CleaningJob, _ segment: CleanedSegment, _ nowMs: Int64)
    throws(MessageError)
  {
    guard job.replacement == nil, job.outputOffset == segment.baseOffset, segment.size >= 0,
      segment.lastBaseOffset >= segment.baseOffset, job.has(segment.lastBaseOffset)
    else { throw MessageError("a file that was not asked for") }
    do throws(Errno) {
      guard let file = try job.takeOutput() else { return }
      if thread == nil {
        let made = try CleaningThread()
        try port.watch(thread: made.descriptor)
        thread = made
      }
      do throws(SegmentReplacement.Failure) {
        job.replacement = try SegmentReplacement(
          of: job.log, by: file, size: segment.size,
          offsets: segment.baseOffset...segment.lastBaseOffset,
          abortedTransactions: segment.abortedTransactions)
      } catch { return refused(job, error, nowMs) }
    } catch {
      cancelAtCleaner(job)
      return fail(job, "\(error)", nowMs)
    }
    advance(job, nowMs)
  }

  /// Takes the next step of a replacement.
  private func advance(_ job: CleaningJob, _ nowMs: Int64) {
    guard let replacement = job.replacement, let thread else { return }
    let wasRetired = replacement.isRetired
    do throws(SegmentReplacement.Failure) {
      let work = try replacement.next()
      if replacement.isRetired, !wasRetired {
        replacements += 1
        port.segmentsReplaced(job.slot, replacement.goneOffsets)
      }
      switch work {
      case .check(let file): job.waiting = [thread.check(file)]
      case .sync(let descriptors): job.waiting = Set(descriptors.map { thread.sync($0) })
      case nil: replaced(job, replacement.baseOffset)
      }
    } catch { refused(job, error, nowMs) }
  }

  private func replaced(_ job: CleaningJob, _ baseOffset: Int64) {
    job.replacement = nil
    guard let cleaner = job.cleaner else {
      jobs[job.order.token] = nil
      return
    }
    port.send(
      .replaced(token: job.order.token, baseOffset: baseOffset), [], toCleaner: cleaner)
  }

  private func refused(
    _ job: CleaningJob, _ failure: SegmentReplacement.Failure, _ nowMs: Int64
  ) {
    job.replacement = nil
    switch failure {
    case .defect(let reason):
      let cleaner = job.cleaner
      job.cleaner = nil
      fail(job, "the cleaner has written what cannot be used: \(reason)", nowMs)
      if let cleaner { port.dismiss(cleaner: cleaner, reason) }
    case .outdated: cancel(job)
    case .storage(let error):
      cancelAtCleaner(job)
      fail(job, error.description, nowMs)
    }
  }

  /// The thread has done something.
  func threadReady(nowMs: Int64) {
    var done: [(UInt32, Int32)] = []
    thread?.takeDone { done.append(($0, $1)) }
    for (token, result) in done {
      guard let job = jobs.values.first(where: { $0.waiting.contains(token) }) else { continue }
      job.waiting.remove(token)
      if result != 0 { job.syncFailure = result }
      if job.waiting.isEmpty { stepDone(job, nowMs) }
    }
  }

  private func stepDone(_ job: CleaningJob, _ nowMs: Int64) {
    guard let replacement = job.replacement, isCurrent(job) else {
      // The partition is gone, and another one may have its name: nothing more is done to its files.
      job.replacement = nil
      cancel(job)
      return
    }
    guard job.syncFailure != 0 else { return advance(job, nowMs) }
    let error = replacement.failed(Errno(job.syncFailure, "fsync"))
    job.replacement = nil
    cancelAtCleaner(job)
    fail(job, error.description, nowMs)
  }
}
