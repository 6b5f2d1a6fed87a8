// `sluice top`: from two looks at the broker to rates, their order, and what fits on a screen.

import Foundation
import IPC
import Testing

@testable import CLI

@Suite struct TopTests {
  private func frontend(
    _ pid: Int32 = 10, requests: UInt64, bytesIn: UInt64, connections: [ConnectionWork] = []
  ) -> ProcessStatistics {
    ProcessStatistics(
      role: .frontend, instance: 1, pid: pid, startedMs: 0, residentBytes: 9_400_000,
      cpuMicroseconds: requests * 1000,
      counters: [
        .init("requests", requests), .init("bytes_in", bytesIn), .init("bytes_out", 7),
        .level("connections", connections.count),
      ], connections: connections)
  }

  private func logwriter(_ topics: [TopicWork]) -> ProcessStatistics {
    ProcessStatistics(
      role: .logwriter, instance: 1, pid: 11, startedMs: 0, residentBytes: 1, cpuMicroseconds: 0,
      counters: [.init("batches", 5), .init("bytes", 6)], topics: topics)
  }

  private func connection(_ number: UInt64, _ name: String, bytesOut: UInt64) -> ConnectionWork {
    ConnectionWork(
      number: number, peer: "127.0.0.1:\(number)", clientId: name, requests: 1, bytesIn: 2,
      bytesOut: bytesOut)
  }

  /// Two seconds of work.
  private var rates: TopRates {
    TopRates(
      from: TopSample(
        atNs: 1_000_000_000,
        processes: [
          frontend(
            requests: 100, bytesIn: 1_000_000, connections: [connection(1, "a", bytesOut: 10)]),
          logwriter([TopicWork(topic: "x", bytesIn: 100, recordsIn: 10, requests: 1)]),
        ]),
      to: TopSample(
        atNs: 3_000_000_000,
        processes: [
          frontend(
            requests: 400, bytesIn: 5_000_000,
            connections: [
              connection(1, "a", bytesOut: 1010), connection(2, "b\u{1B}[2J", bytesOut: 9999),
            ]),
          logwriter([
            TopicWork(topic: "x", bytesIn: 300, recordsIn: 16, requests: 3),
            TopicWork(topic: "new", bytesIn: 900, recordsIn: 1, requests: 1),
          ]),
          ProcessStatistics(
            role: .fetcher, instance: 1, pid: 12, startedMs: 0, residentBytes: 1,
            cpuMicroseconds: 0, counters: [],
            topics: [TopicWork(topic: "x", bytesOut: 50, requests: 5)]),
        ]))
  }

  @Test func differencesBecomeRates() throws {
    let rates = rates
    let process = try #require(rates.processes.first)
    #expect(process.requests == 150 && process.bytesIn == 2_000_000 && process.bytesOut == 0)
    #expect(process.cpuPercent == 15 && process.connections == 2)
    let topic = try #require(rates.topics.first { $0.name == "x" })
    #expect(topic.bytesIn == 100 && topic.recordsIn == 3 && topic.requests == 1)
    #expect(topic.bytesOut == 0, "the fetcher was not there before")
    #expect(rates.topics.first { $0.name == "new" }?.bytesIn == 0)
    #expect(rates.connections.first { $0.clientId == "a" }?.bytesOut == 500)
  }

  @Test func aProcessThatBeganAnewHasNoRates() {
    let rates = TopRates(
      from: TopSample(atNs: 0, processes: [frontend(requests: 9, bytesIn: 9)]),
      to: TopSample(atNs: 1_000_000_000, processes: [frontend(77, requests: 100, bytesIn: 100)]))
    #expect(rates.processes[0].requests == 0 && rates.processes[0].cpuPercent == 0)
    let back = TopRates(
      from: TopSample(atNs: 0, processes: [frontend(requests: 9, bytesIn: 9)]),
      to: TopSample(atNs: 0, processes: [frontend(requests: 3, bytesIn: 3)]))
    #expect(back.processes[0].requests == 0)
  }

  @Test(arguments: [
    (TopOrder.total, ["b", "c", "a"]), (.in, ["b", "a", "c"]), (.out, ["c", "a", "b"]),
    (.requests, ["c", "b", "a"]), (.name, ["a", "b", "c"]),
  ])
  func order(key: TopOrder, expected: [String]) {
    var rates = TopRates(
      from: TopSample(atNs: 0, processes: []), to: TopSample(atNs: 1, processes: []))
    rates.topics = [
      .init(name: "a", requests: 1, bytesIn: 2, bytesOut: 2),
      .init(name: "b", requests: 2, bytesIn: 9, bytesOut: 0),
      .init(name: "c", requests: 3, bytesIn: 1, bytesOut: 5),
    ]
    rates.sort(by: key)
    #expect(rates.topics.map(\.name) == expected)
  }

  @Test func text() {
    var rates = rates
    rates.sort(by: .total)
    let text = TopText(rates: rates, order: .total, time: "14:02:11", rowsMax: 1)
    #expect(
      text.lines == [
        "sluice top 14:02:11: 2 connections, 150 requests/s, 2 MB/s in, 0 B/s out; by total",
        "PROCESS             PID  CPU %  MEMORY  CONNS  REQ/S  IN/S  OUT/S",
        "sluice-frontend@1    10     15  9.4 MB      2    150  2 MB    0 B",
        "sluice-logwriter@1   11      0     1 B      -      0   0 B    0 B",
        "sluice-fetcher@1     12      0     1 B      -      0   0 B    0 B",
        "", "TOPIC  RECORDS/S  REQ/S   IN/S  OUT/S", "x              3      1  100 B    0 B", "",
        "CLIENT  PEER         PROCESS            REQ/S  IN/S  OUT/S",
        "a       127.0.0.1:1  sluice-frontend@1      0   0 B  500 B",
      ])
  }

  /// Whatever the size of the terminal, nothing is drawn beyond it.
  @Test func itFits() {
    var rates = rates
    rates.topics = (0..<40).map { .init(name: "topic-\($0)") }
    rates.connections = (0..<40).map {
      .init(
        peer: "p\($0)", clientId: "c\u{7}", process: "f", requests: 0, bytesIn: 0, bytesOut: 0)
    }
    let text = TopText(rates: rates, order: .name, time: "", rowsMax: 50)
    for rows in 0..<100 {
      for columns in [0, 1, 20, 80, 300] {
        let lines = text.lines(rows: rows, columns: columns)
        #expect(lines.count <= rows && lines.allSatisfy { $0.count <= columns })
      }
    }
    let lines = text.lines(rows: 40, columns: 200)
    #expect(lines.count == 40)
    #expect(lines.filter { $0.hasPrefix("topic-") }.count >= 15)
    #expect(!lines.joined().contains("\u{7}"))
  }

  @Test func json() throws {
    var bytes: [UInt8] = []
    rates.fields.appendJSON(to: &bytes)
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
    #expect(object["intervalMs"] as? Int == 2000)
    let processes = try #require(object["processes"] as? [[String: Any]])
    #expect(processes[0]["requestsPerSecond"] as? Int == 150)
    let connections = try #require(object["connections"] as? [[String: Any]])
    #expect(connections.map { $0["clientId"] as? String } == ["a", "b\u{1B}[2J"])
    #expect((object["topics"] as? [Any])?.count == 2)
  }
}
