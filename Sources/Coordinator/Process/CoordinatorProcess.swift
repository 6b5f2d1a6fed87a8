// The process: its listening socket, its siblings, its loop. Everything that happens is handed to
// the `Broker` or to `Peers`; what those need from the outside is implemented here.

import Configuration
import IPC
import KafkaProtocol
import Linux
import Logging
import Model
import Service

/// What the loop watches.
enum Source {
  case listener
  case greeting(Int)
  case peer(UInt64)
  case logWriter
  case logWriterRetry
  case timer(() -> Void)
}

final class CoordinatorProcess: EventHandler {
  private let context: ServiceContext
  private let loop: EventLoop<CoordinatorProcess>
  private let metadata: MetadataLog
  private let listener: SiblingListener<CoordinatorProcess>
  private let logWriter:
    SiblingLink<CoordinatorToLogWriter, LogWriterToCoordinator, CoordinatorProcess>
  private let peers: Peers
  private var scoreboard: AttachedScoreboard?
  private var broker: Broker?
  private var isReady = false

  init(_ context: ServiceContext, metadata: MetadataLog) throws(ServiceFailure) {
    self.context = context
    self.metadata = metadata
    let socket = try context.sockets.take("coordinator")
    do throws(Errno) {
      loop = try EventLoop()
      listener = try SiblingListener(
        socket, role: .coordinator, peers: context.peers, loop: loop, log: context.log,
        source: .listener, greetingSource: { .greeting($0) })
    } catch { throw ServiceFailure(error) }
    logWriter = SiblingLink(
      path: context.socketPath(SocketName.logwriter), edge: .coordinatorToLogWriter,
      instance: context.instance, loop: loop, source: .logWriter, retrySource: .logWriterRetry)
    peers = Peers(loop: loop, log: context.log)
    loop.upkeep = context.upkeep
  }

  /// Connects to the logwriter and works until it is told to stop.
  func run() throws(ServiceFailure) {
    context.configure(metadata.state.dynamicConfigs(of: context.configuration.nodeId)) { _ in }
    let broker = Broker(
      configuration: context.configuration, metadata: metadata, world: self, log: context.log)
    self.broker = broker
    context.upkeep.tell(
      counters: { [unowned self] in counters(broker) },
      status: { [unowned self] pace in
        status + pace.clause([("requests", false, "requests")])
      })
    peers.status.ask = { [unowned self] busiest in askForStatus(busiest, broker) }
    context.notifyStatus(status)
    connectToLogWriter()
    do throws(Errno) { try loop.run(self) } catch { throw ServiceFailure(error) }
    context.notifyStopping()
    logWriter.close()
    do throws(StoreError) { try metadata.close() } catch { throw .system("\(error)") }
  }

  // MARK: - Events

  func ready(_ source: Source, _ readiness: Readiness) {
    switch source {
    case .listener: listener.accept { hello, socket in admit(hello, socket) }
    case .greeting(let number):
      listener.greeted(number) { hello, socket in admit(hello, socket) }
    case .peer(let number):
      peers.ready(number, readiness) { [unowned self] heard in hear(number, heard) }
    case .logWriter: readLogWriter(readiness)
    case .logWriterRetry, .timer: preconditionFailure("a timer is not a descriptor")
    }
  }

  func expired(_ source: Source) {
    switch source {
    case .timer(let body): body()
    case .logWriterRetry: connectToLogWriter()
    case .listener: listener.expired()
    case .greeting, .peer, .logWriter: preconditionFailure("not a timer")
    }
  }

  func roundEnded() { broker?.groups.roundEnded() }

  func stopRequested() { loop.stop() }

  func reloadRequested() {
    context.reload { [unowned self] configuration in broker?.apply(configuration) }
  }

  // MARK: - Siblings that connect to us

  private func admit(_ hello: Hello, _ socket: consuming OwnedFD) {
    guard let broker else { return }
    switch hello.edge.from {
    case .frontend:
      peers.addFrontend(socket, broker.dynamicConfigs, image: broker.topics.snapshot)
    case .fetcher: peers.addFetcher(socket, broker.dynamicConfigs, image: broker.topics.snapshot)
    case .admin: peers.addAdmin(socket)
    case .logwriter, .coordinator, .codec, .cleaner: preconditionFailure("no such edge")
    }
  }

  private func hear(_ number: UInt64, _ heard: Peers.Heard) {
    guard let broker else { return }
    switch heard {
    case .request(let request): HandledApis.handle(request, channel: number, broker)
    case .statistics(let statistics): peers.status.answered(number, statistics)
    case .statusWanted(let busiest): peers.status.wanted(by: number, busiest: busiest)
    }
  }

  private func askForStatus(_ busiest: UInt16, _ broker: Broker) {
    let own = context.statistics(counters(broker))
    let asksLogWriter = logWriter.send(.reportStatistics(busiest: busiest))
    peers.askForStatus(busiest, own: own, logWriterToo: asksLogWriter)
  }

