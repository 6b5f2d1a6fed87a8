// The configuration of one topic: what it sets itself, else what the broker's file sets, else
// Kafka's default. Also the checks on what a client wants to set and the answers to DescribeConfigs.

import Model

/// The configuration of one topic.
public struct TopicConfiguration: Sendable {
  /// What the topic sets itself, by name.
  public let overrides: [String: String]
  private let broker: BrokerConfiguration

  /// - Parameter overrides: what `violation(inOverrides:)` finds nothing wrong with. Names and
  ///   values that are not valid all the same, as in a store of a newer version, do not count.
  public init(overrides: [String: String] = [:], broker: BrokerConfiguration) {
    self.overrides = overrides.filter { name, text in
      guard let key = TopicKeys.named(name)?.key, case .success = key.parse(text) else {
        return false
      }
      return true
    }
    self.broker = broker
  }

  /// What is wrong with one setting, in Kafka's words, or nil. It goes with INVALID_CONFIG.
  public static func violation(name: String, value: String?) -> String? {
    guard let key = TopicKeys.named(name)?.key else { return "Unknown topic config name: \(name)" }
    guard let value else { return "Null value not supported for topic configs: \(name)" }
    switch key.parse(value) {
    case .failure(let violation):
      return "Invalid value \(value) for configuration \(name): \(violation.reason)"
    case .success(let parsed):
      if case .refused(let reason) = key.effect, parsed != key.defaultValue { return reason }
      return nil
    }
  }

  /// What is wrong with all of a topic's settings together, or nil. It goes with INVALID_CONFIG.
  public static func violation(
    inOverrides overrides: [String: String], broker: BrokerConfiguration
  ) -> String? {
    for (name, value) in overrides.sorted(by: { $0.key < $1.key }) {
      if let reason = violation(name: name, value: value) { return reason }
    }
    let topic = TopicConfiguration(overrides: overrides, broker: broker)
    let low = topic.integer("min.compaction.lag.ms")
    let high = topic.integer("max.compaction.lag.ms")
    guard low <= high else {
      return "conflict topic config setting min.compaction.lag.ms (\(low)) > "
        + "max.compaction.lag.ms (\(high))"
    }
    return nil
  }

  /// The configuration called `name` with its source, or nil when there is none of that name.
  public func resolve(_ name: String) -> ResolvedConfig? {
    guard let topicKey = TopicKeys.named(name) else { return nil }
    var synonyms: [ConfigSynonym] = []
    if overrides[name] != nil {
      synonyms.append(
        ConfigSynonym(name: name, value: text(of: topicKey), source: .dynamicTopicConfig))
    }
    if let first = topicKey.synonyms.first?.name {
      synonyms += broker.synonyms(of: first, among: topicKey.synonyms.map(\.name))
    }
    return ResolvedConfig(
      key: topicKey.key, value: text(of: topicKey),
      source: synonyms.first?.source ?? .defaultConfig,
      synonyms: synonyms)
  }

  /// Every configuration that clients are told of, with its source, by name.
  public var resolved: [ResolvedConfig] {
    TopicKeys.all.filter { !$0.isInternal }.compactMap { resolve($0.name) }
  }

  private func text(of topicKey: TopicKey) -> String? {
    if let text = overrides[topicKey.name] {
      guard case .success(let value) = topicKey.key.parse(text) else { return text }
      return value.text
    }
    for (name, factor) in topicKey.synonyms {
      guard let set = broker.setValue(of: name) else { continue }
      return Self.convert(set.value, factor: factor)
    }
    return topicKey.key.defaultText
  }

  /// A broker's value in the topic's unit. -1, which is no limit, stays what it is.
  private static func convert(_ value: ConfigurationValue, factor: Int64) -> String? {
    guard factor != 1, case .integer(let number) = value, number > 0 else { return value.text }
    return "\(number * factor)"
  }
}

// Reading. The names are those of our own code.
extension TopicConfiguration {
  func value(_ name: String) -> ConfigurationValue {
    guard let topicKey = TopicKeys.named(name) else {
      preconditionFailure("no topic configuration is called \(name)")
    }
    guard let text = text(of: topicKey) else { return .null }
    // A broker's value obeys the broker's rule, which for a few names is not the topic's.
    guard case .success(let value) = topicKey.key.parse(text) else {
      return topicKey.key.defaultValue
    }
    return value
  }

  func integer(_ name: String) -> Int64 {
    guard case .integer(let number) = value(name) else { preconditionFailure("\(name): no number") }
    return number
  }
}
