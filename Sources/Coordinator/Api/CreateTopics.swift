// CreateTopics: every topic is checked on its own; all that pass are recorded in one transaction,
// and the answer follows when their logs are open.

import Configuration
import KafkaProtocol
import Logging
import Model
import Service

enum CreateTopicsApi {
  private typealias Wanted = CreateTopicsRequest.CreatableTopic
  private typealias Answer = CreateTopicsResponse.CreatableTopicResult

  static func handle(_ request: CreateTopicsRequest, _ context: RequestContext, _ broker: Broker) {
    broker.noteIllegalNames(in: request.topics.lazy.map(\.name), context)
    guard broker.topics.knowsDisk else {
      return broker.topics.awaitDisk(timeoutMs: Int64(max(0, request.timeoutMs))) { isKnown in
        if isKnown { return create(request, context, broker) }
        let answers = request.topics.map {
          Answer(name: $0.name, errorCode: .requestTimedOut, errorMessage: nil)
        }
        broker.replies.answer(CreateTopicsResponse(topics: answers), to: context.reply)
      }
    }
    create(request, context, broker)
  }

  private static func create(
    _ request: CreateTopicsRequest, _ context: RequestContext, _ broker: Broker
  ) {
    let checked = check(request, broker)
    let topics = checked.compactMap { if case .success(let topic) = $0 { topic } else { nil } }
    func answers(_ outcomes: [UUID128: PlacementOutcome]) -> [Answer] {
      zip(request.topics, checked).map { wanted, result in
        switch result {
        case .failure(let rejection):
          Answer(
            name: wanted.name, errorCode: rejection.error, errorMessage: rejection.message)
        case .success(let topic):
          answer(topic, outcomes[topic.id] ?? .placed, request.validateOnly, context, broker)
        }
      }
    }
    func send(_ topics: [Answer]) {
      broker.replies.answer(CreateTopicsResponse(topics: topics), to: context.reply)
    }
    if topics.isEmpty || request.validateOnly { return send(answers([:])) }
    let timeoutMs = Int64(max(0, request.timeoutMs))
    broker.topics.put(topics, timeoutMs: timeoutMs) { result in
      switch result {
      case .success(let outcomes):
        takeBack(topics.filter { isFailure(outcomes[$0.id]) }, broker)
        send(answers(outcomes))
      case .failure(let error):
        broker.log.event(.metadataRefused, "topics cannot be recorded: \(error)")
        send(
          answers(
            Dictionary(
              uniqueKeysWithValues: topics.map {
                ($0.id, .failed(.unknownServerError, "The metadata store failed."))
              })))
      }
    }
  }

  private static func isFailure(_ outcome: PlacementOutcome?) -> Bool {
    if case .failed = outcome { true } else { false }
  }

  /// A topic whose logs could not be created must not stay behind a failed request.
  private static func takeBack(_ topics: [Topic], _ broker: Broker) {
    let left = topics.filter { broker.topics.state.topic(id: $0.id) != nil }
    if left.isEmpty { return }
    broker.topics.delete(left) { error in
      if let error {
        broker.log.event(.metadataRefused, "failed topics cannot be taken back: \(error)")
      }
    }
  }

  private static func check(
    _ request: CreateTopicsRequest, _ broker: Broker
  ) -> [Result<Topic, TopicRejection>] {
    var counts: [String: Int] = [:]
    for topic in request.topics { counts[topic.name, default: 0] += 1 }
    var partitions = 0
    var metricNames: [String: String] = [:]
    return request.topics.map { wanted in
      do throws(TopicRejection) {
        guard counts[wanted.name] == 1 else {
          throw TopicRejection(.invalidRequest, "Duplicate topic name.")
        }
        let topic = try check(wanted, broker)
        let metricName = MetadataState.metricName(topic.name)
        if let other = metricNames[metricName] {
          throw TopicRejection(
            .invalidTopicException, "Topic '\(topic.name)' collides with another topic: \(other)")
        }
        partitions += topic.partitionCount
        guard partitions <= TopicCreation.partitionsPerRequestMax else {
          throw TopicRejection(
            .policyViolation, "Excessively large number of partitions per request.")
        }
        try TopicCreation.checkRoom(for: partitions, in: broker.topics.state)
        metricNames[metricName] = topic.name
        return .success(topic)
      } catch { return .failure(error) }
    }
  }

