// Events that come again and again: which are written, what is said of the others, and when there is
// something to be woken for.

import Logging
import Synchronization
import Testing

@testable import Service

struct EventLimiterTests {
  private static let second: UInt64 = 1_000_000_000
  private let tls = EventGroup("tls", plural: "handshakes")

  @Test func oneOfARuleIsNamedTheOthersAreCounted() {
    var limiter = EventLimiter()
    #expect(admit(&limiter, .clientRefused, tls, 5))
    #expect(limiter.dueNs == .max, "nothing to tell, nothing to be woken for")
    for _ in 0..<100 { #expect(!admit(&limiter, .clientRefused, tls, 6)) }
    #expect(admit(&limiter, .clientRefused, EventGroup("other", plural: "others"), 6))
    #expect(admit(&limiter, .peerRefused, nil, 6))
    #expect(limiter.dueNs == Self.second + 5)
    #expect(limiter.takeSummaries(nowNs: Self.second).isEmpty)
    #expect(
      limiter.takeSummaries(nowNs: Self.second + 5) == [
        .init(kind: .clientRefused, group: tls, count: 100, seconds: 1)
      ])
    #expect(limiter.dueNs == .max)
    #expect(limiter.takeSummaries(nowNs: 100 * Self.second).isEmpty)
  }

  @Test func whatGoesOnIsToldOfLessAndLess() {
    var limiter = EventLimiter()
    var nowNs: UInt64 = 0
    var named = 0
    var told: [UInt64] = []
    var counted = 0
    let endNs = 600 * Self.second
    while nowNs < endNs {
      for summary in limiter.takeSummaries(nowNs: nowNs) {
        told.append(summary.seconds)
        counted += summary.count
      }
      if limiter.admit(.clientRefused, tls, nowNs: nowNs) { named += 1 }
      nowNs += 100_000_000
    }
    #expect(told.prefix(7) == [1, 2, 4, 8, 16, 32, 60])
    #expect(told.dropFirst(7).allSatisfy { $0 == 60 })
    #expect(named == told.count + 1, "after each sum one has its name")
    let left = limiter.takeSummaries(nowNs: .max / 2).reduce(0) { $0 + $1.count }
    #expect(named + counted + left == 6000, "none is lost")
  }

  @Test func aPauseEndsIt() {
    var limiter = EventLimiter()
    for nowNs: UInt64 in [0, 1, 2] { _ = limiter.admit(.clientRefused, tls, nowNs: nowNs) }
    #expect(limiter.takeSummaries(nowNs: Self.second).map(\.count) == [2])
    // The next window of two seconds passes with one event, which is written.
    #expect(admit(&limiter, .clientRefused, tls, 2 * Self.second))
    #expect(admit(&limiter, .clientRefused, tls, 4 * Self.second))
    #expect(!admit(&limiter, .clientRefused, tls, 4 * Self.second + 1))
    #expect(limiter.dueNs == 5 * Self.second, "the first window again")
  }

  @Test func aBurstIsWritten() {
    var limiter = EventLimiter()
    let admitted = (0..<250).filter { _ in limiter.admit(.partitionOffline, nil, nowNs: 1) }
    #expect(admitted.count == 100)
    #expect(limiter.takeSummaries(nowNs: 60 * Self.second).map(\.count) == [150])
    let again = (0..<250).filter { _ in
      limiter.admit(.partitionOffline, nil, nowNs: 61 * Self.second)
    }
    #expect(again.count == 1)
  }

  /// Whatever is not limited is something that only happens once, or on the operator's word.
  @Test func whatOthersCanCauseIsLimited() {
    let free = EventKind.allCases.filter { $0.limit == nil }
    #expect(
      Set(free) == [
        .ready, .stopping, .statistics, .configurationReloaded, .reloadRefused,
        .configurationRefused, .systemRefused, .siblingViolation, .connectionsKept, .logDirFailed,
      ])
  }

  private func admit(
    _ limiter: inout EventLimiter, _ kind: EventKind, _ group: EventGroup?, _ nowNs: UInt64
  ) -> Bool { limiter.admit(kind, group, nowNs: nowNs) }

  @Test func aLogCountsForItself() {
    let clock = TestClock()
    let lines = Lines()
    let log = testLog(clock, lines)
    for number in 1...5 {
      log.event(.clientRefused, "closed \(number)", metadata: ["peer": "p\(number)"], group: tls)
    }
    #expect(lines.texts == ["closed 1 peer=p1 rule=tls"])
    clock.advance(seconds: 1)
    log.event(.clientRefused, "closed 6", metadata: ["peer": "p6"], group: tls)
    #expect(
      lines.texts.dropFirst() == [
        "4 more of these in the last 1 s: handshakes rule=tls", "closed 6 peer=p6 rule=tls",
      ])
    #expect(lines.fields[1]["@repeated"] == "4")
    #expect(lines.fields[1][EventKind.metadataKey] == "clientRefused")
  }
}

/// A clock that stands still until it is told to go on.
final class TestClock: Sendable {
  private let ns = Mutex<UInt64>(1_000_000_000_000)
  var nowNs: UInt64 { ns.withLock { $0 } }
  func advance(seconds: Double) { ns.withLock { $0 += UInt64(seconds * 1e9) } }
}

/// What was logged.
final class Lines: Sendable {
  private let entries = Mutex<[(text: String, fields: Logger.Metadata)]>([])
  var texts: [String] { entries.withLock { $0.map(\.text) } }
  var fields: [Logger.Metadata] { entries.withLock { $0.map(\.fields) } }

  func add(_ text: String, _ fields: Logger.Metadata) {
    entries.withLock { $0.append((text, fields)) }
  }
}

struct LinesHandler: LogHandler {
  let lines: Lines
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.trace

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let fields = event.metadata ?? [:]
    lines.add(LogText.line("\(event.message)", fields), fields)
  }
}

/// The log of a process, with a clock and lines of the test's own.
func testLog(_ clock: TestClock, _ lines: Lines, level: Logger.Level = .info) -> Logger {
  let stream = EventStream(level: level, now: { clock.nowNs })
  return Logger(label: "test") { _ in
    EventLogHandler(stream: stream, writer: LinesHandler(lines: lines))
  }
}
