// The slab's bounds, and the metadata image as its readers keep it.
import Linux
import Model
import Testing

@testable import IPC

struct SlabTests {
  @Test func entriesMustLieInside() throws {
    let slab = try Slab(size: 8192)
    slab.bytes[8191] = 42
    let view = try SlabView(slab.descriptor, size: 8192)
    #expect(view.bytes(offset: 8191, length: 1)?.first == 42)
    #expect(view.bytes(offset: 8192, length: 0)?.count == 0)
    for (offset, length) in [
      (UInt64(8192), UInt32(1)), (8191, 2), (0, 8193), (.max, 1), (.max, .max), (1, .max),
    ] {
      #expect(view.bytes(offset: offset, length: length) == nil)
    }
    try slab.release(offset: 4096, count: 4096)
    #expect(view.bytes(offset: 8191, length: 1)?.first == 0)
  }

  @Test func aSlabIsWhatItSays() throws {
    let slab = try Slab(size: 8192)
    for size in [0, 4096, 8193, UInt64.max] {
      #expect(throws: MessageError.self) { _ = try SlabView(slab.descriptor, size: size) }
    }
    let open = try MemoryFile.unsealed(name: "x", size: 8192)
    #expect(throws: MessageError.self) { _ = try SlabView(open, size: 8192) }
  }
}

struct TopicTableTests {
  private func topic(_ name: String, _ id: UInt64, slots: [UInt32] = []) -> TopicImage {
    TopicImage(
      name: name, id: UUID128(high: 0, low: id), maxMessageBytes: 1,
      partitions: slots.map { PartitionImage(slot: $0, generation: 1, leaderEpoch: 0) })
  }

  private func update(
    _ epoch: UInt64, snapshot: Bool = false, _ topics: [TopicImage], removed: [UInt64] = []
  ) -> ImageUpdate {
    ImageUpdate(
      epoch: epoch, isSnapshot: snapshot, topics: topics,
      removed: removed.map { UUID128(high: 0, low: $0) })
  }

  @Test func updatesAreTakenOver() {
    var table = TopicTable()
    table.apply(update(1, snapshot: true, [topic("a", 1), topic("b", 2, slots: [3])]))
    #expect(table.epoch == 1)
    #expect(table.topicCount == 2)
    #expect(table.topic(name: "b")?.partitions.first?.slot == 3)
    #expect(table.topic(id: UUID128(high: 0, low: 1))?.name == "a")
    table.apply(update(2, [topic("b", 2, slots: [3, 4])]))
    #expect(table.topic(name: "b")?.partitions.count == 2)
    #expect(table.topicCount == 2)
    table.apply(update(3, [], removed: [1, 99]))
    #expect(table.topic(name: "a") == nil)
    #expect(table.topicCount == 1)
    table.apply(update(9, snapshot: true, [topic("c", 3)]))
    #expect(table.topicCount == 1)
    #expect(table.topic(name: "b") == nil)
    #expect(table.epoch == 9)
  }

  /// A topic deleted and created again under its name, told in one update or in two, either order.
  @Test func aNameThatChangesItsId() {
    let id2 = UUID128(high: 0, low: 2)
    var inOne = TopicTable()
    inOne.apply(update(1, snapshot: true, [topic("a", 1)]))
    inOne.apply(update(2, [topic("a", 2)], removed: [1]))
    #expect(inOne.topic(name: "a")?.id == id2)
    var removedLast = TopicTable()
    removedLast.apply(update(1, snapshot: true, [topic("a", 1)]))
    removedLast.apply(update(2, [topic("a", 2)]))
    removedLast.apply(update(3, [], removed: [1]))
    #expect(removedLast.topic(name: "a")?.id == id2)
    #expect(removedLast.topicCount == 1)
  }
}
