// Configurations of the broker that are changed while it runs: which may be, what is wrong with a
// change, and the configuration that follows from file and changes together. Where Kafka refuses,
// the words are Kafka's (`DynamicBrokerConfig`); two refusals are ours: a name that nobody knows, and
// a value that nothing here would act on.

import Model

/// Why a change is refused, as clients are told.
public struct ConfigRefusal: Error, Hashable, Sendable {
  public var error: ErrorCode
  public var message: String

  public init(_ error: ErrorCode, _ message: String) {
    self.error = error
    self.message = message
  }
}

extension BrokerConfiguration {
  /// This configuration with `dynamic` on top, in place of what was on top of it before.
  ///
  /// A value that cannot be taken, as in a store of another version, is left out; `ignored` says why.
  public func applying(
    _ dynamic: DynamicBrokerConfigs
  ) -> (configuration: BrokerConfiguration, ignored: [String]) {
    var ignored: [String] = []
    var plain = values
    plain.removeDynamic()
    guard var configuration = try? BrokerConfiguration(plain) else {
      preconditionFailure("a configuration that was valid before is not any more")
    }
    for scope in [DynamicConfigScope.clusterWide, .perBroker] {
      for (name, text) in dynamic[scope].sorted(by: { $0.key < $1.key }) {
        if let refusal = Self.refusal(of: [name: text], scope) {
          ignored.append(refusal.message)
          continue
        }
        var more = configuration.values
        more.add(dynamic: name, text, scope)
        do throws(ConfigurationError) { configuration = try BrokerConfiguration(more) } catch {
          ignored.append("\(name): \(error.reason)")
        }
      }
    }
    return (configuration, ignored)
  }

  /// What is wrong with `dynamic` after the values of `scope` were changed, or nil.
  public func refusal(
    of dynamic: DynamicBrokerConfigs, changed scope: DynamicConfigScope
  ) -> ConfigRefusal? {
    if let refusal = Self.refusal(of: dynamic[scope], scope) { return refusal }
    let (_, ignored) = applying(dynamic)
    return ignored.first.map {
      ConfigRefusal(.invalidRequest, "Invalid dynamic configuration: \($0)")
    }
  }

  /// What is wrong with these values by themselves, or nil.
  private static func refusal(
    of configs: [String: String], _ scope: DynamicConfigScope
  ) -> ConfigRefusal? {
    let names = configs.keys.sorted()
    if let unknown = names.first(where: { DynamicBrokerKeys.key($0) == nil }) {
      let hint = BrokerKeys.nearest(to: unknown).map { "; did you mean \($0)?" } ?? ""
      return ConfigRefusal(.invalidConfig, "Unknown broker config name: \(unknown)\(hint)")
    }
    func refusal(_ rule: String, where breaks: (String, ConfigurationKey) -> Bool) -> ConfigRefusal?
    {
      let broken = names.filter { name in
        DynamicBrokerKeys.key(name).map { breaks(name, $0) } ?? false
      }
      if broken.isEmpty { return nil }
      return ConfigRefusal(.invalidRequest, "\(rule): Set(\(broken.joined(separator: ", ")))")
    }
    if let refused = refusal(
      "Cannot update these configs dynamically", where: { $1.updateMode == .readOnly })
    {
      return refused
    }
    if let refused = refusal(
      "These security configs can be dynamically updated only per-listener using the listener prefix",
      where: { name, _ in DynamicBrokerKeys.needsListener(name) })
    {
      return refused
    }
    for name in names {
      if let reason = violation(name, configs[name] ?? "") { return reason }
    }
    if scope == .clusterWide,
      let refused = refusal(
        "Cannot update these configs at default cluster level, broker id must be specified",
        where: { $1.updateMode == .perBroker })
    {
      return refused
    }
    return names.lazy.compactMap { DynamicBrokerKeys.withoutEffect($0) }.first.map {
      ConfigRefusal(.invalidRequest, $0)
    }
  }

  private static func violation(_ name: String, _ text: String) -> ConfigRefusal? {
    guard let key = DynamicBrokerKeys.key(name) else { return nil }
    switch key.parse(text) {
    case .success: return nil
    case .failure(let violation):
      let shown = key.isSensitive ? "[hidden]" : text
      return ConfigRefusal(
        .invalidRequest, "Invalid value \(shown) for configuration \(name): \(violation.reason)")
    }
  }
}
