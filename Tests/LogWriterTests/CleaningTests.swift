// The logwriter with a cleaner at the other end of the edge: what it gives out, what it takes, and
// what fetchers are told.

import Foundation
import IPC
import Linux
import Model
import Records
import Testing

@testable import LogWriter
@testable import Storage

/// A cleaner that does what the test says.
private final class CleanerSide {
  let sibling: Sibling<CleanerToLogWriter, LogWriterToCleaner>

  init(_ broker: Broker) throws {
    sibling = try Sibling(broker, .cleanerToLogWriter)
    guard case .configureBroker = try sibling.next() else { throw Unexpected() }
  }

  func order() throws -> CleaningOrder {
    guard case .clean(let order) = try sibling.next() else { throw Unexpected() }
    return order
  }

  func segment(_ order: CleaningOrder, _ baseOffset: Int64) throws -> [UInt8] {
    try sibling.send(.openSegment(token: order.token, baseOffset: baseOffset))
    guard case .segment(order.token, baseOffset) = try sibling.next() else { throw Unexpected() }
    return try sibling.takeDescriptor().contents()
  }

  func output(_ order: CleaningOrder, _ baseOffset: Int64, _ bytes: [UInt8]) throws {
    try sibling.send(.openOutput(token: order.token, baseOffset: baseOffset))
    guard case .output(order.token, baseOffset) = try sibling.next() else { throw Unexpected() }
    try File.writeAll(bytes, to: try sibling.takeDescriptor().fd)
  }

  func replace(_ order: CleaningOrder, _ offsets: ClosedRange<Int64>, size: Int) throws {
    try sibling.send(
      .replace(
        CleanedSegment(
          token: order.token, baseOffset: offsets.lowerBound, lastBaseOffset: offsets.upperBound,
          size: Int64(size), abortedTransactions: [])))
  }
}

struct CleaningTests {
  private let size = batch().count

  /// A compacted partition whose segments hold two batches each.
  private func compacted(_ broker: Broker, _ coordinator: CoordinatorSide) throws -> PartitionState
  {
    try coordinator.create(1) {
      $0.compacts = true
      $0.deletes = false
      $0.segmentBytes = Int32(2 * batch().count)
      $0.fileDeleteDelayMs = 0
    }[0]
  }

  private func names(_ broker: Broker) throws -> [String] {
    try File.names(in: "\(broker.logPath)/t-0").sorted()
  }

