// The operations of IncrementalAlterConfigs (KIP-339), on the settings of one resource.

import Model

/// What to do with one configuration. The raw values are those of Kafka's AlterConfigOp.
public enum ConfigOperation: Int8, Sendable {
  case set = 0
  case delete = 1
  /// Adds to a list what it does not have yet.
  case append = 2
  /// Takes out of a list what it has.
  case subtract = 3
}

public struct ConfigAlteration: Hashable, Sendable {
  public var name: String
  public var operation: ConfigOperation
  /// nil with `delete` only.
  public var value: String?

  public init(name: String, operation: ConfigOperation, value: String?) {
    self.name = name
    self.operation = operation
    self.value = value
  }
}

/// Whose settings are altered: what a list is and what it begins with differ.
public enum AlteredResource: Sendable {
  case topic
  case broker

  func key(_ name: String) -> ConfigurationKey? {
    switch self {
    case .topic: TopicKeys.named(name)?.key
    case .broker: DynamicBrokerKeys.key(name)
    }
  }
}

extension ConfigAlteration {
  /// Carries the alteration out. A list that is not set begins with Kafka's default, not with what a
  /// file says: that is how Kafka does it.
  public func apply(
    to settings: inout [String: String], of resource: AlteredResource
  ) -> ConfigRefusal? {
    switch operation {
    case .set: settings[name] = value
    case .delete: settings[name] = nil
    case .append, .subtract:
      guard let key = resource.key(name), key.type == .list else { return noList(resource) }
      var items = Self.items(settings[name] ?? key.defaultText ?? "")
      for item in Self.items(value ?? "") {
        if operation == .subtract {
          if let index = items.firstIndex(of: item) { items.remove(at: index) }
        } else if !items.contains(item) {
          items.append(item)
        }
      }
      settings[name] = items.joined(separator: ",")
    }
    return nil
  }

  private func noList(_ resource: AlteredResource) -> ConfigRefusal {
    switch resource {
    case .topic:
      ConfigRefusal(
        .invalidConfig,
        "Can't \(operation == .append ? "APPEND" : "SUBTRACT") to key \(name) because its type is "
          + "not LIST.")
    case .broker where resource.key(name) == nil:
      ConfigRefusal(.invalidConfig, "Unknown config name: \(name)")
    case .broker:
      ConfigRefusal(
        .invalidConfig,
        "Config value \(operation == .append ? "append" : "subtract") is not allowed for config "
          + "key: \(name)")
    }
  }

  private static func items(_ text: String) -> [String] {
    text.split(separator: ",").map { String($0).trimmingWhitespace() }.filter { !$0.isEmpty }
  }
}
