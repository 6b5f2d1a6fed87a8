// OffsetFetch: the committed offsets of one group, or from version 8 on of several. A partition
// without one has offset -1, which is no error.

import KafkaProtocol
import Model

enum OffsetFetchApi {
  private typealias GroupAnswer = OffsetFetchResponse.OffsetFetchResponseGroup
  private typealias TopicAnswer = OffsetFetchResponse.OffsetFetchResponseTopics
  private typealias PartitionAnswer = OffsetFetchResponse.OffsetFetchResponsePartitions
  private typealias Wanted = OffsetFetchRequest.OffsetFetchRequestTopics

  /// Offsets in one response; only a request that names the same group again and again has more.
  private static let partitionsMax = 1_000_000

  static func handle(_ request: OffsetFetchRequest, _ context: RequestContext, _ broker: Broker) {
    if context.version >= 8 {
      var groups: [GroupAnswer] = []
      var partitions = 0
      for group in request.groups {
        groups.append(fetch(group.groupId, group.topics, broker))
        partitions += groups.last?.topics.reduce(0) { $0 + $1.partitions.count } ?? 0
        guard partitions <= partitionsMax else {
          return broker.replies.refuse(context.reply, "more than \(partitionsMax) offsets at once")
        }
      }
      broker.replies.answer(OffsetFetchResponse(groups: groups), to: context.reply)
      return
    }
    let wanted = request.topics?.map {
      Wanted(name: $0.name, partitionIndexes: $0.partitionIndexes)
    }
    let group = fetch(request.groupId, wanted, broker)
    broker.replies.answer(single(group, wanted, version: context.version), to: context.reply)
  }

  private static func fetch(
    _ id: String, _ wanted: [Wanted]?, _ broker: Broker
  ) -> GroupAnswer {
    let error = broker.groups.availability(id)
    if error != .none { return GroupAnswer(groupId: id, errorCode: error) }
    let committed = broker.groups.committed(id)
    let topics: [TopicAnswer]
    if let wanted {
      topics = wanted.map { topic in
        TopicAnswer(
          name: topic.name,
          partitions: topic.partitionIndexes.map {
            answer($0, committed?.offset(topic.name, $0))
          })
      }
    } else {
      topics = (committed?.offsets ?? [:]).sorted { $0.key < $1.key }.map { name, partitions in
        TopicAnswer(
          name: name,
          partitions: partitions.sorted { $0.key < $1.key }.map { answer($0.key, $0.value) })
      }
    }
    return GroupAnswer(groupId: id, topics: topics)
  }

  private static func answer(_ partition: Int32, _ offset: CommittedOffset?) -> PartitionAnswer {
    PartitionAnswer(
      partitionIndex: partition, committedOffset: offset?.offset ?? -1,
      committedLeaderEpoch: offset?.leaderEpoch ?? -1, metadata: offset?.metadata ?? "")
  }

  /// The answer of versions up to 7. Version 1 has errors only with partitions.
  private static func single(
    _ group: GroupAnswer, _ wanted: [Wanted]?, version: Int16
  ) -> OffsetFetchResponse {
    var topics = group.topics
    if group.errorCode != .none, version < 2 {
      topics = (wanted ?? []).map { topic in
        TopicAnswer(
          name: topic.name,
          partitions: topic.partitionIndexes.map {
            PartitionAnswer(
              partitionIndex: $0, committedOffset: -1, metadata: "", errorCode: group.errorCode)
          })
      }
    }
    return OffsetFetchResponse(
      topics: topics.map { topic in
        OffsetFetchResponse.OffsetFetchResponseTopic(
          name: topic.name,
          partitions: topic.partitions.map {
            OffsetFetchResponse.OffsetFetchResponsePartition(
              partitionIndex: $0.partitionIndex, committedOffset: $0.committedOffset,
              committedLeaderEpoch: $0.committedLeaderEpoch, metadata: $0.metadata,
              errorCode: $0.errorCode)
          })
      },
      errorCode: group.errorCode)
  }
}
