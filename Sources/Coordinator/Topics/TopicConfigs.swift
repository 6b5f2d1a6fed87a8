// From a topic's configurations to what the logwriter and the image need of them.

import Configuration
import Model

final class TopicConfigs {
  var broker: BrokerConfiguration {
    didSet { resolved.removeAll() }
  }
  /// Most topics set nothing: the last answers are kept.
  private var resolved: [[String: String]: LogConfig] = [:]
  private static let resolvedMax = 64

  init(_ broker: BrokerConfiguration) { self.broker = broker }

  /// What is wrong with the configurations of a new topic, or nil.
  func violation(_ configs: [String: String]) -> String? {
    TopicConfiguration.violation(inOverrides: configs, broker: broker)
  }

  func configuration(_ topic: Topic) -> TopicConfiguration {
    TopicConfiguration(overrides: topic.configs, broker: broker)
  }

  func logConfig(_ configs: [String: String]) -> LogConfig {
    if let known = resolved[configs] { return known }
    let config = LogConfig(TopicConfiguration(overrides: configs, broker: broker))
    if resolved.count >= Self.resolvedMax { resolved.removeAll() }
    resolved[configs] = config
    return config
  }

  /// The configurations of `__consumer_offsets`, as Kafka creates it.
  var offsetsTopic: [String: String] {
    [
      "cleanup.policy": "compact", "compression.type": "producer",
      "segment.bytes": "\(broker.offsetsTopicSegmentBytes)",
    ]
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
    flushMessages = topic.flushMessages
    flushMs = topic.flushMs
  }
}