  @Test func aLogIsCleanedFromOneEndToTheOther() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let state = try compacted(broker, coordinator)
    let frontend = try FrontendSide(broker)
    let fetcher = try FetcherSide(broker)
    let cleaner = try CleanerSide(broker)
    for _ in 0..<3 { _ = try frontend.append(state, batch()) }
    let order = try cleaner.order()
    #expect(order.topic == "t" && order.firstDirtyOffset == 0 && order.endOffset == 2)
    #expect(order.segments.map(\.baseOffset) == [0] && order.segments[0].size == Int64(2 * size))
    // More is appended meanwhile.
    for _ in 0..<4 { _ = try frontend.append(state, batch()) }
    guard case .segment(let old) = try fetcher.open(state, at: 1) else { throw Unexpected() }
    #expect(old.baseOffset == 0 && old.size == Int64(2 * size))
    let held = try fetcher.sibling.takeDescriptor()
    if old.carriesIndex { _ = try fetcher.sibling.takeDescriptor() }
    let bytes = try cleaner.segment(order, 0)
    let kept = Array(bytes[size...])
    try cleaner.output(order, 0, kept)
    try cleaner.replace(order, 0...0, size: kept.count)
    guard case .replaced(order.token, 0) = try cleaner.sibling.next() else { throw Unexpected() }
    // Fetchers let the old segment go; whoever reads on from it still can.
    guard case .dropped(let dropped) = try fetcher.sibling.next() else { throw Unexpected() }
    #expect(dropped.map(\.fromOffset) == [0] && dropped.map(\.toOffset) == [1])
    #expect(try headers(held.contents()).map(\.baseOffset) == [0, 1])
    guard case .segment(let new) = try fetcher.open(state, at: 1) else { throw Unexpected() }
    #expect(new.baseOffset == 0 && new.size == Int64(size) && new.nextBaseOffset == 2)
    #expect(try headers(fetcher.sibling.takeDescriptor().contents()).map(\.baseOffset) == [1])
    try cleaner.sibling.send(.cleaned(token: order.token, endOffset: 2, CleaningReport()))
    // What has been closed since is next: two segments are dirty, one is clean.
    let next = try cleaner.order()
    #expect(next.firstDirtyOffset == 2 && next.endOffset == 6)
    #expect(
      try String(
        decoding: File.contents("\(broker.logPath)/cleaner-offset-checkpoint"), as: UTF8.self)
        == "0\n1\nt 0 2\n")
    try broker.run { try !self.names(broker).contains { $0.hasSuffix(".deleted") } }
    try cleaner.sibling.send(.cleaned(token: next.token, endOffset: 6, CleaningReport()))
    try broker.rounds(20)
    cleaner.sibling.poll()
    #expect(cleaner.sibling.received.isEmpty)
    // A restart finds the log as it was cleaned.
    try broker.restart()
    let again = try CoordinatorSide(broker)
    let entry = try #require(again.entry(try compacted(broker, again)))
    #expect(entry.logEndOffset == 7)
  }

  @Test func nothingIsLeftOfACleanerThatDies() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let state = try compacted(broker, coordinator)
    let frontend = try FrontendSide(broker)
    for _ in 0..<3 { _ = try frontend.append(state, batch()) }
    let before = try names(broker)
    do {
      let cleaner = try CleanerSide(broker)
      let order = try cleaner.order()
      try cleaner.output(order, 0, batch())
    }
    try broker.run { broker.writer.cleaners.all.isEmpty }
    #expect(try names(broker) == before)
    // It may have died of this log: the next one does not get it at once.
    let next = try CleanerSide(broker)
    try broker.rounds(20)
    next.sibling.poll()
    #expect(next.sibling.received.isEmpty)
    #expect(broker.writer.cleaning.failingCount == 1)
    #expect(try frontend.append(state, batch()).error == .none)
  }

  /// A file was finished before its cleaner died: it is put in place all the same.
  @Test func whatWasFinishedIsPutInPlace() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let state = try compacted(broker, coordinator)
    let frontend = try FrontendSide(broker)
    for _ in 0..<3 { _ = try frontend.append(state, batch()) }
    do {
      let cleaner = try CleanerSide(broker)
      let order = try cleaner.order()
      let kept = Array(try cleaner.segment(order, 0)[size...])
      try cleaner.output(order, 0, kept)
      try cleaner.replace(order, 0...0, size: kept.count)
    }
    try broker.run { broker.writer.cleaning.replacements == 1 }
    try broker.run { try !self.names(broker).contains { $0.hasSuffix(".swap") } }
    #expect(try File.contents("\(broker.logPath)/t-0/00000000000000000000.log").count == size)
  }

  @Test func aCleanerThatBreaksTheRulesIsDismissed() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let state = try compacted(broker, coordinator)
    let frontend = try FrontendSide(broker)
    for _ in 0..<3 { _ = try frontend.append(state, batch()) }
    let before = try names(broker)
    let messages: [(CleaningOrder) -> CleanerToLogWriter] = [
      { .openSegment(token: $0.token, baseOffset: 77) },
      { _ in .openSegment(token: 1 << 40, baseOffset: 0) },
      { .openOutput(token: $0.token, baseOffset: 2) },
      { .cleaned(token: $0.token, endOffset: 3, CleaningReport()) },
      {
        .replace(
          CleanedSegment(
            token: $0.token, baseOffset: 0, lastBaseOffset: 0, size: 1, abortedTransactions: []))
      },
    ]
    for (number, message) in messages.enumerated() {
      let cleaner = try CleanerSide(broker)
      // Anew, without the pause for a log that could not be cleaned.
      broker.writer.cleaning.forgetFailures()
      let order = try cleaner.order()
      try cleaner.sibling.send(message(order))
      try cleaner.sibling.expectClosed()
      #expect(try names(broker) == before, "message \(number)")
    }
    // A file that is no segment.
    broker.writer.cleaning.forgetFailures()
    let cleaner = try CleanerSide(broker)
    let order = try cleaner.order()
    try cleaner.output(order, 0, [1, 2, 3])
    try cleaner.replace(order, 0...0, size: 3)
    try cleaner.sibling.expectClosed()
    #expect(try names(broker) == before)
    #expect(try frontend.append(state, batch()).error == .none)
  }

  @Test func aPartitionThatFailsDoesNotStopTheOthers() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let states = try coordinator.create(2) {
      $0.compacts = true
      $0.segmentBytes = Int32(2 * batch().count)
    }
    let frontend = try FrontendSide(broker)
    for _ in 0..<3 { _ = try frontend.append(states[0], batch()) }
    let cleaner = try CleanerSide(broker)
    let first = try cleaner.order()
    #expect(first.partition == 0)
    try cleaner.sibling.send(.failed(token: first.token, reason: "a bit has flipped"))
    for _ in 0..<3 { _ = try frontend.append(states[1], batch()) }
    let second = try cleaner.order()
    #expect(second.partition == 1)
    #expect(broker.writer.cleaning.failingCount == 1)
    // Deleted while it is being cleaned.
    try coordinator.sibling.send(
      .deletePartitions(token: 1, states.map(\.name)))
    guard case .cancel(second.token) = try cleaner.sibling.next() else { throw Unexpected() }
    try cleaner.sibling.send(.openOutput(token: second.token, baseOffset: 0))
    try broker.rounds(10)
    cleaner.sibling.poll()
    #expect(cleaner.sibling.received.isEmpty && !cleaner.sibling.isClosed)
  }

  @Test func cleanersAreToldOfInTheStatistics() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let cleaner = try CleanerSide(broker)
    try broker.rounds()
    try coordinator.sibling.send(.reportStatistics(busiest: 0))
    guard case .reportStatistics = try cleaner.sibling.next() else { throw Unexpected() }
    let own = ProcessStatistics(
      role: .cleaner, instance: 1, pid: 1, startedMs: 0, residentBytes: 0, cpuMicroseconds: 0,
      counters: [])
    try cleaner.sibling.send(.statistics(own))
    guard case .statistics(let processes) = try coordinator.sibling.next() else {
      throw Unexpected()
    }
    #expect(processes.map(\.role) == [.logwriter, .cleaner])
    // One that does not answer is not waited for.
    try coordinator.sibling.send(.reportStatistics(busiest: 0))
    guard case .reportStatistics = try cleaner.sibling.next() else { throw Unexpected() }
    guard case .statistics(let rest) = try coordinator.sibling.next() else { throw Unexpected() }
    #expect(rest.map(\.role) == [.logwriter])
  }
}

