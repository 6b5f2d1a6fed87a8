// What is known about one configuration name. The tables of names (`BrokerKeys`, `TopicKeys`) are
// made of these; checking a value, explaining it and answering DescribeConfigs all read the same
// entry.

/// The type of a configuration's values. The raw value is the one of Kafka's DescribeConfigs.
public enum ConfigurationType: Int8, Sendable {
  case boolean = 1
  case string = 2
  case int = 3
  case short = 4
  case long = 5
  case double = 6
  case list = 7
  case `class` = 8
  case password = 9
}

/// Who may change a configuration while the broker runs.
public enum UpdateMode: Sendable {
  /// Only with a restart.
  case readOnly
  /// For one broker.
  case perBroker
  /// For one broker, or for all of them at once.
  case clusterWide
}

/// What a value does here.
public enum ConfigurationEffect: Hashable, Sendable {
  /// Sluice acts on it.
  case used
  /// It is taken, and a log line says that and why nothing follows from it.
  case accepted(AcceptedReason)
  /// Any value but the default is refused, because to go on without its effect would be unsafe.
  case refused(String)
}

/// Why a configuration that Kafka knows has no effect here.
public enum AcceptedReason: String, CaseIterable, Sendable {
  case notEnforcedYet = "not enforced yet"
  case notServedYet = "of a feature that is not served yet"
  case singleBroker = "there is one broker and no replication"
  case noController = "there is no controller quorum"
  case processes = "there are processes instead of threads"
  case otherDesign = "nothing here works that way"
  case java = "only for Java"
  case removed = "removed from Kafka 4"
}

/// One configuration name.
public struct ConfigurationKey: Sendable {
  public let name: String
  public let type: ConfigurationType
  /// Kafka's default as text, or nil for null.
  public let defaultText: String?
  public let rule: ConfigurationRule
  public let updateMode: UpdateMode
  public let effect: ConfigurationEffect
  /// What it means, in a sentence.
  public let documentation: String

  /// Whether its values are never shown.
  public var isSensitive: Bool { type == .password }
}

// The tables are written with these: name, default, rule, update mode, effect, documentation.
extension ConfigurationKey {
  static func boolean(
    _ name: String, _ value: Bool, _ mode: UpdateMode, _ effect: ConfigurationEffect,
    _ documentation: String
  ) -> ConfigurationKey {
    ConfigurationKey(
      name: name, type: .boolean, defaultText: value ? "true" : "false", rule: .any,
      updateMode: mode, effect: effect, documentation: documentation)
  }

  static func int(
    _ name: String, _ value: Int64?, _ rule: ConfigurationRule, _ mode: UpdateMode,
    _ effect: ConfigurationEffect, _ documentation: String
  ) -> ConfigurationKey {
    ConfigurationKey(
      name: name, type: .int, defaultText: value.map { "\($0)" }, rule: rule, updateMode: mode,
      effect: effect, documentation: documentation)
  }

  static func short(
    _ name: String, _ value: Int64?, _ rule: ConfigurationRule, _ mode: UpdateMode,
    _ effect: ConfigurationEffect, _ documentation: String
  ) -> ConfigurationKey {
    ConfigurationKey(
      name: name, type: .short, defaultText: value.map { "\($0)" }, rule: rule, updateMode: mode,
      effect: effect, documentation: documentation)
  }

  static func long(
    _ name: String, _ value: Int64?, _ rule: ConfigurationRule, _ mode: UpdateMode,
    _ effect: ConfigurationEffect, _ documentation: String
  ) -> ConfigurationKey {
    ConfigurationKey(
      name: name, type: .long, defaultText: value.map { "\($0)" }, rule: rule, updateMode: mode,
      effect: effect, documentation: documentation)
  }

  static func double(
    _ name: String, _ value: String, _ rule: ConfigurationRule, _ mode: UpdateMode,
    _ effect: ConfigurationEffect, _ documentation: String
  ) -> ConfigurationKey {
    ConfigurationKey(
      name: name, type: .double, defaultText: value, rule: rule, updateMode: mode, effect: effect,
      documentation: documentation)
  }

  /// A string, a list, a class or a password, by `type`.
  static func text(
    _ type: ConfigurationType, _ name: String, _ value: String?, _ rule: ConfigurationRule,
    _ mode: UpdateMode, _ effect: ConfigurationEffect, _ documentation: String
  ) -> ConfigurationKey {
    ConfigurationKey(
      name: name, type: type, defaultText: value, rule: rule, updateMode: mode, effect: effect,
      documentation: documentation)
  }
}
