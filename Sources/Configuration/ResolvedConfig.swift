// A configuration with its value and where that comes from, as DescribeConfigs tells it, for topics
// and for the broker.

/// Where DescribeConfigs says that a value comes from. The raw values are Kafka's.
public enum ConfigSource: Int8, Sendable {
  case dynamicTopicConfig = 1
  case dynamicBrokerConfig = 2
  case dynamicDefaultBrokerConfig = 3
  case staticBrokerConfig = 4
  case defaultConfig = 5
}

/// A value under one of the names that stand for a configuration.
public struct ConfigSynonym: Hashable, Sendable {
  public var name: String
  public var value: String?
  public var source: ConfigSource

  public init(name: String, value: String?, source: ConfigSource) {
    self.name = name
    self.value = value
    self.source = source
  }
}

/// One configuration of a topic or a broker, resolved.
public struct ResolvedConfig: Sendable {
  public var key: ConfigurationKey
  /// As Kafka writes it; nil for null. Passwords are not hidden here.
  public var value: String?
  public var source: ConfigSource
  /// Every name that has a value, the one that counts first.
  public var synonyms: [ConfigSynonym]
}

extension BrokerConfiguration {
  /// Every place that sets one of `names`, the one that counts first: what was set at run time
  /// before the file, the file before Kafka's defaults. As in Kafka, places of other names do not
  /// show before the first place of the first name.
  func synonyms(of name: String, among names: [String]) -> [ConfigSynonym] {
    func places(_ source: ConfigSource, _ text: (String) -> String?) -> [ConfigSynonym] {
      names.compactMap { name in
        text(name).map { ConfigSynonym(name: name, value: $0, source: source) }
      }
    }
    func set(_ value: SetValue?) -> String? { value?.text.trimmingWhitespace() }
    let all =
      places(.dynamicBrokerConfig) { set(values.perBroker[$0]) }
      + places(.dynamicDefaultBrokerConfig) { set(values.clusterWide[$0]) }
      + places(.staticBrokerConfig) { set(values.set[$0]) }
      + places(.defaultConfig) { BrokerKeys.named($0)?.defaultText }
    return Array(all.drop { $0.name != name })
  }

  /// Every configuration of this broker that clients are told of. Names that Kafka 4 does not have
  /// are told when they are set.
  public var resolved: [ResolvedConfig] {
    BrokerKeys.all.filter { $0.effect != .accepted(.removed) || setValue(of: $0.name) != nil }
      .map { key in
        let synonyms = synonyms(of: key.name, among: DynamicBrokerKeys.names(of: key.name))
        return ResolvedConfig(
          key: key, value: text(of: key.name), source: synonyms.first?.source ?? .defaultConfig,
          synonyms: synonyms)
      }
  }

  /// What was set at run time for all brokers.
  public var resolvedClusterWide: [ResolvedConfig] {
    values.clusterWide.sorted { $0.key < $1.key }.compactMap { name, set in
      guard let key = BrokerKeys.named(name) else { return nil }
      let synonyms = synonyms(of: name, among: DynamicBrokerKeys.names(of: name))
        .filter { $0.source == .dynamicDefaultBrokerConfig }
      return ResolvedConfig(
        key: key, value: set.value.text, source: .dynamicDefaultBrokerConfig, synonyms: synonyms)
    }
  }
}
