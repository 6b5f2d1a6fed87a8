// Two configurations side by side: what differs, and a mixture of both, for a process that takes
// some values of a changed file over while it runs and keeps the others until it starts again.

/// One configuration whose value differs.
public struct ConfigurationChange: Equatable, Sendable {
  public var name: String
  /// As text, nil for null; a password is never shown.
  public var before: String?
  public var after: String?

  /// `max.connections=200 (was 100)`
  public var description: String { "\(name)=\(after ?? "null") (was \(before ?? "null"))" }
}

extension BrokerConfiguration {
  /// What differs from `other`, in the order of the tables. A value that was a default before and is
  /// written out now does not.
  public func changes(since other: BrokerConfiguration) -> [ConfigurationChange] {
    BrokerKeys.all.compactMap { key in
      guard values.value(key.name) != other.values.value(key.name) else { return nil }
      func shown(_ configuration: BrokerConfiguration) -> String? {
        key.isSensitive ? "[hidden]" : configuration.text(of: key.name)
      }
      return ConfigurationChange(name: key.name, before: shown(other), after: shown(self))
    }
  }

  /// This configuration with the values that `other` has for `names`, and with what was set in it at
  /// run time.
  /// - Throws: the mixture breaks a rule between values that neither of the two breaks.
  public func taking(_ names: some Sequence<String>, from other: BrokerConfiguration)
    throws(ConfigurationError) -> BrokerConfiguration
  {
    var mixed = values
    for name in names { mixed.take(name, from: other.values) }
    mixed.takeDynamic(from: other.values)
    return try BrokerConfiguration(mixed)
  }
}
