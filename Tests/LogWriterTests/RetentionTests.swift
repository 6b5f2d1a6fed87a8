// Deleting over the edges: what is too old goes by itself, what a client deletes is gone when it is
// told so, and fetchers let go of it.

import Foundation
import IPC
import Linux
import Model
import Testing

@testable import LogWriter
@testable import Storage

@Suite(.serialized) struct RetentionTests {
  private static let soon = [
    "log.retention.check.interval.ms=1", "log.initial.task.delay.ms=0",
  ]

  private func files(_ broker: Broker) throws -> Set<String> {
    Set(try File.names(in: "\(broker.logPath)/t-0"))
  }

  private func append(_ frontend: FrontendSide, _ state: PartitionState, ageMs: [Int64]) throws {
    let nowMs = Clock.wallMs()
    for age in ageMs {
      let answer = try frontend.append(state, batch(timestamp: nowMs - age))
      #expect(answer.error == .none)
    }
  }

  @Test func whatIsTooOldGoes() throws {
    let broker = try Broker(overrides: Self.soon)
    let coordinator = try CoordinatorSide(broker)
    let state = try coordinator.create(1) {
      $0.retentionMs = 60_000
      $0.fileDeleteDelayMs = 0
      $0.segmentBytes = 200
    }[0]
    let frontend = try FrontendSide(broker)
    let fetcher = try FetcherSide(broker)
    try append(frontend, state, ageMs: [70_000, 65_000, 10])
    try broker.run { coordinator.entry(state)?.logStartOffset == 2 }
    guard case .dropped(let dropped) = try fetcher.sibling.next() else { throw Unexpected() }
    #expect(dropped.allSatisfy { $0.slot == state.slot && $0.generation == state.generation })
    #expect(dropped.first?.fromOffset == 0)
    let log = "00000000000000000002.log"
    try broker.run { try files(broker).filter { $0.contains(".log") } == [log] }
    #expect(coordinator.entry(state)?.logEndOffset == 3)
    // The one that is left is due in a minute; until then nobody wakes up.
    try broker.run { broker.writer.store.retention.wakeMs > Clock.wallMs() + 50_000 }
    #expect(broker.writer.store.nextSweepMs == nil)
    try broker.crash()
    try broker.run { broker.writer.store.unrecovered.isEmpty }
    let again = try CoordinatorSide(broker)
    let taken = try again.create(1)[0]
    try broker.run { again.entry(taken)?.logStartOffset == 2 }
  }

  @Test func keptForEverIsNotLookedAt() throws {
    let broker = try Broker(overrides: Self.soon)
    let coordinator = try CoordinatorSide(broker)
    let state = try coordinator.create(1) { $0.retentionMs = -1 }[0]
    let frontend = try FrontendSide(broker)
    try append(frontend, state, ageMs: [1 << 40])
    try broker.run { broker.writer.store.retention.wakeMs == .max }
    // Until somebody changes his mind.
    var config = LogConfig()
    config.retentionMs = 1
    try coordinator.sibling.send(
      .configureTopic(topicId: CoordinatorSide.topicId, config))
    try broker.run { coordinator.entry(state)?.logStartOffset == 1 }
  }

  @Test func deletingRecords() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let states = try coordinator.create(2) {
      $0.fileDeleteDelayMs = 0
      $0.segmentBytes = 200
    }
    let compacted = try coordinator.create([
      coordinator.spec(0, topic: "c", topicId: UUID128(high: 1, low: 1)) {
        $0.deletes = false
        $0.compacts = true
      }
    ])[0]
    let frontend = try FrontendSide(broker)
    for state in states { try append(frontend, state, ageMs: [3, 2, 1]) }
    func wanted(_ state: PartitionState, _ offset: Int64) -> RecordsToDelete {
      RecordsToDelete(slot: state.slot, generation: state.generation, beforeOffset: offset)
    }
    var gone = states[0]
    gone.generation += 1
    try coordinator.sibling.send(
      .deleteRecords(
        token: 4,
        [
          wanted(states[0], 2), wanted(states[1], -1), wanted(states[1], 9), wanted(compacted, 0),
          wanted(gone, 0),
        ]))
    let answer = try coordinator.sibling.next()
    guard case .recordsDeleted(4, let results) = answer else { throw Unexpected() }
    #expect(
      results == [
        RecordsDeleted(error: .none, lowWatermark: 2),
        RecordsDeleted(error: .none, lowWatermark: 3),
        RecordsDeleted(error: .offsetOutOfRange), RecordsDeleted(error: .policyViolation),
        RecordsDeleted(error: .notLeaderOrFollower),
      ])
    #expect(coordinator.entry(states[0])?.logStartOffset == 2)
    let text = try File.contents("\(broker.logPath)/log-start-offset-checkpoint")
    #expect(text == Array("0\n2\nt 0 2\nt 1 3\n".utf8))
    try broker.run {
      try files(broker).filter { $0.contains(".log") } == ["00000000000000000002.log"]
    }
    // Not before: it would also be told that the segments go.
    let fetcher = try FetcherSide(broker)
    guard case .segmentUnavailable(let refusal) = try fetcher.open(states[0], at: 1) else {
      throw Unexpected()
    }
    #expect(refusal.error == .offsetOutOfRange)
  }

  @Test func fetchersLetGoOfDeletedPartitions() throws {
    let broker = try Broker()
    let coordinator = try CoordinatorSide(broker)
    let state = try coordinator.create(1)[0]
    let fetcher = try FetcherSide(broker)
    try coordinator.sibling.send(.deletePartitions(token: 1, [state.name]))
    let message = try fetcher.sibling.next()
    guard case .dropped(let dropped) = message else { throw Unexpected() }
    #expect(
      dropped == [
        DroppedSegments(
          slot: state.slot, generation: state.generation, fromOffset: .min, toOffset: .max)
      ])
  }
}
