// Frontends: appends and their answers, and frontends that break the rules.

import Foundation
import IPC
import Linux
import Model
import Records
import Testing

@testable import LogWriter
@testable import Storage

@Suite(.serialized) struct ProduceTests {
  @Test func answersComeInOrderAndAfterTheScoreboard() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let partitions = try coordinator.create(3)
    let frontend = try FrontendSide(broker)
    var entries: [AppendEntry] = []
    for index in 0..<30 {
      entries.append(
        frontend.entry(partitions[index % 3], batch(records: 2), cookie: UInt64(100 + index)))
    }
    let answers = try frontend.append(entries)
    for (index, answer) in answers.enumerated() {
      let expected = AppendedEntry(
        cookie: UInt64(100 + index), error: .none, baseOffset: Int64(index / 3 * 2),
        logStartOffset: 0)
      #expect(answer == expected)
    }
    for state in partitions {
      let entry = try #require(coordinator.entry(state))
      #expect(entry.logEndOffset == 20)
      #expect(entry.highWatermark == 20)
      #expect(entry.lastStableOffset == 20)
      #expect(entry.leaderEpoch == 2)
      #expect(entry.segmentBaseOffset == 0)
      #expect(entry.segmentPosition == 10 * 161)
    }
    let bytes = try File.contents("\(broker.logPath)/t-1/00000000000000000000.log")
    for (index, header) in try headers(bytes).enumerated() {
      #expect(header.baseOffset == Int64(index * 2))
      #expect(header.partitionLeaderEpoch == 2)
    }
  }

  @Test func aRoundIsOneWriteForEachPartition() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let partitions = try coordinator.create(2)
    let frontends = [try FrontendSide(broker), try FrontendSide(broker)]
    _ = try frontends[0].append(partitions[0], batch())
    func writes() throws -> UInt64 {
      try coordinator.sibling.send(.reportStatistics(busiest: 0))
      guard case .statistics(let processes) = try coordinator.sibling.next() else {
        throw Unexpected()
      }
      return processes[0].counters.first { $0.name == "writes" }?.value ?? 0
    }
    let before = try writes()
    for frontend in frontends {
      try frontend.sibling.send(
        .append((0..<20).map { frontend.entry(partitions[$0 % 2], batch()) }))
    }
    for frontend in frontends {
      guard case .appended(let answers) = try frontend.sibling.next() else { throw Unexpected() }
      #expect(answers.count == 20)
      #expect(answers.allSatisfy { $0.error == .none })
    }
    #expect(try writes() == before + 2)
    try coordinator.sibling.send(.reportStatistics(busiest: 1))
    guard case .statistics(let processes) = try coordinator.sibling.next() else {
      throw Unexpected()
    }
    let statistics = processes[0]
    #expect(statistics.counters.first { $0.name == "records" }?.value == 41)
    #expect(statistics.topics.count == 1)
    #expect(statistics.topics[0].recordsIn == 41 && statistics.topics[0].requests == 3)
    #expect(statistics.topics[0].bytesIn == UInt64(41 * batch().count))
  }

  @Test func manyEntries() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let partitions = try coordinator.create(5)
    let frontend = try FrontendSide(broker)
    var cookies: [UInt64] = []
    for message in 0..<4 {
      var entries: [AppendEntry] = []
      for index in 0..<AppendLimits.entriesMax {
        let cookie = UInt64(message * 10_000 + index)
        entries.append(frontend.entry(partitions[index % 5], batch(payload: 10), cookie: cookie))
        cookies.append(cookie)
      }
      try frontend.sibling.send(.append(entries))
    }
    var answers: [AppendedEntry] = []
    while answers.count < cookies.count {
      guard case .appended(let part) = try frontend.sibling.next() else { throw Unexpected() }
      answers += part
    }
    #expect(answers.map(\.cookie) == cookies)
    #expect(answers.allSatisfy { $0.error == .none })
  }

  @Test func slotsThatAreNotThere() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let state = try coordinator.create(1)[0]
    let frontend = try FrontendSide(broker)
    let wrong: [(UInt32, UInt32)] = [
      (state.slot, state.generation &+ 1), (state.slot, 0), (state.slot + 1, state.generation),
      (.max, state.generation), (UInt32(ScoreboardLayout.capacity), 1),
    ]
    var entries: [AppendEntry] = []
    for (slot, generation) in wrong {
      var entry = frontend.entry(state, batch())
      entry.slot = slot
      entry.generation = generation
      entries.append(entry)
    }
    entries.append(frontend.entry(state, batch()))
    let answers = try frontend.append(entries)
    #expect(answers.dropLast().allSatisfy { $0.error == .unknownTopicOrPartition })
    #expect(answers.last?.error == ErrorCode.none)
    #expect(answers.last?.baseOffset == 0)
  }

  @Test func clientsFaults() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let state = try coordinator.create(1) { $0.maxMessageBytes = 500 }[0]
    let frontend = try FrontendSide(broker)
    let first = batch(records: 3, timestamp: 1_000, producerId: 4, sequence: 0)
    #expect(try frontend.append(state, first).baseOffset == 0)
    let duplicate = try frontend.append(state, first)
    #expect(duplicate.error == .none)
    #expect(duplicate.baseOffset == 0)
    let gap = try frontend.append(state, batch(producerId: 4, sequence: 9))
    #expect(gap.error == .outOfOrderSequenceNumber)
    #expect(gap.baseOffset == -1)
    #expect(try frontend.append(state, batch(payload: 500)).error == .messageTooLarge)
    let future = Int64(Date().timeIntervalSince1970 * 1000) + 7_200_000
    #expect(try frontend.append(state, batch(timestamp: future)).error == .invalidTimestamp)
    #expect(coordinator.entry(state)?.logEndOffset == 3)
  }

  @Test func settingsReachAllPartitionsOfATopic() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let partitions = try coordinator.create(2)
    let frontend = try FrontendSide(broker)
    var config = LogConfig()
    config.maxMessageBytes = 200
    config.logAppendTime = true
    try coordinator.sibling.send(.configureTopic(topicId: CoordinatorSide.topicId, config))
    try broker.rounds()
    for state in partitions {
      #expect(try frontend.append(state, batch(payload: 140)).error == .messageTooLarge)
      let answer = try frontend.append(state, batch(payload: 10, timestamp: 5))
      #expect(answer.logAppendTimeMs > 1_000_000_000_000)
    }
  }

  enum Nonsense: CaseIterable {
    case appendFirst, secondSlab, unsealedSlab, wrongSize, outside, overflow, notABatch
    case twoBatches, wrongLength, emptyEntry
  }

  @Test(arguments: Nonsense.allCases)
  func frontendsThatBreakTheRules(_ nonsense: Nonsense) throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let state = try coordinator.create(1)[0]
    let good = try FrontendSide(broker)
    #expect(try good.append(state, batch()).baseOffset == 0)
    let bad = try Sibling<FrontendToLogWriter, LogWriterToFrontend>(broker, .frontendToLogWriter)
    try breakRule(nonsense, bad, state)
    try bad.expectClosed()
    // The others did not notice, and the log is as it was.
    #expect(try good.append(state, batch()).baseOffset == 1)
    let bytes = try File.contents("\(broker.logPath)/t-0/00000000000000000000.log")
    #expect(try headers(bytes).count == 2)
    #expect(coordinator.entry(state)?.isOffline == false)
  }

  private func breakRule(
    _ nonsense: Nonsense, _ bad: Sibling<FrontendToLogWriter, LogWriterToFrontend>,
    _ state: PartitionState
  ) throws {
    let slab = try Slab(size: 65_536)
    func attach(_ size: UInt64 = 65_536) throws {
      try bad.send(.attachSlab(size: size), descriptors: [slab.descriptor.rawValue])
    }
    func entry(_ offset: UInt64, _ length: UInt32) -> AppendEntry {
      AppendEntry(
        cookie: 1, slot: state.slot, generation: state.generation, offset: offset, length: length,
        acks: 1)
    }
    func append(_ bytes: [UInt8], length: Int? = nil) throws {
      slab.bytes.copyBytes(from: bytes)
      try bad.send(.append([entry(0, UInt32(length ?? bytes.count))]))
    }
    switch nonsense {
    case .appendFirst: try bad.send(.append([entry(0, 100)]))
    case .secondSlab:
      try attach()
      try attach()
    case .unsealedSlab:
      let file = try File.open("/dev/zero", .readOnly)
      try bad.send(.attachSlab(size: 65_536), descriptors: [file.rawValue])
    case .wrongSize: try attach(65_537)
    case .outside:
      try attach()
      try bad.send(.append([entry(65_436, 101)]))
    case .overflow:
      try attach()
      try bad.send(.append([entry(.max - 10, 100)]))
    case .notABatch:
      try attach()
      try append([UInt8](repeating: 0xA5, count: 500))
    case .twoBatches:
      try attach()
      try append(batch() + batch())
    case .wrongLength:
      try attach()
      try append(batch(), length: 120)
    case .emptyEntry:
      try attach()
      try append([])
    }
  }
}
