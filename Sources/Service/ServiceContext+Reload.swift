// The configuration read again while a process runs: SIGHUP, `systemctl reload`. A file that is wrong
// changes nothing. What can be taken over at once is; of the rest, and of what is wrong, one line says
// what it is. `adopt` is the one way a changed configuration reaches a process, wherever it comes from.

import CSystemd
import Configuration
import IPC
import Linux
import Logging
import Model

/// Which process acts on which configuration.
enum ConfigurationUse {
  /// Taken over while the process runs.
  static let live: [Role: Set<String>] = [
    .frontend: [
      "max.connections", "max.connections.per.ip", "connections.max.idle.ms",
      "socket.send.buffer.bytes", "socket.receive.buffer.bytes", "sluice.compressed.records.check",
    ],
    .fetcher: ["fetch.max.bytes", "max.incremental.fetch.session.cache.slots"],
    .logwriter: ["producer.id.expiration.ms", "log.cleaner.backoff.ms"],
    .cleaner: [
      "log.cleaner.dedupe.buffer.size", "log.cleaner.io.buffer.load.factor",
      "log.cleaner.io.buffer.size", "log.cleaner.io.max.bytes.per.second",
    ],
    .coordinator: Set([
      "auto.create.topics.enable", "delete.topic.enable", "num.partitions",
      "default.replication.factor", "group.min.session.timeout.ms", "group.max.session.timeout.ms",
      "group.initial.rebalance.delay.ms", "group.max.size", "offset.metadata.max.bytes",
      "offsets.retention.minutes", "offsets.retention.check.interval.ms",
      "offsets.topic.compression.codec", "offsets.topic.segment.bytes",
      "offsets.topic.num.partitions", "max.request.partition.size.limit",
    ]).union(TopicKeys.synonyms),
  ]

  /// Taken over by every process.
  static let liveForAll: Set<String> = ["sluice.log.level", "sluice.statistics.interval.ms"]

  /// Read when a process starts, and by whom.
  static let atStart: [Role: Set<String>] = [
    .frontend: [
      "socket.request.max.bytes", "socket.listen.backlog.size", "listeners",
      "controller.listener.names",
    ],
    .logwriter: [
      "log.dir", "log.dirs", "node.id", "broker.id", "log.retention.check.interval.ms",
      "log.initial.task.delay.ms", "log.cleaner.enable",
    ],
    .coordinator: [
      "node.id", "broker.id", "broker.rack", "metadata.log.dir", "advertised.listeners",
      "listeners", "listener.security.protocol.map",
    ],
  ]

  /// Everything that some process takes over: all of them have the same values in the end.
  static let liveSomewhere = live.values.reduce(liveForAll) { $0.union($1) }

  static func isLive(_ name: String, in role: Role) -> Bool {
    liveForAll.contains(name) || live[role]?.contains(name) == true
  }

  /// Whether a value that nobody takes over while running concerns a process. Of one that is not in
  /// the tables above every process says that it needs a restart.
  static func isReadAtStart(_ name: String, by role: Role) -> Bool {
    guard case .used? = BrokerKeys.named(name)?.effect else { return false }
    if liveSomewhere.contains(name) { return false }
    return atStart[role]?.contains(name) == true
      || !atStart.values.contains { $0.contains(name) }
  }
}

extension ServiceContext {
  /// Reads the configuration again and takes over what can be.
  /// - Parameter apply: the process's own part; refuses what it cannot live with before it changes
  ///   anything.
  public func reload(_ apply: (BrokerConfiguration) throws(ServiceFailure) -> Void) {
    notifyReloading()
    defer { notifyReloaded() }
    do throws(ServiceFailure) {
      let loaded = try BrokerConfiguration.load(
        path: options.configFile, overrides: options.overrides)
      try adopt(loaded.applying(dynamic).configuration, apply)
    } catch {
      log.event(.reloadRefused, "the configuration stays as it was: \(error)")
    }
  }

  /// Takes over what the coordinator says was set at run time, all of it, in place of what it said
  /// before. What cannot be taken is left out with a log line.
  /// - Parameter apply: as for `reload`.
  public func configure(
    _ dynamic: DynamicBrokerConfigs,
    _ apply: (BrokerConfiguration) throws(ServiceFailure) -> Void
  ) {
    if dynamic == self.dynamic { return }
    self.dynamic = dynamic
    let (next, ignored) = configuration.applying(dynamic)
    for reason in ignored {
      log.event(.reloadRefused, "ignored what was set at run time: \(reason)")
    }
    do throws(ServiceFailure) { try adopt(next, isQuietIfEqual: true, apply) } catch {
      log.event(.reloadRefused, "the configuration stays as it was: \(error)")
    }
  }

  /// Takes over what can be of `next`, and says so in one line.
  /// - Parameter isQuietIfEqual: says nothing when nothing has changed for this process.
  public func adopt(
    _ next: BrokerConfiguration, isQuietIfEqual: Bool = false,
    _ apply: (BrokerConfiguration) throws(ServiceFailure) -> Void
  ) throws(ServiceFailure) {
    let mixed: BrokerConfiguration
    do throws(ConfigurationError) {
      mixed = try configuration.taking(ConfigurationUse.liveSomewhere, from: next)
    } catch { throw .configuration(error.description) }
    try apply(mixed)
    let report = ReloadReport(from: configuration, taken: mixed, next: next, role: role)
    configuration = mixed
    applyOwn()
    if isQuietIfEqual, report.applied.isEmpty, report.pending.isEmpty { return }
    log.event(.configurationReloaded, "\(report.text)", metadata: report.fields)
  }

  /// What every process takes from the configuration.
  func applyOwn() {
    log.eventStream?.level = Logger.Level(rawValue: configuration.sluiceLogLevel) ?? .info
    upkeep.writeStatistics(everyMs: configuration.sluiceStatisticsIntervalMs)
  }
}

/// What became of a changed configuration, in words and fields.
struct ReloadReport {
  let applied: [ConfigurationChange]
  /// What differs from the values that this process has since it started.
  let pending: [ConfigurationChange]

  init(
    from old: BrokerConfiguration, taken: BrokerConfiguration, next: BrokerConfiguration, role: Role
  ) {
    applied = taken.changes(since: old).filter { ConfigurationUse.isLive($0.name, in: role) }
    pending = next.changes(since: taken).filter {
      ConfigurationUse.isReadAtStart($0.name, by: role)
    }
  }

  /// `configuration reloaded: max.connections=200 (was 100); needs a restart: node.id=2 (was 1)`
  var text: String {
    func list(_ changes: [ConfigurationChange]) -> String {
      changes.map(\.description).joined(separator: ", ")
    }
    var parts: [String] = []
    if !applied.isEmpty { parts.append(list(applied)) }
    if !pending.isEmpty { parts.append("needs a restart: \(list(pending))") }
    if parts.isEmpty { parts.append("nothing has changed for this process") }
    return "configuration reloaded: \(parts.joined(separator: "; "))"
  }

  var fields: Logger.Metadata {
    var fields: Logger.Metadata = [:]
    if !applied.isEmpty {
      fields["@applied"] = "\(applied.map(\.name).joined(separator: " "))"
    }
    if !pending.isEmpty {
      fields["@needsRestart"] = "\(pending.map(\.name).joined(separator: " "))"
    }
    return fields
  }
}
