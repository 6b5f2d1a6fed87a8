// The frontend: accepts clients, frames their requests, gives each request to whom it belongs, and
// returns the responses in order. This file holds its state and says what happens on which event;
// the extensions do it, one file a subject.
//
// Within a round, entries for the logwriter and connections with something to send are only gathered.
// `roundEnded` sends them, so everything that happened in a round shares the cost.

import DequeModule
import IPC
import KafkaProtocol
import Linux
import Logging
import Model
import Service

/// What a frontend is given.
struct FrontendEnvironment {
  var instance: UInt32
  var runtimeDirectory: String
  var log: Log
  var limits: FrontendLimits
  var upkeep: Upkeep?
  var statistics: ([ProcessStatistics.Counter]) -> ProcessStatistics
  /// This process serves now; the text says what.
  var ready: (String) -> Void
  var stopping: () -> Void
  /// Takes over what was set for the broker at run time; what changes comes back to `apply`.
  var configure: (Frontend, DynamicBrokerConfigs) -> Void = { _, _ in }
  /// Reads the configuration again; what changes comes back to `Frontend.apply`.
  var reload: (Frontend) -> Void
  /// Where connections wait for the process that comes after this one.
  var store: DescriptorStore

  /// The name of the parcel with the connections in the store.
  static let parcelName = "client-connections"
}

/// What the loop reports.
enum Source {
  case listener(Int)
  case client(UInt32)
  case coordinator
  case logwriter
  case fetcher(Int)
  case codec(Int)
  case runtimeDirectory
  // Timers.
  case coordinatorRetry
  case logwriterRetry
  case fetcherRetry(Int)
  case codecRetry(Int)
  case codecReportsOverdue
  case acceptAgain
  case idleCheck
  case overdueCheck
  case trim
  case starvedCheck
  case stopOverdue(patient: Bool)
  case storeAnswered
  case storeOverdue
  case handOverOverdue(HandOver.Patience)
}

final class Frontend: EventHandler {
  typealias CoordinatorLink = SiblingLink<FrontendToCoordinator, CoordinatorToFrontend, Frontend>
  typealias LogWriterLink = SiblingLink<FrontendToLogWriter, LogWriterToFrontend, Frontend>

  let environment: FrontendEnvironment
  var limits: FrontendLimits
  let loop: EventLoop<Frontend>
  let coordinator: CoordinatorLink
  let logwriter: LogWriterLink
  var fetchers: FetcherPool
  var codecs: CodecPool
  var codecReports = CodecReports()
  /// How many of the busiest connections the coordinator wants to hear of.
  var busiestWanted = 0
  /// Answers of codecs that wait for memory, oldest first.
  var unplaced: Deque<UnplacedAnswer> = []
  var directoryWatch: DirectoryWatch?
  var listeners: [Listener] = []
  var connections = ConnectionTable()
  var pool: ChunkPool
  let produce: ProducePath
  var scoreboard: ScoreboardReader?
  /// When the scoreboard came.
  var attachedNs: UInt64 = 0
  var counters = FrontendCounters()
  /// Connections to look at when the round ends.
  var marked: [Connection] = []
  /// Connections that wait for memory, longest first.
  var starved: Deque<UInt64> = []
  /// Responses of one connection while they are written.
  var writer = WireWriter(capacity: 16 << 10)
  var hasImage = false
  var isServing = false
  /// Where clients are served, once they are.
  var servingText = ""
  /// Nothing is begun any more.
  var isStopping = false
  /// The connections are to go to the process that comes after this one.
  var handOver: HandOver?
  /// Bytes of requests that the coordinator has not answered, and whether others wait for that.
  var forwardedBytes = 0
  var isForwardingFull = false
  /// When the coordinator was lost; nil while it is here.
  var coordinatorLostNs: UInt64?
  /// Timers that are running.
  var timers: Set<OneTimer> = []
  /// Why the process cannot go on.
  var failure: ServiceFailure?

  enum OneTimer { case idleCheck, overdueCheck, trim, starvedCheck, acceptAgain }

  var log: Log { environment.log }

