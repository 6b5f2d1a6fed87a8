// The process: its loop, its links, and the state that the extensions beside this file work on.
// Nothing here is durable; a fetcher that dies is replaced and knows nothing of its predecessor.

import Configuration
import IPC
import Linux
import Service

final class FetcherProcess: EventHandler {
  enum Source {
    case listener
    case greeting(Int)
    case frontend(Int)
    case client(Int32)
    case deadline(Int32)
    case turn(Int32)
    case coldReads
    case logwriter
    case logwriterRetry
    case coordinator
    case coordinatorRetry
    case drained
  }

  typealias LogWriterLink = SiblingLink<FetcherToLogWriter, LogWriterToFetcher, FetcherProcess>
  typealias CoordinatorLink = SiblingLink<
    FetcherToCoordinator, CoordinatorToFetcher, FetcherProcess
  >

  private(set) var settings: FetcherSettings
  let reports: FetcherReports
  let log: Log
  let loop: EventLoop<FetcherProcess>
  let listener: SiblingListener<FetcherProcess>
  let logwriter: LogWriterLink
  let coordinator: CoordinatorLink

  let waitBoard: WaitBoard
  var scoreboard: SharedScoreboard?
  var topics = TopicTable()
  var hasImage = false
  /// Said once.
  var isReady = false
  var isStopping = false

  var frontends: [FrontendPeer?] = []
  var clients: [Client?] = []
  var freeClients: [Int32] = []

  var reader: PartitionReader
  var segmentRequests = SegmentRequests()
  var sessions: FetchSessions
  var waiters = WaiterTable()
  let encoder = FetchResponseEncoder()
  let coldReads = ColdReads()
  /// An image came in this round: those that lacked something look again at its end.
  var imageChanged = false
  var counts = FetchCounts()
  var work = TopicsServed()
  var woken: [WaiterTable.Waiter] = []
  var selected: [Int32] = []

  convenience init(_ context: ServiceContext) throws(ServiceFailure) {
    try self.init(
      FetcherSettings(context), listening: try context.sockets.take("fetcher"), context.log,
      FetcherReports(context))
  }

  /// - Parameter socket: listens for frontends.
  init(
    _ settings: FetcherSettings, listening socket: consuming OwnedFD, _ log: Log,
    _ reports: FetcherReports
  ) throws(ServiceFailure) {
    self.settings = settings
    self.reports = reports
    self.log = log
    do throws(Errno) {
      loop = try EventLoop()
      waitBoard = try WaitBoard()
      listener = try SiblingListener(
        socket, role: .fetcher, peers: settings.peers, loop: loop, log: log, source: .listener,
        greetingSource: { .greeting($0) })
    } catch { throw ServiceFailure(error) }
    logwriter = SiblingLink(
      path: settings.logwriterPath, edge: .fetcherToLogWriter, instance: settings.instance,
      loop: loop, source: .logwriter, retrySource: .logwriterRetry)
    coordinator = SiblingLink(
      path: settings.coordinatorPath, edge: .fetcherToCoordinator, instance: settings.instance,
      loop: loop, source: .coordinator, retrySource: .coordinatorRetry)
    reader = PartitionReader(descriptorsMax: settings.segmentDescriptorsMax)
    sessions = FetchSessions(capacity: settings.sessionsMax, instance: settings.instance)
    loop.upkeep = reports.upkeep
    reports.upkeep?.tell(
      counters: { [unowned self] in counters }, status: { [unowned self] in status($0) })
  }

  /// Serves until it is told to stop.
  func run() throws(ServiceFailure) {
    openLogWriter()
    openCoordinator()
    do throws(Errno) { try loop.run(self) } catch { throw ServiceFailure(error) }
  }

  func ready(_ source: Source, _ readiness: Readiness) {
    switch source {
    case .listener: listener.accept(admit)
    case .greeting(let number): listener.greeted(number, admit)
    case .frontend(let number): frontendReady(number, readiness)
    case .client(let number): if let client = clients[Int(number)] { serve(client) }
    case .logwriter: logwriterReady(readiness)
    case .coordinator: coordinatorReady(readiness)
    case .coldReads: coldReads.takeDone { readEnded($0, error: $1) }
    case .deadline, .turn, .logwriterRetry, .coordinatorRetry, .drained: break
    }
  }

  func expired(_ source: Source) {
    switch source {
    case .deadline(let number):
      guard let client = clients[Int(number)], let fetch = client.fetch else { return }
      fetch.timer = nil
      fetch.isExpired = true
      serve(client)
    case .turn(let number): if let client = clients[Int(number)] { serve(client) }
    case .logwriterRetry: openLogWriter()
    case .coordinatorRetry: openCoordinator()
    case .drained: loop.stop()
    case .listener: listener.expired()
    default: break
    }
  }

  func roundEnded() {
    if imageChanged {
      imageChanged = false
      serveWhere { $0.lacksImage }
    }
    if isStopping, clients.allSatisfy({ $0?.isIdle ?? true }) { loop.stop() }
  }

  /// Tells the frontends, answers what waits, and ends when all responses are in their sockets. A
  /// client that does not read is given up after five seconds.
  func stopRequested() {
    if isStopping || !isReady { return loop.stop() }
    isStopping = true
    reports.stopping()
    for number in frontends.indices { tell(number, .draining) }
    serveWhere { _ in true }
    loop.schedule(afterMs: 5000, .drained)
  }

  func reloadRequested() { reports.reload(self) }

  /// Takes over what may change while the process runs. Fetches under way keep their limit, sessions
  /// stay until they are to go.
  func apply(_ configuration: BrokerConfiguration) {
    settings.fetchMaxBytes = configuration.fetchMaxBytes
    settings.sessionsMax = configuration.maxIncrementalFetchSessionCacheSlots
    sessions.capacity = settings.sessionsMax
  }

  /// What `systemctl status` shows.
  private func status(_ pace: Pace) -> String {
    let count = counts.clients
    return (isReady ? "serving fetches" : "waiting for the logwriter and the coordinator")
      + ": \(count) connection\(count == 1 ? "" : "s"), \(counts.parked) waiting for records"
      + pace.clause([("fetch_requests", false, "fetches"), ("bytes_sent", true, "out")])
  }

  var counters: [ProcessStatistics.Counter] {
    [
      .init("fetch_requests", counts.requests), .init("bytes_sent", counts.bytes),
      .init("refused", counts.refused),
      .level("parked", counts.parked), .level("connections", counts.clients),
      .level("sessions", sessions.count),
      .init("session_evictions", sessions.evictions),
      .level("segments_open", reader.cache.segmentCount),
      .init("segment_requests", counts.segmentRequests),
      .init("cold_reads", coldReads.begun), .level("cold_reads_open", coldReads.underWay),
    ]
  }
}

struct FetchCounts {
  var requests: UInt64 = 0
  var refused: UInt64 = 0
  var bytes: UInt64 = 0
  var segmentRequests: UInt64 = 0
  var images: UInt64 = 0
  var parked = 0
  var clients = 0
}

/// The scoreboard of the logwriter that we are linked to, or were last.
final class SharedScoreboard {
  let reader: ScoreboardReader

  init(_ reader: consuming ScoreboardReader) { self.reader = reader }
}
