// What is done about logs on disk.

import IPC
import Model
import Testing

@testable import Coordinator

@Suite struct ReconciliationTests {
  private let known = UUID128(high: 0, low: 1)
  private let deleted = UUID128(high: 0, low: 2)
  private let finished = UUID128(high: 0, low: 3)
  private let foreign = UUID128(high: 0, low: 4)

  private func state() -> MetadataState {
    var state = MetadataState()
    state.replay(.topic(Topic(name: "known", id: known, leaderEpochs: [0, 0], configs: [:])))
    state.replay(.topicDeleted(DeletedTopic(id: deleted, name: "old", partitionCount: 2)))
    return state
  }

  private func plan(_ found: [PartitionName]) -> Reconciliation {
    Reconciliation(state(), found) { id in id == deleted || id == finished }
  }

  private func log(_ topic: String, _ partition: Int32, _ id: UUID128) -> PartitionName {
    PartitionName(topic: topic, partition: partition, topicId: id)
  }

  @Test func anEmptyDiskEndsDeletions() {
    let plan = plan([])
    #expect(plan.finished == [deleted])
    #expect(plan.adopted.isEmpty && plan.deleted.isEmpty && plan.strays.isEmpty)
  }

  @Test func knownLogsAreLeftToTheOthers() {
    let plan = plan([log("known", 0, known), log("known", 1, .zero)])
    #expect(plan.adopted.isEmpty && plan.deleted.isEmpty && plan.strays.isEmpty)
  }

  @Test func deletionsGoOn() {
    let plan = plan([log("old", 1, deleted), log("older", 0, finished)])
    #expect(Set(plan.deleted) == [log("old", 1, deleted), log("older", 0, finished)])
    #expect(plan.finished.isEmpty)
  }

  @Test func unknownLogsAreAdoptedAsWholeTopics() {
    let plan = plan([log("new", 2, foreign), log("new", 0, foreign), log("bare", 0, .zero)])
    #expect(plan.adopted.map(\.name).sorted() == ["bare", "new"])
    #expect(plan.adopted.first { $0.name == "new" }?.id == foreign)
    #expect(plan.adopted.first { $0.name == "new" }?.partitionCount == 3)
    #expect(plan.adopted.first { $0.name == "bare" }?.id != .zero)
  }

  @Test(arguments: [
    ("known", Int32(0)), ("no/name", 0), ("..", 0), ("new", -1), ("new", 2_000_000_000),
  ])
  func whatFitsNowhereStays(_ name: String, _ partition: Int32) {
    let stray = log(name, partition, foreign)
    let plan = plan([stray])
    #expect(plan.strays == [stray])
    #expect(plan.adopted.isEmpty && plan.deleted.isEmpty)
  }

  @Test func ofTwoTopicsOfOneNameOneIsAdopted() {
    let plan = plan([log("new", 0, foreign), log("new", 0, UUID128(high: 0, low: 5))])
    #expect(plan.adopted.count == 1)
    #expect(plan.strays.count == 1)
  }
}