  private func counters(_ broker: Broker) -> [ProcessStatistics.Counter] {
    [
      .init("requests", broker.requestCount), .level("topics", metadata.state.topicCount),
      .level("partitions", metadata.state.partitionCount),
      .level("partitions_offline", broker.topics.placement.offlineCount),
      .level("groups", broker.groups.sessionCount), .level("frontends", peers.frontendCount),
      .level("fetchers", peers.fetcherCount),
    ]
  }

  /// What `systemctl status` shows, without rates.
  private var status: String {
    guard isReady else { return "waiting for the logwriter" }
    let groups = broker?.groups.sessionCount ?? 0
    let offline = broker?.topics.placement.offlineCount ?? 0
    return "\(metadata.state.topicCount) topics, \(metadata.state.partitionCount) partitions"
      + (offline > 0 ? " (\(offline) offline)" : "") + ", \(groups) groups"
  }

  // MARK: - The logwriter

  private func connectToLogWriter() {
    if let error = logWriter.open() {
      context.log.debug("the logwriter cannot be reached yet: \(error)")
    }
  }

  private func readLogWriter(_ readiness: Readiness) {
    do throws(ChannelError) {
      try logWriter.ready(readiness) {
        [unowned self] message, descriptors throws(MessageError) in
        try take(message, &descriptors)
      }
    } catch {
      context.log.event(
        .siblingLost, "the logwriter is gone: \(error)", metadata: ["@sibling": "logwriter"])
      peers.status.lost(Peers.logWriterNumber)
      broker?.topics.logWriterLost()
      broker?.logs.lost()
      scoreboard = nil
    }
  }

  private func take(
    _ message: LogWriterToCoordinator, _ descriptors: inout DescriptorList
  ) throws(MessageError) {
    guard let broker else { return }
    switch message {
    case .scoreboard(let clusterId):
      guard let descriptor = descriptors.take() else { throw MessageError("no scoreboard") }
      scoreboard = AttachedScoreboard(try ScoreboardReader(descriptor))
      logWriter.send(.configureBroker(broker.dynamicConfigs))
      broker.topics.belongs(toCluster: clusterId)
    case .inventory(let states, let isLast):
      guard scoreboard != nil else { throw MessageError("an inventory before the scoreboard") }
      broker.topics.found(states, isLast: isLast)
    case .partitionChanged(let state): broker.topics.changed(state)
    case .statistics(let processes):
      peers.status.answered(Peers.logWriterNumber, processes)
    case .partitionsCreated, .partitionsDeleted, .appended, .segment, .segmentUnavailable,
      .maxTimestamp, .recordsDeleted, .logDirs:
      try broker.logs.answered(message, &descriptors)
    }
    if !isReady, broker.topics.phase == .ready { becomeReady(broker) }
  }

  private func becomeReady(_ broker: Broker) {
    isReady = true
    context.notifyReady(status: status)
    context.log.info("serving a cluster", metadata: ["cluster": "\(broker.clusterId)"])
  }
}

/// The scoreboard of the logwriter that is there.
private final class AttachedScoreboard {
  let reader: ScoreboardReader
  init(_ reader: consuming ScoreboardReader) { self.reader = reader }
}

extension CoordinatorProcess: ReplyPort {
  /// What a channel takes, less room for its own fields.
  private static var responseBytesMax: Int { ChannelLimits.bodyMax - 4096 }

  func answer<Response: WireResponse>(_ response: Response, to reply: Reply) {
    var writer = WireWriter()
    do throws(WireError) {
      try writer.writeResponse(
        response, version: reply.apiVersion, correlationId: reply.correlationId)
    } catch {
      return refuse(reply, "its response cannot be encoded: \(error)")
    }
    guard writer.bytes.count <= Self.responseBytesMax else {
      return refuse(reply, "its response has \(writer.bytes.count) bytes, which is too much")
    }
    peers.send(
      .response(connection: reply.connection, request: reply.request, frame: writer.bytes),
      toFrontend: reply.channel)
  }

  func refuse(_ reply: Reply, _ reason: String) {
    peers.send(
      .refused(connection: reply.connection, request: reply.request, reason: reason),
      toFrontend: reply.channel)
  }
}

extension CoordinatorProcess: TimerPort, ClockPort {
  func after(_ afterMs: Int64, _ body: @escaping () -> Void) -> TimerID {
    loop.schedule(afterMs: afterMs, .timer(body))
  }

  func cancel(_ timer: TimerID) { loop.cancel(timer) }

  var wallMs: Int64 { Clock.wallMs() }
}

extension CoordinatorProcess: LogWriterPort, ScoreboardPort, ImagePort, ConfigurationPort {
  func send(_ message: CoordinatorToLogWriter) -> Bool { logWriter.send(message) }

  func entry(_ ref: SlotRef) -> ScoreboardEntry? {
    scoreboard?.reader.entry(ref.slot, generation: ref.generation)
  }

  func publish(_ update: ImageUpdate) { peers.publish(update) }

  func configure(_ dynamic: DynamicBrokerConfigs) {
    // One that has not said its first words yet is told when it does.
    if scoreboard != nil { logWriter.send(.configureBroker(dynamic)) }
    peers.configure(dynamic)
    context.configure(dynamic) { [unowned self] configuration in broker?.apply(configuration) }
  }
}
