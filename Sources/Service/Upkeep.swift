// What every process does beside its work: tells in the journal and in `systemctl status` how it
// goes, and of events that were left out. `EventLoop` calls it.
//
// Nothing of this wakes a process that does nothing. Work arms it; when its time comes and nothing
// has moved since the last time, it says so once (`STATUS=` without rates) and is quiet until there
// is work again. An interval begins with the work, not with the end of the one before.

import CSystemd
import Glibc
import IPC
import Linux
import Logging

public final class Upkeep {
  /// One thing that is told from time to time.
  private struct Telling {
    /// When to tell; nil: not before there is work.
    var dueNs: UInt64?
    var sinceNs: UInt64 = 0
    var before: [ProcessStatistics.Counter] = []
    var cpuMicroseconds: UInt64 = 0
  }

  /// From the first work to the status that shows it, and from one status to the next, ns.
  private static let statusBeginsNs: UInt64 = 1_000_000_000
  private static let statusIntervalNs: UInt64 = 10_000_000_000

  private let log: Log
  private let process: ([ProcessStatistics.Counter]) -> ProcessStatistics
  private let notify: ((String) -> Void)?
  private var counters: (() -> [ProcessStatistics.Counter])?
  private var status: ((Pace) -> String)?
  private var line = Telling()
  private var shown = Telling()
  private var shownNs: UInt64 = 0
  private var shownText = ""
  private var lineIntervalNs: UInt64?
  private var isArmed = false

  /// - Parameters:
  ///   - process: adds what is known of every process to its counters.
  ///   - notify: takes a status; nil when nobody wants one.
  init(
    log: Log, process: @escaping ([ProcessStatistics.Counter]) -> ProcessStatistics,
    notify: ((String) -> Void)?
  ) {
    self.log = log
    self.process = process
    self.notify = notify
  }

  /// Says what there is to tell of.
  /// - Parameters:
  ///   - counters: the process's own.
  ///   - status: one line for `systemctl status`.
  public func tell(
    counters: @escaping () -> [ProcessStatistics.Counter], status: @escaping (Pace) -> String
  ) {
    self.counters = counters
    self.status = status
    line.before = counters()
    shown.before = line.before
    isArmed = false
  }

  /// How often statistics are written; nil never.
  func writeStatistics(everyMs: Int64?) {
    lineIntervalNs = everyMs.map { UInt64($0) * 1_000_000 }
    line.dueNs = nil
    isArmed = false
  }

  /// A round of the loop begins.
  /// - Parameter hasEvents: it was not time alone that began it.
  func round(nowNs: UInt64, hasEvents: Bool) {
    if hasEvents { worked(nowNs) }
    if nowNs >= dueNs { run(nowNs) }
  }

  /// Work that no event has brought, such as the recovery of logs at the start.
  func worked(_ nowNs: UInt64) {
    if isArmed { return }
    isArmed = true
    guard counters != nil else { return }
    if line.dueNs == nil, let lineIntervalNs, log.logLevel <= statisticsLevel {
      line.sinceNs = nowNs
      line.dueNs = nowNs &+ lineIntervalNs
      line.cpuMicroseconds = process([]).cpuMicroseconds
    }
    if shown.dueNs == nil, notify != nil {
      shown.sinceNs = nowNs
      shown.dueNs = max(nowNs &+ Self.statusBeginsNs, shownNs &+ Self.statusIntervalNs)
    }
  }

  /// Arms what tells of work, from within that work.
  public func noteWork() { worked(Clock.monotonicNs()) }

  /// When `round` has something to do; `.max` while there is nothing.
  var dueNs: UInt64 {
    min(line.dueNs ?? .max, shown.dueNs ?? .max, log.eventStream?.dueNs ?? .max)
  }

  func run(_ nowNs: UInt64) {
    log.writeSummaries()
    if let dueNs = line.dueNs, nowNs >= dueNs { writeLine(nowNs) }
    if let dueNs = shown.dueNs, nowNs >= dueNs { showStatus(nowNs) }
  }

  /// In a terminal the lines would bury everything else.
  private var statisticsLevel: Logger.Level { log.isJournal ? .info : .debug }

  private func writeLine(_ nowNs: UInt64) {
    guard let counters, let lineIntervalNs else { return }
    let statistics = process(counters())
    let pace = Pace(
      before: line.before, counters: statistics.counters, intervalNs: nowNs - line.sinceNs)
    guard pace.hasMoved else {
      line.dueNs = nil
      isArmed = false
      return
    }
    let text = StatisticsLine(
      pace: pace, process: statistics,
      cpuMicroseconds: statistics.cpuMicroseconds
        - min(line.cpuMicroseconds, statistics.cpuMicroseconds))
    var metadata: Logger.Metadata = [
      EventKind.metadataKey: "\(EventKind.statistics.rawValue)"
    ]
    for (name, value) in text.fields { metadata["@\(name)"] = "\(value)" }
    log.log(level: statisticsLevel, "\(text.message)", metadata: metadata)
    line.before = statistics.counters
    line.sinceNs = nowNs
    line.dueNs = nowNs &+ lineIntervalNs
    line.cpuMicroseconds = statistics.cpuMicroseconds
  }

  private func showStatus(_ nowNs: UInt64) {
    guard let counters, let status else { return }
    let pace = Pace(
      before: shown.before, counters: counters(), intervalNs: nowNs - shown.sinceNs)
    let text = status(pace)
    if text != shownText { notify?(text) }
    shownText = text
    shownNs = nowNs
    shown.before = pace.counters
    shown.sinceNs = nowNs
    if pace.hasMoved {
      shown.dueNs = nowNs &+ Self.statusIntervalNs
    } else {
      shown.dueNs = nil
      isArmed = false
    }
  }

  /// The time-out of a wait that ends in time for the next thing to tell: -1 is for ever.
  func limit(_ timeoutMs: Int32, nowNs: UInt64) -> Int32 {
    let dueNs = dueNs
    if dueNs == .max { return timeoutMs }
    let ms = dueNs <= nowNs ? 0 : Int32(clamping: (dueNs - nowNs) / 1_000_000 + 1)
    return timeoutMs < 0 ? ms : min(timeoutMs, ms)
  }
}
