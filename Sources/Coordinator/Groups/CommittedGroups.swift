// What the log says of groups: for each one its last metadata record and its committed offsets.
// `replay` is the only thing that changes it, at start-up and live alike.

import KafkaProtocol
import Model

struct CommittedGroup: Equatable {
  /// nil for a group that only ever committed offsets.
  fileprivate(set) var metadata: GroupMetadataValue?
  fileprivate(set) var offsets: [String: [Int32: CommittedOffset]] = [:]

  func offset(_ topic: String, _ partition: Int32) -> CommittedOffset? {
    offsets[topic]?[partition]
  }

  var isNothing: Bool { metadata == nil && offsets.isEmpty }

  /// Every partition with an offset, in order.
  var partitionsInOrder: [TopicPartition] {
    offsets.flatMap { topic, partitions in
      partitions.keys.map { TopicPartition(topic: topic, partition: $0) }
    }.sorted()
  }
}

struct CommittedGroups: Equatable {
  private(set) var groups: [String: CommittedGroup] = [:]

  subscript(_ id: String) -> CommittedGroup? { groups[id] }

  mutating func replay(_ record: GroupRecord) {
    switch record {
    case .group(let id, let metadata): groups[id, default: CommittedGroup()].metadata = metadata
    case .offset(let id, let at, let offset):
      groups[id, default: CommittedGroup()].offsets[at.topic, default: [:]][at.partition] = offset
      if groups[id]?.offsets[at.topic]?.isEmpty == true { groups[id]?.offsets[at.topic] = nil }
    }
    if groups[record.group]?.isNothing == true { groups[record.group] = nil }
  }
}
