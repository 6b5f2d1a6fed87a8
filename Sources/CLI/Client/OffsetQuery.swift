// Offsets by time: ListOffsets for all partitions of a topic, each asked of its leader. What has no
// leader, or goes offline meanwhile, is left out.

import KafkaProtocol
import Model

enum OffsetQuery {
  /// A point in a log.
  enum Position {
    case earliest
    case latest
    /// The first record not older than this, in ms since 1970.
    case timestamp(Int64)

    var wire: Int64 {
      switch self {
      case .earliest: -2
      case .latest: -1
      case .timestamp(let ms): ms
      }
    }
  }

  /// The offset at `position` by partition; -1 where no record is that young, and none of a partition
  /// that is offline.
  static func offsets(
    of topic: MetadataResponse.MetadataResponseTopic, at position: Position, _ cluster: Cluster
  ) throws(ClientError) -> [Int32: Int64] {
    let name = topic.name ?? ""
    var offsets: [Int32: Int64] = [:]
    let online = topic.partitions.filter { $0.leaderId >= 0 }
    for (leader, partitions) in Dictionary(grouping: online, by: \.leaderId) {
      let response = try cluster.broker(node: leader).request(
        ListOffsetsRequest(
          replicaId: -1,
          topics: [
            .init(
              name: name,
              partitions: partitions.map {
                .init(partitionIndex: $0.partitionIndex, timestamp: position.wire)
              })
          ]))
      for partition in response.topics.flatMap(\.partitions)
      where partition.errorCode != .kafkaStorageError {
        try partition.errorCode.require("\(name)-\(partition.partitionIndex)")
        offsets[partition.partitionIndex] = partition.offset
      }
    }
    return offsets
  }
}