  init(_ environment: FrontendEnvironment, loop: EventLoop<Frontend>) throws(Errno) {
    self.environment = environment
    limits = environment.limits
    self.loop = loop
    func path(_ name: String) -> String { "\(environment.runtimeDirectory)/\(name)" }
    coordinator = CoordinatorLink(
      path: path(SocketName.coordinator), edge: .frontendToCoordinator,
      instance: environment.instance, loop: loop, source: .coordinator,
      retrySource: .coordinatorRetry)
    logwriter = LogWriterLink(
      path: path(SocketName.logwriter), edge: .frontendToLogWriter,
      instance: environment.instance, loop: loop, source: .logwriter, retrySource: .logwriterRetry)
    fetchers = FetcherPool(
      directory: environment.runtimeDirectory, instance: environment.instance)
    codecs = CodecPool(directory: environment.runtimeDirectory, instance: environment.instance)
    pool = try ChunkPool(size: environment.limits.slabBytes)
    produce = ProducePath(base: pool.base, opening: environment.limits.opening)
    loop.upkeep = environment.upkeep
    environment.upkeep?.tell(
      counters: { [unowned self] in counters.list(connections: connections.count) },
      status: { [unowned self] in status($0) })
  }

  /// Connects to the siblings. Clients are accepted once a logwriter serves and an image is here.
  func start() throws(Errno) {
    openLogWriter()
    openCoordinator()
    try watchRuntimeDirectory()
  }

  /// Runs one subject again after `ms`, unless it is going to already.
  func schedule(_ timer: OneTimer, afterMs ms: Int64, _ source: Source) {
    guard timers.insert(timer).inserted else { return }
    loop.schedule(afterMs: ms, source)
  }

  func ready(_ source: Source, _ readiness: Readiness) {
    switch source {
    case .client(let slot): clientReady(slot, readiness)
    case .logwriter: logwriterReady(readiness)
    case .coordinator: coordinatorReady(readiness)
    case .fetcher(let index): fetcherReady(index, readiness)
    case .codec(let index): codecReady(index, readiness)
    case .listener(let index): accept(from: index)
    case .runtimeDirectory: runtimeDirectoryChanged()
    case .storeAnswered: storeAnswered()
    default: preconditionFailure("a timer is not a descriptor")
    }
  }

  func expired(_ source: Source) {
    switch source {
    case .logwriterRetry: openLogWriter()
    case .coordinatorRetry: openCoordinator()
    case .fetcherRetry(let index): openFetcher(index)
    case .codecRetry(let index): codecRetry(index)
    case .codecReportsOverdue: sendStatistics()
    case .acceptAgain: acceptAgain()
    case .idleCheck: closeIdle()
    case .overdueCheck: giveUpOverdue()
    case .trim: trimSlab()
    case .starvedCheck: closeStalled()
    case .stopOverdue(let patient): stopOverdue(patient: patient)
    case .storeOverdue: storeOverdue()
    case .handOverOverdue(let patience): handOverOverdue(patience)
    default: preconditionFailure("a descriptor is not a timer")
    }
  }

  func roundEnded() {
    if !unplaced.isEmpty { placeAnswers() }
    finishMarked()
    feedStarved()
    if !marked.isEmpty { finishMarked() }
    if pool.hasExcess { schedule(.trim, afterMs: 1000, .trim) }
    if isStopping { if handOver != nil { handOverIfReady() } else { stopIfQuiet() } }
  }

  private func finishMarked() {
    sendOpenings()
    sendAppends()
    while let connection = marked.popLast() { finishRound(of: connection) }
    sendOpenings()
    sendAppends()
  }

  /// Has the connection looked at when the round ends.
  func mark(_ connection: Connection) {
    if connection.isMarked { return }
    connection.isMarked = true
    marked.append(connection)
  }

  func stopRequested() {
    if isStopping || handOver != nil {
      loop.stop()
      return
    }
    environment.stopping()
    if !offerHandOver() { beginStop() }
  }

  func reloadRequested() { environment.reload(self) }

  /// Takes over other limits, from a configuration that has changed. Connections that are there stay,
  /// however many there may be now. The slab and what fits into it stay as they are.
  func apply(_ next: FrontendLimits) {
    let isIdleOther = next.idleMs != limits.idleMs
    let (requestMaxBytes, slabBytes) = (limits.requestMaxBytes, limits.slabBytes)
    limits = next
    limits.requestMaxBytes = requestMaxBytes
    limits.slabBytes = slabBytes
    limits.opening.requestMaxBytes = requestMaxBytes
    produce.opening = limits.opening
    if isIdleOther { closeIdle() }
  }

  /// Ends the process: a sibling cannot be trusted, or the system refuses what is needed.
  func fail(_ failure: ServiceFailure) {
    if self.failure == nil { self.failure = failure }
    loop.stop()
  }
}
