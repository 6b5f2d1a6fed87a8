// The values that were set, checked one by one. `BrokerConfiguration` adds what holds between them.

import Model

/// One value as it was set.
public struct SetValue: Hashable, Sendable {
  public var text: String
  public var value: ConfigurationValue
  public var source: ConfigurationSource
}

/// What a file and the command line set, by name, what was set at run time on top of it, and the
/// defaults of the rest.
struct BrokerValues: Sendable {
  /// From the file and the command line.
  private(set) var set: [String: SetValue] = [:]
  /// From clients, for all brokers and for this one.
  private(set) var clusterWide: [String: SetValue] = [:]
  private(set) var perBroker: [String: SetValue] = [:]
  /// Accepted names, with the reason, in the order in which they were set.
  private(set) var accepted: [(name: String, reason: AcceptedReason)] = []

  /// Takes one setting; a later one replaces an earlier one.
  mutating func add(
    _ name: String, _ text: String, source: ConfigurationSource
  ) throws(ConfigurationError) {
    guard let key = BrokerKeys.named(name) else {
      try addUnnamed(name, text, source: source)
      return
    }
    let value = try Self.checked(key, name: name, text, source: source)
    switch key.effect {
    case .used: break
    case .accepted(let reason): accept(name, reason)
    case .refused(let reason):
      if value != key.defaultValue {
        throw ConfigurationError(
          source: source, key: name, value: key.isSensitive ? nil : text,
          reason: "\(reason); leave it out, or set it to '\(key.defaultText ?? "")'")
      }
    }
    set[name] = SetValue(text: text, value: value, source: source)
  }

  /// Takes a value that was set at run time and that `DynamicBrokerKeys` has nothing against.
  mutating func add(dynamic name: String, _ text: String, _ scope: DynamicConfigScope) {
    guard let key = BrokerKeys.named(name), case .success(let value) = key.parse(text) else {
      preconditionFailure("\(name) was not checked")
    }
    let set = SetValue(text: text, value: value, source: .dynamic(scope))
    if scope == .perBroker { perBroker[name] = set } else { clusterWide[name] = set }
  }

  /// Has what was set at run time in `other`.
  mutating func takeDynamic(from other: BrokerValues) {
    clusterWide = other.clusterWide
    perBroker = other.perBroker
  }

  mutating func removeDynamic() {
    clusterWide = [:]
    perBroker = [:]
  }

  private mutating func addUnnamed(
    _ name: String, _ text: String, source: ConfigurationSource
  ) throws(ConfigurationError) {
    if let key = BrokerKeys.ofListener(name) {
      _ = try Self.checked(key, name: name, text, source: source)
      accept(name, .notServedYet)
    } else if BrokerKeys.isOfPlugIn(name) {
      accept(name, .notServedYet)
    } else {
      let hint = BrokerKeys.nearest(to: name).map { "; did you mean \($0)?" } ?? ""
      throw ConfigurationError(
        source: source, key: name, value: nil,
        reason: "there is no broker configuration of this name in Kafka 4.1\(hint)")
    }
  }

  /// Has for `name` what `other` has.
  mutating func take(_ name: String, from other: BrokerValues) { set[name] = other.set[name] }

  private mutating func accept(_ name: String, _ reason: AcceptedReason) {
    if !accepted.contains(where: { $0.name == name }) { accepted.append((name, reason)) }
  }

  private static func checked(
    _ key: ConfigurationKey, name: String, _ text: String, source: ConfigurationSource
  ) throws(ConfigurationError) -> ConfigurationValue {
    switch key.parse(text) {
    case .success(let value): return value
    case .failure(let violation):
      let allowed = key.rule.explanation.map { " (\($0))" } ?? ""
      throw ConfigurationError(
        source: source, key: name, value: key.isSensitive ? nil : text,
        reason: violation.reason + allowed)
    }
  }
}

// Reading. The names are those of our own code: one that is not in the tables is our bug.
extension BrokerValues {
  /// What counts of all that was set as `name`.
  func effective(_ name: String) -> SetValue? {
    perBroker[name] ?? clusterWide[name] ?? set[name]
  }

  func isSet(_ name: String) -> Bool { effective(name) != nil }

  func source(of name: String) -> ConfigurationSource { effective(name)?.source ?? .defaultValue }

  func value(_ name: String) -> ConfigurationValue {
    if let value = effective(name) { return value.value }
    guard let key = BrokerKeys.named(name) else {
      preconditionFailure("no broker configuration is called \(name)")
    }
    return key.defaultValue
  }

  func integer(_ name: String) -> Int64? {
    switch value(name) {
    case .integer(let number): return number
    case .null: return nil
    default: preconditionFailure("\(name) is not a number")
    }
  }

  func boolean(_ name: String) -> Bool {
    guard case .boolean(let flag) = value(name) else {
      preconditionFailure("\(name) is no boolean")
    }
    return flag
  }

  func string(_ name: String) -> String? {
    switch value(name) {
    case .string(let text): return text
    case .null: return nil
    default: preconditionFailure("\(name) is not a string")
    }
  }

  func list(_ name: String) -> [String] {
    guard case .list(let items) = value(name) else { preconditionFailure("\(name) is not a list") }
    return items
  }

  /// An error about what was set as `name`.
  func error(_ name: String, _ reason: String) -> ConfigurationError {
    ConfigurationError(
      source: source(of: name), key: name, value: effective(name)?.text, reason: reason)
  }
}
