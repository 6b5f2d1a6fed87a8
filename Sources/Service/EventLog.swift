// Events on their way into the log: those that come too often are left out and summed up. One for a
// process, shared by all copies of its log, with what may change while it runs: the level.

import Linux
import Logging
import Synchronization

/// What the copies of a process's log share.
final class EventStream: Sendable {
  private let limiter = Mutex(EventLimiter())
  private let limiterDueNs = Atomic<UInt64>(.max)
  private let levelNumber: Atomic<Int>
  private let now: @Sendable () -> UInt64

  /// - Parameter now: a monotonic clock, ns.
  init(level: Logger.Level, now: @escaping @Sendable () -> UInt64 = { Clock.monotonicNs() }) {
    levelNumber = Atomic(Self.number(level))
    self.now = now
  }

  var level: Logger.Level {
    get { Logger.Level.allCases[levelNumber.load(ordering: .relaxed)] }
    set { levelNumber.store(Self.number(newValue), ordering: .relaxed) }
  }

  /// When events that were left out are to be told of; `.max` while there are none.
  var dueNs: UInt64 { limiterDueNs.load(ordering: .relaxed) }

  func admit(_ kind: EventKind, _ group: EventGroup?) -> Bool {
    limiter.withLock { limiter in
      defer { limiterDueNs.store(limiter.dueNs, ordering: .relaxed) }
      return limiter.admit(kind, group, nowNs: now())
    }
  }

  func takeSummaries() -> [EventLimiter.Summary] {
    let nowNs = now()
    guard nowNs >= dueNs else { return [] }
    return limiter.withLock { limiter in
      defer { limiterDueNs.store(limiter.dueNs, ordering: .relaxed) }
      return limiter.takeSummaries(nowNs: nowNs)
    }
  }

  private static func number(_ level: Logger.Level) -> Int {
    Logger.Level.allCases.firstIndex(of: level) ?? 0
  }
}

/// Puts an `EventStream` before the handler that writes. Setting the level sets it for all copies.
struct EventLogHandler: LogHandler {
  let stream: EventStream
  var writer: any LogHandler

  var metadata: Logger.Metadata {
    get { writer.metadata }
    set { writer.metadata = newValue }
  }

  var logLevel: Logger.Level {
    get { stream.level }
    set { stream.level = newValue }
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { writer[metadataKey: key] }
    set { writer[metadataKey: key] = newValue }
  }

  func log(event: LogEvent) { writer.log(event: event) }
}

extension Logger {
  /// Logs that something of a known kind happened; or only counts it, when there were many of its
  /// kind just now.
  /// - Parameters:
  ///   - metadata: in the journal, fields named SLUICE_ and the key in capitals: `clientId` is
  ///     SLUICE_CLIENT_ID. Keys that begin with `@` are for the journal only, without the `@`.
  ///   - group: those of the kind that are counted together.
  public func event(
    _ kind: EventKind, _ message: @autoclosure () -> Logger.Message,
    metadata: @autoclosure () -> Logger.Metadata = [:], group: EventGroup? = nil
  ) {
    guard logLevel <= kind.level else { return }
    if kind.limit != nil, let stream = eventStream {
      writeSummaries()
      guard stream.admit(kind, group) else { return }
    }
    var metadata = metadata()
    metadata[EventKind.metadataKey] = "\(kind.rawValue)"
    if let group { metadata["rule"] = "\(group.name)" }
    log(level: kind.level, message(), metadata: metadata)
  }

  /// Tells of events that were left out, where a window is over.
  func writeSummaries() {
    for summary in eventStream?.takeSummaries() ?? [] {
      var metadata: Logger.Metadata = [
        EventKind.metadataKey: "\(summary.kind.rawValue)", "@repeated": "\(summary.count)",
      ]
      if let group = summary.group { metadata["rule"] = "\(group.name)" }
      log(
        level: summary.kind.level,
        "\(summary.count) more of these in the last \(summary.seconds) s: \(summary.group?.plural ?? summary.kind.plural)",
        metadata: metadata)
    }
  }

  /// nil for a log that is not the one of a process.
  var eventStream: EventStream? { (handler as? EventLogHandler)?.stream }
}

extension EventKind {
  /// Where an entry carries its kind, out of the way of what callers add.
  static let metadataKey = "@event"
}
