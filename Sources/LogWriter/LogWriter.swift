// The loop of the logwriter: accepts siblings, gathers what they ask in a round, writes, publishes,
// wakes, answers. In this order: what is answered or woken for is on the scoreboard already. What comes
// from siblings and goes to them is in `LogWriter+Siblings` and the files of each edge's requests.

import Configuration
import IPC
import Linux
import Logging
import Model
import Service
import Storage

final class LogWriter: EventHandler {
  enum Source {
    case siblings
    case greeting(Int)
    case frontend(Int)
    case fetcher(Int)
    case coordinator(Int)
    case cleaner(Int)
    /// The thread that looks at cleaned segments.
    case cleaningThread
    /// Timers: recover the next partition, delete what is too old, remove files of what was deleted,
    /// see whether a full disk has room again, forget idle producers.
    case recover
    case retain
    case sweep
    case space
    case expireProducers
    /// Helper threads have finished syncs.
    case synced
    /// A helper thread has closed removed files.
    case closed
    /// Timers: `flush.ms` of some log is over; recovery points have changed for a while.
    case timedFlush
    case checkpoint
    /// A timer: some log may have become cleanable.
    case clean
    /// A timer: recovery points are wanted on the disk, for compaction.
    case hastenedCheckpoint
    /// A timer: cleaners that have not answered are not waited for.
    case statistics(UInt64)
  }

  let context: ServiceContext
  let store: LogStore
  let loop: EventLoop<LogWriter>
  var fetchers = PeerTable<FetcherPeer>()
  var coordinators = PeerTable<CoordinatorPeer>()
  var cleaners = PeerTable<CleanerPeer>()
  private(set) lazy var cleaning = CleaningDesk(
    store, isEnabled: context.configuration.logCleanerEnable,
    backoffMs: context.configuration.logCleanerBackoffMs, port: self)
  var cleaningTimer: TimerID?
  var cleaningTimerMs = Int64.max
  var statisticsRound = StatisticsRound()
  /// How often recovery points that are wanted are still looked at.
  var hastenedTriesLeft = 0
  var segmentsOpened: UInt64 = 0
  var waiting = WaitingAnswers()
  var flushTimers = FlushTimers()
  private let listener: SiblingListener<LogWriter>
  private let syncs: Watch
  var frontends = PeerTable<FrontendPeer>()
  var round = AppendRound()
  var brokenFrontends: [(number: Int, rule: String)] = []
  private var recoveries: UInt64 = 0
  /// Some frontend has answers to be sent in this round.
  var hasAnswers = false
  /// The timers, and what they are set to, ms since 1970.
  private var retentionTimer: TimerID?
  private var retentionMs = Int64.max
  private var sweepTimer: TimerID?
  private var sweepMs = Int64.max
  private var isSpaceTimerSet = false
  private let closer: ThreadedFileCloser

  /// How often to look whether a full disk has room again.
  private static let spaceCheckMs: Int64 = 1_000

  /// Kafka's `producer.id.expiration.check.interval.ms`.
  private static let expirationCheckMs: Int64 = 600_000

  /// - Parameter socket: the listening socket, as it was passed in.
  init(context: ServiceContext, socket: consuming OwnedFD, store: LogStore) throws(ServiceFailure) {
    self.context = context
    self.store = store
    do throws(Errno) {
      loop = try EventLoop()
      listener = try SiblingListener(
        socket, role: .logwriter, peers: context.peers, loop: loop, log: context.log,
        source: .siblings,
        greetingSource: { .greeting($0) })
      syncs = try loop.watch(store.syncDescriptor, .readable, .synced)
      closer = try ThreadedFileCloser()
      _ = try loop.watch(closer.descriptor, .readable, .closed)
    } catch { throw ServiceFailure(error) }
    store.environment.closer = closer
    loop.upkeep = context.upkeep
    context.upkeep.tell(
      counters: { [unowned self] in counters }, status: { [unowned self] in status + pace($0) })
  }

  /// Serves until asked to stop, then closes the log.
  func run() throws(ServiceFailure) {
    begin()
    do throws(Errno) { try loop.run(self) } catch { throw ServiceFailure(error) }
    if let failure = store.lastFailure {
      throw .system("no log directory is left: \(failure)")
    }
    context.notifyStopping()
    cleaning.finish()
    store.close()
  }

  /// Says ready and begins what goes on beside serving.
  func begin() {
    store.checkSpace(nowNs: Clock.monotonicNs(), bytesWritten: 0)
    context.notifyReady(status: status)
    if !store.unrecovered.isEmpty { loop.schedule(afterMs: 0, .recover) }
    startSweeping()
    loop.schedule(afterMs: Self.expirationCheckMs, .expireProducers)
  }

  /// What `systemctl status` shows, without rates.
  var status: String {
    let waiting = store.unrecovered.count
    let count = store.partitionCount
    if waiting == 0 { return "\(count) partitions" + store.directoryStatus }
    let megabytes = (store.unrecoveredBytes + 999_999) / 1_000_000
    return "recovered \(count) of \(count + waiting) partitions, \(megabytes) MB to read"
      + store.directoryStatus
  }

  private func pace(_ pace: Pace) -> String {
    pace.clause([("records", false, "records"), ("bytes", true, "in")])
  }

