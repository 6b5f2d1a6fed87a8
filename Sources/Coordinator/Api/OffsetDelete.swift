// OffsetDelete: takes back committed offsets of topics that the group does not read.

import KafkaProtocol
import Model

enum OffsetDeleteApi {
  private typealias TopicAnswer = OffsetDeleteResponse.OffsetDeleteResponseTopic
  private typealias PartitionAnswer = OffsetDeleteResponse.OffsetDeleteResponsePartition

  static func handle(_ request: OffsetDeleteRequest, _ context: RequestContext, _ broker: Broker) {
    let error = refusal(request, broker)
    if error != .none {
      broker.replies.answer(OffsetDeleteResponse(errorCode: error), to: context.reply)
      return
    }
    let subscribed = broker.groups.session(request.groupId)?.subscribedTopics ?? []
    let committed = broker.groups.committed(request.groupId)
    var records: [GroupRecord] = []
    var topics: [TopicAnswer] = []
    for topic in request.topics {
      var answer = TopicAnswer(name: topic.name)
      for partition in topic.partitions {
        let at = TopicPartition(topic: topic.name, partition: partition.partitionIndex)
        let error = check(at, subscribed, broker)
        answer.partitions.append(
          PartitionAnswer(partitionIndex: at.partition, errorCode: error))
        if error == .none, committed?.offset(at.topic, at.partition) != nil {
          records.append(.offset(group: request.groupId, at, nil))
        }
      }
      topics.append(answer)
    }
    if records.isEmpty {
      broker.replies.answer(OffsetDeleteResponse(topics: topics), to: context.reply)
      return
    }
    broker.groups.append(records, group: request.groupId) { error in
      broker.replies.answer(
        OffsetDeleteResponse(errorCode: error, topics: error == .none ? topics : []),
        to: context.reply)
    }
  }

  private static func refusal(_ request: OffsetDeleteRequest, _ broker: Broker) -> ErrorCode {
    let error = broker.groups.availability(request.groupId)
    if error != .none { return error }
    guard let session = broker.groups.session(request.groupId) else {
      return broker.groups.committed(request.groupId) == nil ? .groupIdNotFound : .none
    }
    switch session.phase {
    case .dead: return .groupIdNotFound
    case .empty: return .none
    case .preparingRebalance, .completingRebalance, .stable:
      // Only of consumers it is known what they read.
      return session.protocolType == "consumer" ? .none : .nonEmptyGroup
    }
  }

  private static func check(
    _ at: TopicPartition, _ subscribed: Set<String>, _ broker: Broker
  ) -> ErrorCode {
    if subscribed.contains(at.topic) { return .groupSubscribedToTopic }
    guard let topic = broker.topics.state.topic(at.topic),
      (0..<Int32(topic.partitionCount)).contains(at.partition)
    else { return .unknownTopicOrPartition }
    return .none
  }
}
