// What was sent of each partition, by slot: counted where a response is written, summed up by topic
// when `sluice top` asks. The slots are those of one logwriter.

import IPC

struct TopicsServed {
  private struct Work {
    /// Of the partition that the numbers are about.
    var generation: UInt32 = 0
    var bytes: UInt64 = 0
    var fetches: UInt64 = 0
    /// `bytes` when this was last asked for.
    var bytesTold: UInt64 = 0
  }

  private var slots: [Work] = []

  /// Records of a target are in a response.
  mutating func note(_ target: FetchTarget) {
    let slot = Int(target.slot)
    guard slot < ScoreboardLayout.capacity else { return }
    while slots.count <= slot { slots.append(Work()) }
    if slots[slot].generation != target.generation {
      slots[slot] = Work(generation: target.generation)
    }
    slots[slot].bytes &+= UInt64(target.found.count)
    slots[slot].fetches &+= 1
  }

  /// The topics of which most was sent since this was last asked, at most `count`.
  mutating func busiest(_ count: Int, in table: TopicTable) -> [TopicWork] {
    if count == 0 || slots.isEmpty { return [] }
    var heaviest = Heaviest<TopicWork>(count)
    for topic in table.topics {
      var sum = Work()
      for partition in topic.partitions where partition.slot < slots.count {
        let slot = Int(partition.slot)
        guard slots[slot].generation == partition.generation else { continue }
        sum.bytes += slots[slot].bytes
        sum.fetches += slots[slot].fetches
        sum.bytesTold += slots[slot].bytesTold
        slots[slot].bytesTold = slots[slot].bytes
      }
      if sum.fetches == 0 { continue }
      heaviest.offer(
        sum.bytes - sum.bytesTold,
        TopicWork(topic: topic.name, bytesOut: sum.bytes, requests: sum.fetches))
    }
    return heaviest.items
  }
}