  func ready(_ source: Source, _ readiness: Readiness) {
    switch source {
    case .siblings: listener.accept { hello, socket in admit(hello, socket) }
    case .greeting(let number): listener.greeted(number) { hello, socket in admit(hello, socket) }
    case .frontend(let number): frontendReady(number, readiness)
    case .fetcher(let number): fetcherReady(number, readiness)
    case .coordinator(let number): coordinatorReady(number, readiness)
    case .synced: store.environment.finishSyncs()
    case .closed: closer.finish()
    case .cleaner(let number): cleanerReady(number, readiness)
    case .cleaningThread: cleaning.threadReady(nowMs: Clock.wallMs())
    case .recover, .retain, .sweep, .space, .expireProducers, .timedFlush, .checkpoint, .clean,
      .hastenedCheckpoint, .statistics:
      break
    }
  }

  func expired(_ source: Source) {
    switch source {
    case .recover:
      if let state = store.recoverSlice() {
        tellCoordinators(.partitionChanged(state))
        recoveries += 1
      }
      context.upkeep.noteWork()
      if !store.unrecovered.isEmpty { loop.schedule(afterMs: 0, .recover) }
    case .retain:
      retentionMs = .max
      store.retain()
      startSweeping()
    case .sweep:
      sweepMs = .max
      store.sweep()
      startSweeping()
    case .space:
      isSpaceTimerSet = false
      store.checkSpace(nowNs: loop.nowNs, bytesWritten: round.bytesWritten)
      makeRoom()
    case .expireProducers:
      store.expireProducers()
      loop.schedule(afterMs: Self.expirationCheckMs, .expireProducers)
    case .timedFlush, .checkpoint: flushTimerExpired(source)
    case .clean:
      // `roundEnded` does what is due.
      cleaningTimer = nil
      cleaningTimerMs = .max
    case .hastenedCheckpoint: writeHastenedCheckpoint()
    case .statistics(let number): endStatisticsRound(number)
    case .siblings: listener.expired()
    case .greeting, .frontend, .fetcher, .coordinator, .cleaner, .cleaningThread,
      .synced, .closed:
      break
    }
  }

  func roundEnded() {
    if !round.isEmpty {
      store.checkSpaceIfDue(nowNs: loop.nowNs, bytesWritten: round.bytesWritten)
      round.write(
        to: store, frontend: { frontends[$0] }, broken: { brokenFrontends.append(($0, $1)) },
        failed: { store.noteFailure($0, $1) })
      round.answer(&waiting) { frontends[$0] }
      hasAnswers = true
    }
    for state in store.takeFailed(failed) { tellCoordinators(.partitionChanged(state)) }
    store.environment.takeFlushed(flushed)
    store.publishChanged(wake)
    if !store.dropped.isEmpty { tellOfDropped() }
    if store.isTroubled { attendToDirectories() }
    setRetentionTimer()
    armFlushTimers()
    if hasAnswers { answerFrontends() }
    for (number, rule) in brokenFrontends {
      dropFrontend(number, "it broke a rule of the edge: \(rule)")
    }
    brokenFrontends.removeAll(keepingCapacity: true)
    clean()
  }

  func stopRequested() { loop.stop() }

  func reloadRequested() {
    context.reload { [unowned self] configuration in apply(configuration) }
  }

  /// Takes over what may change while the process runs; the coordinator configures topics.
  func apply(_ configuration: BrokerConfiguration) {
    store.producerIdExpirationMs = configuration.producerIdExpirationMs
    cleaning.set(backoffMs: configuration.logCleanerBackoffMs)
  }

  /// Some directory is full or has failed.
  private func attendToDirectories() {
    if store.lastFailure != nil { loop.stop() }
    if !isSpaceTimerSet, store.isAnyLow {
      isSpaceTimerSet = true
      loop.schedule(afterMs: Self.spaceCheckMs, .space)
      makeRoom()
    }
  }

  private func makeRoom() {
    context.upkeep.noteWork()
    store.makeRoom()
    startSweeping()
  }

  private func setRetentionTimer() {
    let wakeMs = store.retention.wakeMs
    if wakeMs >= retentionMs { return }
    if let retentionTimer { loop.cancel(retentionTimer) }
    retentionMs = wakeMs
    retentionTimer = loop.schedule(afterMs: max(0, wakeMs - Clock.wallMs()), .retain)
  }

  /// Sets the timer for the next files to be removed; between two slices others have a turn.
  func startSweeping() {
    guard let nextMs = store.nextSweepMs, nextMs < sweepMs else { return }
    if let sweepTimer { loop.cancel(sweepTimer) }
    sweepMs = nextMs
    sweepTimer = loop.schedule(afterMs: max(10, nextMs - Clock.wallMs()), .sweep)
  }

  /// What this process tells about itself.
  func statistics(_ busiest: UInt16) -> ProcessStatistics {
    context.statistics(counters, topics: busiest == 0 ? [] : store.busiestTopics(Int(busiest)))
  }

  private var counters: [ProcessStatistics.Counter] {
    [
      .level("partitions", store.partitionCount),
      .init("batches", round.entriesWritten),
      .init("records", round.recordsWritten),
      .init("bytes", round.bytesWritten),
      .init("writes", round.commits),
      .init("syncs", store.environment.syncCount),
      .init("errors", store.failures),
      .init("segments_opened", segmentsOpened),
      .init("recoveries", recoveries),
      .level("unrecovered", store.unrecovered.count),
      .level("unrecovered_bytes", Int(store.unrecoveredBytes)),
      .level("frontends", frontends.all.count),
      .level("fetchers", fetchers.all.count),
      .level("cleaners", cleaners.all.count),
      .init("cleanings", cleaning.cleanings),
      .init("segments_replaced", cleaning.replacements),
      .level("uncleanable_partitions", cleaning.failingCount),
    ]
  }
}
