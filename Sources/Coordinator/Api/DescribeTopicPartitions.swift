// DescribeTopicPartitions: topics in order of their names, as many partitions as the page has room
// for, and where the next page begins (KIP-966).

import Configuration
import KafkaProtocol
import Model

enum DescribeTopicPartitionsApi {
  private typealias Answer = DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponseTopic
  private typealias Partition =
    DescribeTopicPartitionsResponse.DescribeTopicPartitionsResponsePartition

  static func handle(
    _ request: DescribeTopicPartitionsRequest, _ context: RequestContext, _ broker: Broker
  ) {
    if let cursor = request.cursor, cursor.partitionIndex < 0 {
      broker.replies.refuse(
        context.reply,
        "DescribeTopicPartitionsRequest cursor partition must be valid: \(cursor.partitionIndex)")
      return
    }
    var names = request.topics.map(\.name)
    if names.isEmpty { names = broker.topics.state.topicsInOrder.map(\.name) }
    var start = 0
    if let cursor = request.cursor {
      names.removeAll { $0 < cursor.topicName }
      if names.contains(cursor.topicName) { start = Int(cursor.partitionIndex) }
    }
    let limit = broker.configuration.maxRequestPartitionSizeLimit
    var left = max(1, min(limit, Int(request.responsePartitionLimit)))
    var response = DescribeTopicPartitionsResponse()
    for name in Set(names).sorted() {
      guard let topic = broker.topics.state.topic(name) else {
        response.topics.append(missing(name))
        continue
      }
      if left == 0 {
        response.nextCursor = .init(topicName: name, partitionIndex: 0)
        break
      }
      let first = min(request.cursor?.topicName == name ? start : 0, topic.partitionCount)
      let end = min(topic.partitionCount, first + left)
      response.topics.append(describe(topic, first..<end, broker))
      left -= end - first
      if end < topic.partitionCount {
        response.nextCursor = .init(topicName: name, partitionIndex: Int32(end))
        break
      }
    }
    broker.replies.answer(response, to: context.reply)
  }

  private static func missing(_ name: String) -> Answer {
    let isLegal = TopicName.violation(of: name) == nil
    return Answer(
      errorCode: isLegal ? .unknownTopicOrPartition : .invalidTopicException, name: name,
      isInternal: TopicName.isInternal(name))
  }

  private static func describe(
    _ topic: Topic, _ partitions: Range<Int>, _ broker: Broker
  ) -> Answer {
    let nodeId = broker.nodeId
    return Answer(
      name: topic.name, topicId: topic.id, isInternal: topic.isInternal,
      partitions: partitions.map { index in
        var isOffline = false
        if case .failed = broker.topics.placement.place(topic.id, index) { isOffline = true }
        return Partition(
          errorCode: isOffline ? .leaderNotAvailable : .none, partitionIndex: Int32(index),
          leaderId: isOffline ? -1 : nodeId, leaderEpoch: topic.leaderEpochs[index],
          replicaNodes: [nodeId], isrNodes: [nodeId], eligibleLeaderReplicas: [],
          lastKnownElr: [], offlineReplicas: isOffline ? [nodeId] : [])
      },
      topicAuthorizedOperations: AuthorizedOperations.ofTopic)
  }
}
