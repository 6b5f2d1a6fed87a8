// From a topic's configurations to what the logwriter and the image need of them.

import Configuration
import IPC
import Model

/// A topic's configurations as the data path needs them.
struct TopicSettings: Equatable {
  var log: LogConfig
  var image: ImageSettings
}

/// The part that frontends and fetchers are told.
struct ImageSettings: Equatable {
  var maxMessageBytes: Int32
  var logAppendTime: Bool
  var timestampBeforeMaxMs: Int64
  var timestampAfterMaxMs: Int64
  var requiresKeys: Bool
  var minInsyncReplicas: Int32
  var compression: TopicCompression
}

final class TopicConfigs {
  /// What topics do not set comes from here.
  var broker: BrokerConfiguration {
    didSet { resolved.removeAll() }
  }
  /// Most topics set nothing: the last answers are kept.
  private var resolved: [[String: String]: TopicSettings] = [:]
  private static let resolvedMax = 64

  init(_ broker: BrokerConfiguration) { self.broker = broker }

  /// What is wrong with the configurations of a topic, or nil.
  func violation(_ configs: [String: String]) -> String? {
    TopicConfiguration.violation(inOverrides: configs, broker: broker)
  }

  func configuration(_ topic: Topic) -> TopicConfiguration {
    TopicConfiguration(overrides: topic.configs, broker: broker)
  }

  func settings(_ configs: [String: String]) -> TopicSettings {
    if let known = resolved[configs] { return known }
    let topic = TopicConfiguration(overrides: configs, broker: broker)
    let settings = TopicSettings(log: LogConfig(topic), image: ImageSettings(topic))
    if resolved.count >= Self.resolvedMax { resolved.removeAll() }
    resolved[configs] = settings
    return settings
  }

  /// The configurations of `__consumer_offsets`, as Kafka creates it.
  var offsetsTopic: [String: String] {
    [
      "cleanup.policy": "compact", "compression.type": "producer",
      "segment.bytes": "\(broker.offsetsTopicSegmentBytes)",
    ]
  }
}

extension TopicConfigs {
  /// For a topic that was found on disk and whose configuration nobody knows: what Kafka's groups need,
  /// and for all others nothing that would delete records which the operator wanted kept.
  func adopted(_ name: String) -> [String: String] {
    name == GroupCoordinator.topicName
      ? offsetsTopic : ["retention.ms": "-1", "retention.bytes": "-1"]
  }
}

extension ImageSettings {
  init(_ topic: TopicConfiguration) {
    maxMessageBytes = Int32(clamping: topic.maxMessageBytes)
    logAppendTime = topic.messageTimestampType == .logAppendTime
    timestampBeforeMaxMs = topic.messageTimestampBeforeMaxMs
    timestampAfterMaxMs = topic.messageTimestampAfterMaxMs
    requiresKeys = topic.isCompacted
    minInsyncReplicas = topic.minInsyncReplicas
    compression = topic.compression
  }
}

extension LogConfig {
  init(_ topic: TopicConfiguration) {
    self.init()
    segmentBytes = Int32(clamping: topic.segmentBytes)
    segmentMs = topic.segmentMs
    segmentJitterMs = topic.segmentJitterMs
    segmentIndexBytes = Int32(clamping: topic.segmentIndexBytes)
    indexIntervalBytes = Int32(clamping: topic.indexIntervalBytes)
    maxMessageBytes = Int32(clamping: topic.maxMessageBytes)
    logAppendTime = topic.messageTimestampType == .logAppendTime
    timestampBeforeMaxMs = topic.messageTimestampBeforeMaxMs
    timestampAfterMaxMs = topic.messageTimestampAfterMaxMs
    deletes = topic.isDeleted
    compacts = topic.isCompacted
    retentionMs = topic.retentionMs ?? -1
    retentionBytes = topic.retentionBytes ?? -1
    fileDeleteDelayMs = topic.fileDeleteDelayMs
    minCleanableDirtyRatio = topic.minCleanableDirtyRatio
    minCompactionLagMs = topic.minCompactionLagMs
    maxCompactionLagMs = topic.maxCompactionLagMs
    deleteRetentionMs = topic.deleteRetentionMs
    flushMessages = topic.flushMessages
    flushMs = topic.flushMs
    acksAllDurable = topic.acksAllDurable
    preallocate = topic.preallocate
  }
}