  private static func check(_ wanted: Wanted, _ broker: Broker) throws(TopicRejection) -> Topic {
    try TopicCreation.check(name: wanted.name, in: broker.topics.state)
    let partitions = try partitionCount(wanted, broker)
    var configs: [String: String] = [:]
    for config in wanted.configs {
      guard let value = config.value else {
        throw TopicRejection(
          .invalidConfig, "Null value not supported for topic configs: \(config.name)")
      }
      configs[config.name] = value
    }
    if let violation = broker.topics.configs.violation(configs) {
      throw TopicRejection(.invalidConfig, violation)
    }
    return TopicCreation.topic(wanted.name, partitions: partitions, configs: configs)
  }

  private static func partitionCount(_ wanted: Wanted, _ broker: Broker) throws(TopicRejection)
    -> Int
  {
    if !wanted.assignments.isEmpty { return try assignedCount(wanted, broker) }
    if wanted.replicationFactor == 0 || wanted.replicationFactor < -1 {
      throw TopicRejection(
        .invalidReplicationFactor,
        "Replication factor must be larger than 0, or -1 to use the default value.")
    }
    if wanted.numPartitions == 0 || wanted.numPartitions < -1 {
      throw TopicRejection(
        .invalidPartitions, "Number of partitions was set to an invalid non-positive value.")
    }
    let replicas =
      wanted.replicationFactor == -1
      ? broker.configuration.defaultReplicationFactor : Int32(wanted.replicationFactor)
    guard replicas == 1 else {
      throw TopicRejection(
        .invalidReplicationFactor,
        "Unable to replicate the partition \(replicas) time(s): The target replication factor of "
          + "\(replicas) cannot be reached because only 1 broker(s) are registered.")
    }
    let count =
      wanted.numPartitions == -1 ? broker.configuration.numPartitions : wanted.numPartitions
    guard count <= TopicCreation.partitionsPerRequestMax else {
      throw TopicRejection(
        .policyViolation, "Excessively large number of partitions per request.")
    }
    return Int(count)
  }

  /// The number of partitions of a topic whose replicas the client has placed itself.
  private static func assignedCount(_ wanted: Wanted, _ broker: Broker) throws(TopicRejection)
    -> Int
  {
    if wanted.replicationFactor != -1 {
      throw TopicRejection(
        .invalidRequest,
        "A manual partition assignment was specified, but replication factor was not set to -1.")
    }
    if wanted.numPartitions != -1 {
      throw TopicRejection(
        .invalidRequest,
        "A manual partition assignment was specified, but numPartitions was not set to -1.")
    }
    let indexes = wanted.assignments.map(\.partitionIndex).sorted()
    guard indexes == (0..<Int32(indexes.count)).map({ $0 }) else {
      throw TopicRejection(
        .invalidReplicaAssignment,
        "The manual partition assignment does not include a consecutive sequence of partitions "
          + "from 0.")
    }
    for assignment in wanted.assignments {
      try ReplicaAssignment.check(assignment.brokerIds, nodeId: broker.nodeId)
    }
    return indexes.count
  }

  private static func answer(
    _ topic: Topic, _ outcome: PlacementOutcome, _ isOnlyValidated: Bool,
    _ context: RequestContext, _ broker: Broker
  ) -> Answer {
    switch outcome {
    case .failed(let error, let detail):
      return Answer(name: topic.name, errorCode: error, errorMessage: detail)
    case .timedOut:
      return Answer(
        name: topic.name, errorCode: .requestTimedOut,
        errorMessage: "The topic is recorded; its logs are not open yet.")
    case .placed: break
    }
    var answer = Answer(
      name: topic.name, topicId: isOnlyValidated ? .zero : topic.id, errorMessage: nil,
      numPartitions: Int32(topic.partitionCount), replicationFactor: 1)
    if context.version >= 5 {
      answer.configs = broker.topics.configs.configuration(topic).resolved.map {
        CreateTopicsResponse.CreatableTopicConfigs(
          name: $0.key.name, value: $0.key.isSensitive ? nil : $0.value, readOnly: false,
          configSource: $0.source.rawValue, isSensitive: $0.key.isSensitive)
      }
    }
    return answer
  }
}

/// Replicas that a client has placed itself: there is one broker to place them on.
enum ReplicaAssignment {
  static func check(_ brokerIds: [Int32], nodeId: Int32) throws(TopicRejection) {
    guard !brokerIds.isEmpty else {
      throw TopicRejection(
        .invalidReplicaAssignment,
        "The manual partition assignment includes an empty replica list.")
    }
    guard Set(brokerIds).count == brokerIds.count else {
      throw TopicRejection(
        .invalidReplicaAssignment,
        "The manual partition assignment includes the broker \(brokerIds[0]) more than once.")
    }
    if let unknown = brokerIds.first(where: { $0 != nodeId }) {
      throw TopicRejection(
        .invalidReplicaAssignment,
        "The manual partition assignment includes broker \(unknown), but no such broker is "
          + "registered.")
    }
  }
}
