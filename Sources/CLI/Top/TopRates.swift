// What happened between two looks at the broker: rates of processes, topics and connections. Pure.
//
// A process that was started in between, and a topic or connection that was not among the busiest the
// first time, have no rate yet: they count as 0 and have one the next time.

import IPC

/// The broker at one moment.
struct TopSample {
  /// Monotonic clock, ns.
  var atNs: UInt64
  var processes: [ProcessStatistics]
}

/// What comes first.
enum TopOrder: String, CaseIterable {
  /// Bytes in and out together.
  case total
  case `in`
  case out
  case requests
  case name
}

/// What `TopOrder` looks at.
protocol TopRow {
  var name: String { get }
  /// All per second.
  var requests: Double { get }
  var bytesIn: Double { get }
  var bytesOut: Double { get }
}

struct TopRates {
  struct Process: TopRow {
    var name: String
    var pid: Int32
    /// Of one core.
    var cpuPercent: Double
    var residentBytes: UInt64
    var connections: UInt64?
    var requests: Double
    var bytesIn: Double
    var bytesOut: Double
  }

  struct Topic: TopRow {
    var name: String
    var recordsIn = 0.0
    var requests = 0.0
    var bytesIn = 0.0
    var bytesOut = 0.0
  }

  struct Connection: TopRow {
    var peer: String
    var clientId: String
    var process: String
    var requests: Double
    var bytesIn: Double
    var bytesOut: Double

    var name: String { clientId }
  }

  let seconds: Double
  var processes: [Process] = []
  var topics: [Topic] = []
  var connections: [Connection] = []

  init(from before: TopSample, to after: TopSample) {
    seconds = max(0.001, Double(after.atNs - min(before.atNs, after.atNs)) / 1e9)
    var topics: [String: Topic] = [:]
    for process in after.processes {
      let old = before.processes.first {
        ($0.role, $0.instance, $0.pid) == (process.role, process.instance, process.pid)
      }
      processes.append(self.process(process, old))
      add(process, old, to: &topics)
      connections += process.connections.map { connection(process, $0, old) }
    }
    self.topics = Array(topics.values)
  }

  mutating func sort(by order: TopOrder) {
    Self.sort(&topics, by: order)
    Self.sort(&connections, by: order)
    // Of processes there are few: they stay where they are, unless a rate is asked for.
    if order != .total, order != .name { Self.sort(&processes, by: order) }
  }

  private static func sort<Row: TopRow>(_ rows: inout [Row], by order: TopOrder) {
    func weight(_ row: Row) -> Double {
      switch order {
      case .total: row.bytesIn + row.bytesOut
      case .in: row.bytesIn
      case .out: row.bytesOut
      case .requests: row.requests
      case .name: 0
      }
    }
    rows.sort { (weight($1), $0.name) < (weight($0), $1.name) }
  }

  /// What was added per second; a counter that went back has begun anew.
  private func rate(_ new: UInt64, _ old: UInt64?) -> Double {
    guard let old, new > old else { return 0 }
    return Double(new - old) / seconds
  }

  private func process(_ new: ProcessStatistics, _ old: ProcessStatistics?) -> Process {
    func rate(_ name: String) -> Double {
      self.rate(new.counter(name) ?? 0, old.map { $0.counter(name) ?? 0 })
    }
    let names: (requests: String, bytesIn: String, bytesOut: String) =
      switch new.role {
      case .logwriter: ("batches", "bytes", "")
      case .fetcher: ("fetch_requests", "", "bytes_sent")
      case .codec: ("batches", "bytes_in", "bytes_out")
      case .cleaner: ("orders", "bytes_read", "bytes_written")
      case .frontend, .coordinator, .admin: ("requests", "bytes_in", "bytes_out")
      }
    return Process(
      name: new.name, pid: new.pid,
      cpuPercent: self.rate(new.cpuMicroseconds, old?.cpuMicroseconds) / 10_000,
      residentBytes: new.residentBytes, connections: new.counter("connections"),
      requests: rate(names.requests), bytesIn: rate(names.bytesIn),
      bytesOut: rate(names.bytesOut))
  }

  private func add(
    _ new: ProcessStatistics, _ old: ProcessStatistics?, to topics: inout [String: Topic]
  ) {
    for work in new.topics {
      let before = old?.topics.first { $0.topic == work.topic }
      var topic = topics[work.topic] ?? Topic(name: work.topic)
      topic.recordsIn += rate(work.recordsIn, before?.recordsIn)
      topic.requests += rate(work.requests, before?.requests)
      topic.bytesIn += rate(work.bytesIn, before?.bytesIn)
      topic.bytesOut += rate(work.bytesOut, before?.bytesOut)
      topics[work.topic] = topic
    }
  }

  private func connection(
    _ process: ProcessStatistics, _ new: ConnectionWork, _ old: ProcessStatistics?
  ) -> Connection {
    let before = old?.connections.first { $0.number == new.number }
    return Connection(
      peer: new.peer, clientId: new.clientId, process: process.name,
      requests: rate(new.requests, before?.requests), bytesIn: rate(new.bytesIn, before?.bytesIn),
      bytesOut: rate(new.bytesOut, before?.bytesOut))
  }
}

extension ProcessStatistics {
  func counter(_ name: String) -> UInt64? { counters.first { $0.name == name }?.value }
}
