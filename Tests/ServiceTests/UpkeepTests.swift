// Statistics and status: what is told, when, and that a process without work is not woken.

import IPC
import Logging
import Testing

@testable import Service

struct UpkeepTests {
  /// A process whose one counter and one level the test moves.
  private final class Process {
    let clock = TestClock()
    let lines = Lines()
    var requests: UInt64 = 0
    var bytes: UInt64 = 0
    var connections = 0
    var shown: [String] = []
    private(set) var upkeep: Upkeep!

    init(everyMs: Int64? = 60_000, level: Logger.Level = .debug, isSupervised: Bool = true) {
      upkeep = Upkeep(
        log: testLog(clock, lines, level: level),
        process: { counters in
          ProcessStatistics(
            role: .frontend, instance: 1, pid: 1, startedMs: 1, residentBytes: 12_345_678,
            cpuMicroseconds: 2_000_000, counters: counters)
        }, notify: isSupervised ? { [unowned self] in shown.append($0) } : nil)
      upkeep.writeStatistics(everyMs: everyMs)
      upkeep.tell(
        counters: { [unowned self] in
          [
            .init("requests", requests), .init("bytes_in", bytes),
            .level("connections", connections),
          ]
        },
        status: { [unowned self] pace in
          "\(connections) connections"
            + pace.clause([("requests", false, "requests"), ("bytes_in", true, "in")])
        })
    }

    func round(hasEvents: Bool) { upkeep.round(nowNs: clock.nowNs, hasEvents: hasEvents) }

    /// As the loop does without events: sleeps until it is due.
    /// - Returns: how long, s; nil when it would sleep for ever.
    func sleep() -> Double? {
      if upkeep.dueNs == .max { return nil }
      let seconds = Double(upkeep.dueNs - clock.nowNs) / 1e9
      clock.advance(seconds: seconds)
      round(hasEvents: false)
      return seconds
    }
  }

  @Test func whoDoesNothingIsNotWoken() {
    let process = Process()
    process.round(hasEvents: false)
    #expect(process.sleep() == nil)
    #expect(process.upkeep.limit(-1, nowNs: process.clock.nowNs) == -1)
    #expect(process.upkeep.limit(77, nowNs: process.clock.nowNs) == 77)
  }

  @Test func workIsToldOfAndThenItIsQuiet() {
    let process = Process()
    process.connections = 2
    process.round(hasEvents: true)
    process.requests = 120
    process.bytes = 6_000_000
    var waits: [Double] = []
    while let wait = process.sleep() { waits.append(wait) }
    // A status after 1 s, one that says that it is quiet after 10 s, a line after 60 s, and once more
    // to see that there was nothing.
    #expect(waits == [1, 10, 49, 60])
    #expect(
      process.shown == ["2 connections, 120 requests/s, 6 MB/s in", "2 connections"])
    #expect(
      process.lines.texts == [
        "in 60 s: requests 2/s, bytes_in 100 kB/s, connections 2, cpu 0 %, memory 12.3 MB"
      ])
    process.clock.advance(seconds: 86_400)
    process.round(hasEvents: true)
    process.requests += 60
    while process.sleep() != nil {}
    #expect(
      process.lines.texts.last == "in 60 s: requests 1/s, connections 2, cpu 0 %, memory 12.3 MB",
      "the interval begins with the work")
  }

  @Test func linesHaveFields() throws {
    let process = Process(everyMs: 10_000)
    process.round(hasEvents: true)
    process.requests = 5
    while process.sleep() != nil {}
    let fields = try #require(process.lines.fields.first)
    #expect(fields["@stat_requests"] == "5" && fields["@stat_requests_rate"] == "0.5")
    #expect(fields["@stat_interval_ms"] == "10000" && fields["@stat_connections"] == "0")
    #expect(fields["@stat_connections_rate"] == nil && fields["@stat_cpu_ms"] == "2000")
    #expect(fields["@stat_resident_bytes"] == "12345678")
    #expect(fields[EventKind.metadataKey] == "statistics")
    let journal = JournalHandler(processName: "sluice-frontend@1").fields(.info, "m", fields)
    #expect(journal.contains("SLUICE_STAT_REQUESTS_RATE=0.5") && journal.contains("MESSAGE=m"))
    #expect(journal.contains("MESSAGE_ID=\(EventKind.statistics.messageId)"))
  }

  @Test func whileItWorksThereIsALineEachInterval() {
    let process = Process(isSupervised: false)
    for _ in 0..<600 {
      process.round(hasEvents: true)
      process.requests += 1
      process.clock.advance(seconds: 1)
    }
    #expect(process.lines.texts.count == 9)
    #expect(process.lines.texts.allSatisfy { $0.hasPrefix("in 60 s: requests 1/s") })
  }

  @Test func theStatusChangesAtMostEveryTenSeconds() {
    let process = Process(everyMs: nil)
    for _ in 0..<300 {
      process.round(hasEvents: true)
      process.requests += UInt64.random(in: 1...9)
      process.clock.advance(seconds: 0.2)
    }
    #expect(process.shown.count <= 6 && process.shown.count >= 4)
  }

  @Test(arguments: [Logger.Level.info, .error])
  func aTerminalIsNotToldUnlessAsked(level: Logger.Level) {
    let process = Process(level: level, isSupervised: false)
    process.round(hasEvents: true)
    process.requests = 5
    #expect(process.sleep() == nil)
  }

  @Test func noIntervalNoLines() {
    let process = Process(everyMs: nil, isSupervised: false)
    process.round(hasEvents: true)
    process.requests = 5
    #expect(process.sleep() == nil)
    process.upkeep.writeStatistics(everyMs: 1000)
    process.round(hasEvents: true)
    #expect(process.sleep() == 1 && process.lines.texts.count == 1)
  }

  @Test func whatWasLeftOutIsToldOf() {
    let process = Process(everyMs: nil, isSupervised: false)
    let log = testLog(process.clock, process.lines)
    let upkeep = Upkeep(
      log: log,
      process: {
        ProcessStatistics(
          role: .frontend, instance: 1, pid: 1, startedMs: 1, residentBytes: 1, cpuMicroseconds: 1,
          counters: $0)
      }, notify: nil)
    let rule = EventGroup("rule", plural: "breaches")
    for _ in 0..<3 { log.event(.clientRefused, "no", group: rule) }
    #expect(upkeep.limit(-1, nowNs: process.clock.nowNs) == 1001)
    process.clock.advance(seconds: 1)
    upkeep.round(nowNs: process.clock.nowNs, hasEvents: false)
    #expect(process.lines.texts.last == "2 more of these in the last 1 s: breaches rule=rule")
    #expect(upkeep.dueNs == .max)
  }

  @Test(arguments: [
    (0.0, "0", "0 B"), (0.25, "0.3", "0.3 B"), (42, "42", "42 B"), (1234, "1234", "1234 B"),
    (12_345, "12.3k", "12.3 kB"), (999_960, "1M", "1 MB"), (5e9, "5G", "5 GB"),
    (2.5e12, "2500G", "2.5 TB"), (-1, "0", "0 B"),
  ])
  func quantities(number: Double, count: String, bytes: String) {
    #expect(Quantity.count(number) == count)
    #expect(Quantity.bytes(number) == bytes)
  }

  @Test(arguments: [
    (0.5, 3, "0.5"), (1.0005, 3, "1.001"), (2, 3, "2"), (0.004, 2, "0"), (0.04, 2, "0.04"),
  ])
  func decimals(number: Double, digits: Int, text: String) {
    #expect(Quantity.decimal(number, digits: digits) == text)
  }
}
