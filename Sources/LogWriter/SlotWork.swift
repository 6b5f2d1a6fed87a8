// What was done to one partition, counted where its slot is at hand anyway.

import IPC
import Model
import Storage

struct SlotWork {
  var bytes: UInt64 = 0
  var records: UInt64 = 0
  /// Rounds in which something was appended.
  var appends: UInt64 = 0
  /// `bytes` when the busiest topics were last asked for.
  var bytesTold: UInt64 = 0
}

extension LogStore {
  /// Counts what was appended to a slot's partition.
  func noteWork(_ slot: UInt32, bytes: UInt64, records: UInt64) {
    work[Int(slot)].bytes &+= bytes
    work[Int(slot)].records &+= records
    work[Int(slot)].appends &+= 1
  }

  /// The topics that got most since this was last asked, at most `count`.
  func busiestTopics(_ count: Int) -> [TopicWork] {
    var byTopic: [UUID128: (work: TopicWork, bytesNew: UInt64)] = [:]
    for slot in work.indices where work[slot].appends > 0 {
      guard let log = logs[slot] else { continue }
      let done = work[slot]
      work[slot].bytesTold = done.bytes
      var topic =
        byTopic[log.topicId] ?? (TopicWork(topic: log.partition.topic), bytesNew: 0)
      topic.work.bytesIn += done.bytes
      topic.work.recordsIn += done.records
      topic.work.requests += done.appends
      topic.bytesNew += done.bytes - done.bytesTold
      byTopic[log.topicId] = topic
    }
    var heaviest = Heaviest<TopicWork>(count)
    for topic in byTopic.values { heaviest.offer(topic.bytesNew, topic.work) }
    return heaviest.items
  }
}
