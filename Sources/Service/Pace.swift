// How fast a process works: its counters at two moments.

import IPC

public struct Pace: Sendable {
  public typealias Counter = ProcessStatistics.Counter

  let before: [Counter]
  public let counters: [Counter]
  public let intervalMs: Double

  init(before: [Counter], counters: [Counter], intervalNs: UInt64) {
    self.before = before
    self.counters = counters
    intervalMs = max(0.001, Double(intervalNs) / 1_000_000)
  }

  /// The value of a counter now.
  public func value(_ name: String) -> UInt64 {
    counters.first { $0.name == name }?.value ?? 0
  }

  /// What was added to a counter per second.
  public func rate(_ name: String) -> Double {
    let old = before.first { $0.name == name }?.value ?? 0
    return Double(value(name) &- min(old, value(name))) * 1000 / intervalMs
  }

  /// Whether any work was done: a counter of a total has moved.
  var hasMoved: Bool {
    counters.contains { counter in
      !counter.isLevel && counter.value != before.first { $0.name == counter.name }?.value ?? 0
    }
  }

  /// Rates as part of a status: `, 120 requests/s, 3.4 MB/s in`; nothing of what stands still.
  /// - Parameter parts: a counter, whether it counts bytes, and what its unit is called.
  public func clause(_ parts: [(name: String, isBytes: Bool, unit: String)]) -> String {
    var text = ""
    for part in parts {
      let rate = rate(part.name)
      guard rate >= 0.05 else { continue }
      text +=
        part.isBytes
        ? ", \(Quantity.bytes(rate))/s \(part.unit)" : ", \(Quantity.count(rate)) \(part.unit)/s"
    }
    return text
  }
}

/// The line that a process writes about a while: text, and fields for queries.
struct StatisticsLine {
  let pace: Pace
  let process: ProcessStatistics
  /// CPU time used in the interval, µs.
  let cpuMicroseconds: UInt64

  private var cpuPercent: String {
    Quantity.decimal(Double(cpuMicroseconds) / 10 / pace.intervalMs, digits: 1)
  }

  /// `in 60 s: requests 120/s, bytes_in 3.4 MB/s, connections 12, cpu 3.2 %, memory 24 MB`
  var message: String {
    var parts: [String] = []
    for counter in pace.counters {
      let name = counter.name
      if counter.isLevel {
        if counter.value > 0 { parts.append("\(name) \(counter.value)") }
        continue
      }
      let rate = pace.rate(name)
      guard rate > 0 else { continue }
      let isBytes = name.hasPrefix("bytes")
      parts.append("\(name) \(isBytes ? Quantity.bytes(rate) : Quantity.count(rate))/s")
    }
    parts.append("cpu \(cpuPercent) %")
    parts.append("memory \(Quantity.bytes(Double(process.residentBytes)))")
    let seconds = Quantity.decimal(pace.intervalMs / 1000, digits: 0)
    return "in \(seconds) s: \(parts.joined(separator: ", "))"
  }

  /// `stat_requests` is the total since the process began, `stat_requests_rate` what was added a
  /// second; levels, such as `stat_connections`, have no rate.
  var fields: [(name: String, value: String)] {
    var fields = [
      ("stat_interval_ms", Quantity.decimal(pace.intervalMs, digits: 0)),
      ("stat_cpu_ms", "\(process.cpuMicroseconds / 1000)"), ("stat_cpu_percent", cpuPercent),
      ("stat_resident_bytes", "\(process.residentBytes)"),
    ]
    for counter in pace.counters {
      fields.append(("stat_\(counter.name)", "\(counter.value)"))
      if !counter.isLevel {
        fields.append(
          ("stat_\(counter.name)_rate", Quantity.decimal(pace.rate(counter.name), digits: 3)))
      }
    }
    return fields
  }
}
