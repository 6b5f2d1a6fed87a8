// What a new topic has to satisfy, whoever wants it: a client with CreateTopics, a client that asks
// for metadata, or the groups for their offsets. Messages are Kafka's.

import Configuration
import Model
import Service

/// Why a topic is not created.
struct TopicRejection: Error, Equatable {
  var error: ErrorCode
  var message: String

  init(_ error: ErrorCode, _ message: String) {
    self.error = error
    self.message = message
  }
}

enum TopicCreation {
  /// Partitions that one request may create, as in Kafka.
  static let partitionsPerRequestMax = 10_000
  /// Partitions that the scoreboard has room for, with some to spare for those being deleted.
  static let partitionsMax = 120_000

  /// What is wrong with a new topic's name, given what is there.
  static func check(name: String, in state: MetadataState) throws(TopicRejection) {
    if let violation = TopicName.violation(of: name) {
      throw TopicRejection(.invalidTopicException, "Topic name is invalid: \(violation)")
    }
    if name == TopicName.clusterMetadata {
      throw TopicRejection(
        .invalidRequest, "Creation of internal topic \(name) is prohibited.")
    }
    if state.topic(name) != nil {
      throw TopicRejection(.topicAlreadyExists, "Topic '\(name)' already exists.")
    }
    if let other = state.collision(with: name) {
      throw TopicRejection(
        .invalidTopicException, "Topic '\(name)' collides with existing topic: \(other)")
    }
  }

  static func checkRoom(for partitions: Int, in state: MetadataState) throws(TopicRejection) {
    guard state.partitionCount + partitions <= partitionsMax else {
      throw TopicRejection(
        .policyViolation, "This broker holds at most \(partitionsMax) partitions.")
    }
  }

  static func topic(_ name: String, partitions: Int, configs: [String: String]) -> Topic {
    Topic(
      name: name, id: .random(), leaderEpochs: [Int32](repeating: 0, count: partitions),
      configs: configs, unconfirmed: Set(0..<partitions))
  }

  /// Creates topics that nobody asked for by name: with the broker's defaults, or, for the offsets
  /// topic, with those of groups.
  /// - Parameter then: is told the error of every topic that is not there now.
  static func createAutomatically(
    _ names: [String], _ broker: Broker, then: @escaping ([String: ErrorCode]) -> Void
  ) {
    guard broker.topics.knowsDisk else {
      return then(Dictionary(uniqueKeysWithValues: names.map { ($0, .leaderNotAvailable) }))
    }
    var errors: [String: ErrorCode] = [:]
    var topics: [Topic] = []
    var metricNames: Set<String> = []
    for name in names {
      let topic = automatic(name, broker)
      do throws(TopicRejection) {
        try check(name: name, in: broker.topics.state)
        guard metricNames.insert(MetadataState.metricName(name)).inserted else {
          throw TopicRejection(.invalidTopicException, "")
        }
        try checkRoom(
          for: topic.partitionCount + topics.reduce(0) { $0 + $1.partitionCount },
          in: broker.topics.state)
        if broker.configuration.defaultReplicationFactor > 1, !topic.isInternal {
          throw TopicRejection(.invalidReplicationFactor, "")
        }
        topics.append(topic)
      } catch { errors[name] = error.error }
    }
    if topics.isEmpty { return then(errors) }
    broker.topics.put(topics, timeoutMs: Broker.autoCreateTimeoutMs) { result in
      switch result {
      case .failure(let error):
        broker.log.event(.metadataRefused, "topics cannot be recorded: \(error)")
        for topic in topics { errors[topic.name] = .leaderNotAvailable }
      case .success(let outcomes):
        for topic in topics where outcomes[topic.id] != .placed {
          errors[topic.name] = .leaderNotAvailable
        }
      }
      then(errors)
    }
  }

  private static func automatic(_ name: String, _ broker: Broker) -> Topic {
    if name == GroupCoordinator.topicName {
      return topic(
        name, partitions: Int(broker.configuration.offsetsTopicNumPartitions),
        configs: broker.topics.configs.offsetsTopic)
    }
    return topic(name, partitions: Int(broker.configuration.numPartitions), configs: [:])
  }
}