struct CleaningScheduleTests {
  @Test func theDirtiestIsFirst() {
    var schedule = CleaningSchedule(backoffMs: 10)
    #expect(schedule.wakeMs == .max)
    for slot in 0..<3 as Range<UInt32> { schedule.touch(slot) }
    #expect(schedule.wakeMs == 0)
    while let slot = schedule.nextToLookAt(nowMs: 0) {
      schedule.looked(
        slot, dirtyRatio: slot == 1 ? 0.9 : slot == 2 ? nil : 0.6, againMs: .max, nowMs: 0)
    }
    #expect(schedule.take(nowMs: 0) == 1)
    #expect(schedule.take(nowMs: 0) == 0)
    #expect(schedule.take(nowMs: 0) == nil)
    #expect(schedule.wakeMs == .max)
    schedule.ended(1)
    #expect(schedule.nextToLookAt(nowMs: 0) == 1)
  }

  @Test func timeAloneMakesALogDue() {
    var schedule = CleaningSchedule(backoffMs: 10)
    schedule.touch(4)
    #expect(schedule.nextToLookAt(nowMs: 5) == 4)
    schedule.looked(4, dirtyRatio: nil, againMs: 100, nowMs: 5)
    #expect(schedule.wakeMs == 100)
    #expect(schedule.nextToLookAt(nowMs: 99) == nil)
    #expect(schedule.nextToLookAt(nowMs: 100) == 4)
    schedule.forget(4)
    #expect(schedule.wakeMs == .max)
  }

  @Test func pausesGrow() {
    var schedule = CleaningSchedule(backoffMs: 10)
    var nowMs: Int64 = 0
    for pause in [10, 20, 40, 80] as [Int64] {
      schedule.touch(1)
      #expect(schedule.nextToLookAt(nowMs: nowMs) == 1)
      schedule.looked(1, dirtyRatio: 1, againMs: .max, nowMs: nowMs)
      #expect(schedule.take(nowMs: nowMs) == 1)
      #expect(schedule.failed(1, nowMs: nowMs) == pause)
      #expect(schedule.failingCount == 1)
      // Touched meanwhile, it is looked at but not taken.
      schedule.touch(1)
      #expect(schedule.nextToLookAt(nowMs: nowMs) == 1)
      schedule.looked(1, dirtyRatio: 1, againMs: .max, nowMs: nowMs)
      #expect(schedule.take(nowMs: nowMs + pause - 1) == nil)
      #expect(schedule.wakeMs <= nowMs + pause)
      nowMs += pause
    }
    for _ in 0..<30 { _ = schedule.failed(1, nowMs: nowMs) }
    #expect(schedule.failed(1, nowMs: nowMs) == CleaningSchedule.backoffMsMax)
    schedule.ended(1)
    #expect(schedule.failingCount == 0)
  }
}
