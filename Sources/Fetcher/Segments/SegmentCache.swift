// The segments at hand, by partition. Bounded by descriptors: the segments unused for longest go
// first. A partition that changed its generation is another partition: its segments are dropped.

import IPC

struct SegmentCache {
  /// Most descriptors that the cache keeps open.
  let descriptorsMax: Int
  private(set) var descriptorCount = 0
  private(set) var segmentCount = 0
  private var partitions: [UInt32: Partition] = [:]
  private var nextNumber: UInt64 = 1
  private var clock: UInt64 = 0

  private struct Partition {
    var generation: UInt32
    /// Ascending by base offset.
    var segments: [CachedSegment] = []
  }

  init(descriptorsMax: Int) { self.descriptorsMax = descriptorsMax }

  /// The segment that is known to hold `offset`, if it is here.
  mutating func find(
    slot: UInt32, generation: UInt32, offset: Int64, _ entry: ScoreboardEntry
  ) -> CachedSegment? {
    guard let partition = partitions[slot] else { return nil }
    guard partition.generation == generation else {
      remove(slot: slot)
      return nil
    }
    var low = 0
    var high = partition.segments.count
    while low < high {
      let middle = (low + high) / 2
      if partition.segments[middle].baseOffset <= offset { low = middle + 1 } else { high = middle }
    }
    guard low > 0 else { return nil }
    let segment = partition.segments[low - 1]
    guard segment.holds(offset, entry) else { return nil }
    clock += 1
    segment.lastUse = clock
    return segment
  }

  /// Takes a segment over, or what is new about one that is here.
  @discardableResult
  mutating func insert(
    _ description: SegmentDescription, log: SharedDescriptor, index: SharedDescriptor?,
    transactionIndex: SharedDescriptor? = nil
  ) -> CachedSegment {
    if let partition = partitions[description.slot],
      partition.generation != description.generation
    {
      remove(slot: description.slot)
    }
    var partition = partitions[description.slot] ?? Partition(generation: description.generation)
    clock += 1
    if let known = partition.segments.first(where: { $0.baseOffset == description.baseOffset }) {
      descriptorCount -= known.descriptorCount
      known.update(description, index: index, transactionIndex: transactionIndex)
      descriptorCount += known.descriptorCount
      known.lastUse = clock
      return known
    }
    let segment = CachedSegment(
      number: nextNumber, description, log: log, index: index, transactionIndex: transactionIndex)
    nextNumber += 1
    segment.lastUse = clock
    let place =
      partition.segments.firstIndex { $0.baseOffset > segment.baseOffset }
      ?? partition.segments.count
    partition.segments.insert(segment, at: place)
    partitions[description.slot] = partition
    descriptorCount += segment.descriptorCount
    segmentCount += 1
    if descriptorCount > descriptorsMax { evict() }
    return segment
  }

  /// Forgets everything: the slots mean nothing any more.
  mutating func removeAll() {
    partitions.removeAll()
    descriptorCount = 0
    segmentCount = 0
  }

  /// Lets go of segments that are deleted or replaced.
  mutating func remove(_ dropped: DroppedSegments) {
    guard var partition = partitions[dropped.slot],
      partition.generation == dropped.generation
    else { return }
    partition.segments.removeAll { segment in
      guard segment.baseOffset >= dropped.fromOffset, segment.baseOffset < dropped.toOffset else {
        return false
      }
      descriptorCount -= segment.descriptorCount
      segmentCount -= 1
      return true
    }
    partitions[dropped.slot] = partition.segments.isEmpty ? nil : partition
  }

  private mutating func remove(slot: UInt32) {
    guard let partition = partitions.removeValue(forKey: slot) else { return }
    for segment in partition.segments { descriptorCount -= segment.descriptorCount }
    segmentCount -= partition.segments.count
  }

  /// Drops the longest unused quarter at once, so that a full cache is not searched for every segment.
  private mutating func evict() {
    let uses = partitions.values.flatMap { $0.segments.map(\.lastUse) }.sorted()
    let limit = uses[min(uses.count - 1, uses.count / 4)]
    for slot in Array(partitions.keys) {
      guard var partition = partitions[slot] else { continue }
      partition.segments.removeAll { segment in
        guard segment.lastUse <= limit, segment.lastUse != clock else { return false }
        descriptorCount -= segment.descriptorCount
        segmentCount -= 1
        return true
      }
      partitions[slot] = partition.segments.isEmpty ? nil : partition
    }
  }
}
