// A topic as the metadata store has it. Where its partitions lie at this moment is not part of it
// (see `Placement`).

import IPC
import Model

struct Topic: Equatable {
  var name: String
  var id: UUID128
  /// Leader epoch of each partition, by partition index.
  var leaderEpochs: [Int32]
  /// Configurations that were set for this topic, as text, by Kafka's names.
  var configs: [String: String]
  /// Partitions whose creation the logwriter has not confirmed: nothing was ever in them, so they may
  /// be created (again). One that was confirmed never comes back here.
  var unconfirmed: Set<Int> = []

  var partitionCount: Int { leaderEpochs.count }

  var isInternal: Bool { TopicName.isInternal(name) }

  func partitionName(_ partition: Int) -> PartitionName {
    PartitionName(topic: name, partition: Int32(partition), topicId: id)
  }
}

/// A topic that is gone for clients while its logs may still be on disk.
struct DeletedTopic: Equatable {
  var id: UUID128
  var name: String
  var partitionCount: Int

  var partitionNames: [PartitionName] {
    (0..<partitionCount).map {
      PartitionName(topic: name, partition: Int32($0), topicId: id)
    }
  }
}
