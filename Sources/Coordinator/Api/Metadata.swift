// Metadata: brokers, topics, partitions. A topic that does not exist is created if the broker and
// the request allow it; the answer then waits until its logs are there.

import Configuration
import KafkaProtocol
import Model

enum MetadataApi {
  private struct TopicKey: Hashable {
    var name: String?
    var id: UUID128
  }

  /// Topics that one request may create.
  private static let autoCreateMax = 1000

  static func handle(_ request: MetadataRequest, _ context: RequestContext, _ broker: Broker) {
    guard let named = request.topics, !(context.version == 0 && named.isEmpty) else {
      let all = broker.topics.state.topicsInOrder.map { topic($0, request, broker) }
      return answer(all, request, context, broker)
    }
    // A topic that is named again and again is described once.
    var seen: Set<TopicKey> = []
    let wanted = named.filter { seen.insert(TopicKey(name: $0.name, id: $0.topicId)).inserted }
    // Before version 12 a name was all that the broker looked at; an id without one is a mistake.
    if context.version < 12, wanted.contains(where: { $0.name == nil || $0.topicId != .zero }) {
      let all = wanted.map {
        failed($0.name ?? "", $0.topicId, .invalidRequest, request)
      }
      return answer(all, request, context, broker)
    }
    broker.noteIllegalNames(in: wanted.lazy.compactMap(\.name), context)
    let missing = topicsToCreate(wanted, request, context, broker)
    if missing.isEmpty {
      return answer(
        wanted.map { found($0, [:], request, broker) }, request, context, broker)
    }
    TopicCreation.createAutomatically(missing, broker) { errors in
      answer(wanted.map { found($0, errors, request, broker) }, request, context, broker)
    }
  }

  private static func topicsToCreate(
    _ wanted: [MetadataRequest.MetadataRequestTopic], _ request: MetadataRequest,
    _ context: RequestContext, _ broker: Broker
  ) -> [String] {
    guard broker.configuration.autoCreateTopicsEnable,
      context.version < 4 || request.allowAutoTopicCreation
    else { return [] }
    var names: [String] = []
    var seen: Set<String> = []
    for topic in wanted {
      guard topic.topicId == .zero, let name = topic.name, seen.insert(name).inserted,
        TopicName.violation(of: name) == nil, broker.topics.state.topic(name) == nil
      else { continue }
      names.append(name)
    }
    return Array(names.prefix(autoCreateMax))
  }

  private static func found(
    _ wanted: MetadataRequest.MetadataRequestTopic, _ errors: [String: ErrorCode],
    _ request: MetadataRequest, _ broker: Broker
  ) -> MetadataResponse.MetadataResponseTopic {
    guard wanted.topicId == .zero, let name = wanted.name else {
      guard let found = broker.topics.state.topic(id: wanted.topicId) else {
        return failed(nil, wanted.topicId, .unknownTopicId, request)
      }
      return topic(found, request, broker)
    }
    if let error = errors[name], error != .none { return failed(name, .zero, error, request) }
    if let found = broker.topics.state.topic(name) { return topic(found, request, broker) }
    let isLegal = TopicName.violation(of: name) == nil
    return failed(
      name, .zero, isLegal ? .unknownTopicOrPartition : .invalidTopicException, request)
  }

  private static func failed(
    _ name: String?, _ id: UUID128, _ error: ErrorCode, _ request: MetadataRequest
  ) -> MetadataResponse.MetadataResponseTopic {
    MetadataResponse.MetadataResponseTopic(
      errorCode: error, name: name, topicId: id,
      isInternal: name.map(TopicName.isInternal) ?? false)
  }

  private static func topic(
    _ topic: Topic, _ request: MetadataRequest, _ broker: Broker
  ) -> MetadataResponse.MetadataResponseTopic {
    let nodeId = broker.nodeId
    return MetadataResponse.MetadataResponseTopic(
      errorCode: .none, name: topic.name, topicId: topic.id, isInternal: topic.isInternal,
      partitions: topic.leaderEpochs.enumerated().map { index, leaderEpoch in
        var isOffline = false
        if case .failed = broker.topics.placement.place(topic.id, index) { isOffline = true }
        return MetadataResponse.MetadataResponsePartition(
          errorCode: isOffline ? .leaderNotAvailable : .none, partitionIndex: Int32(index),
          leaderId: isOffline ? -1 : nodeId, leaderEpoch: leaderEpoch, replicaNodes: [nodeId],
          isrNodes: [nodeId], offlineReplicas: isOffline ? [nodeId] : [])
      },
      topicAuthorizedOperations: request.includeTopicAuthorizedOperations
        ? AuthorizedOperations.ofTopic : AuthorizedOperations.omitted)
  }

  private static func answer(
    _ topics: [MetadataResponse.MetadataResponseTopic], _ request: MetadataRequest,
    _ context: RequestContext, _ broker: Broker
  ) {
    let address = broker.advertised(to: context)
    broker.replies.answer(
      MetadataResponse(
        brokers: [
          MetadataResponse.MetadataResponseBroker(
            nodeId: broker.nodeId, host: address.host, port: address.port,
            rack: broker.configuration.brokerRack)
        ],
        clusterId: broker.topics.state.clusterId, controllerId: broker.nodeId, topics: topics,
        clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
          ? AuthorizedOperations.ofCluster : AuthorizedOperations.omitted),
      to: context.reply)
  }
}
