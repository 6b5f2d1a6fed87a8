// What a process of the family is given before it begins its own work, and the one way it starts
// and ends: options, configuration, log, sockets, readiness.

import CSystemd
import Configuration
import Glibc
import IPC
import Linux
import Logging
import Model

/// The surroundings of one process.
public final class ServiceContext {
  public let role: Role
  /// Number of this process among those of its role, from 1.
  public let instance: UInt32
  /// Where the family's sockets are.
  public let runtimeDirectory: String
  /// What the process goes by; `reload` and `configure` change it.
  public internal(set) var configuration: BrokerConfiguration
  /// What of it was set at run time.
  public internal(set) var dynamic = DynamicBrokerConfigs()
  public let log: Log
  /// Sockets passed in by systemd or `sluice up`.
  public let sockets: InheritedSockets
  /// Who may connect to this process.
  public let peers: PeerPolicy
  /// Descriptors this process may have open (RLIMIT_NOFILE).
  public let descriptorsMax: Int
  /// When the process began, ms since 1970.
  public let startedMs = Clock.wallMs()
  /// Give it to the loop, and say what there is to tell of.
  public let upkeep: Upkeep
  let options: ServiceOptions
  private var isReady = false

  init(role: Role, options: ServiceOptions) throws(ServiceFailure) {
    self.role = role
    self.options = options
    let instance = options.instance
    self.instance = instance
    runtimeDirectory = options.runtimeDirectory
    peers = try PeerPolicy(options: options.peers)
    configuration = try .load(path: options.configFile, overrides: options.overrides)
    log = .process(name: "sluice-\(role)@\(instance)")
    sockets = try InheritedSockets()
    descriptorsMax = CurrentProcess.raiseDescriptorLimit()
    let startedMs = startedMs
    // `sluice up` shows no status once it is ready, and is not to be woken for one.
    let isShown = getenv("NOTIFY_SOCKET") != nil && log.isJournal
    upkeep = Upkeep(
      log: log,
      process: { Self.statistics(role, instance, startedMs, $0) },
      notify: isShown ? { sd_notify(0, "STATUS=\($0)") } : nil)
    applyOwn()
  }

  /// Path of a socket in the runtime directory; see `SocketName`.
  public func socketPath(_ name: String) -> String { "\(runtimeDirectory)/\(name)" }

  /// Tells the supervisor that this process serves now (READY=1, sd_notify(3)).
  public func notifyReady(status: String) {
    isReady = true
    log.event(.ready, "ready: \(status)")
    sd_notify(0, "READY=1\nSTATUS=\(status)")
  }

  /// The configuration is being read again; `notifyReloaded` follows.
  func notifyReloading() {
    guard isReady else { return }
    sd_notify(0, "RELOADING=1\nMONOTONIC_USEC=\(Clock.monotonicNs() / 1000)")
  }

  func notifyReloaded() { if isReady { sd_notify(0, "READY=1") } }

  /// Tells the supervisor in one line what this process is doing.
  public func notifyStatus(_ status: String) { sd_notify(0, "STATUS=\(status)") }

  /// Tells the supervisor that this process has begun to stop.
  public func notifyStopping() {
    log.event(.stopping, "stopping")
    sd_notify(0, "STOPPING=1")
  }

  /// What this process tells about itself.
  public func statistics(
    _ counters: [ProcessStatistics.Counter], topics: [TopicWork] = [],
    connections: [ConnectionWork] = []
  ) -> ProcessStatistics {
    var statistics = Self.statistics(role, instance, startedMs, counters)
    statistics.topics = topics
    statistics.connections = connections
    return statistics
  }

  private static func statistics(
    _ role: Role, _ instance: UInt32, _ startedMs: Int64, _ counters: [ProcessStatistics.Counter]
  ) -> ProcessStatistics {
    ProcessStatistics(
      role: role, instance: instance, pid: CurrentProcess.pid, startedMs: startedMs,
      residentBytes: CurrentProcess.residentBytes(),
      cpuMicroseconds: CurrentProcess.cpuMicroseconds(), counters: counters)
  }
}

public enum ServiceMain {
  /// Runs a process from its command line to its exit.
  /// - Parameter body: claims its sockets, builds its state, says ready, loops; returns to stop.
  public static func run(_ role: Role, _ body: (ServiceContext) throws(ServiceFailure) -> Void)
    -> Never
  {
    do {
      let arguments = Array(CommandLine.arguments.dropFirst())
      switch try ServiceOptions.parse(arguments, role: role) {
      case .answer(let text):
        print(text)
        exit(0)
      case .options(let options):
        let context = try ServiceContext(role: role, options: options)
        try body(context)
        exit(0)
      }
    } catch {
      Log.process(name: "sluice-\(role)").event(error.kind, "\(error)")
      // `systemctl status` shows it after the end, too.
      sd_notify(0, "STATUS=\(LogText.printable(error.description))")
      exit(error.exitCode)
    }
  }
}
