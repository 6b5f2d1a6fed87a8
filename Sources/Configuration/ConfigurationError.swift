// What is wrong with a configuration, said so that it can be put right: where it stands, the name,
// the value, and what would be allowed.

import Model

/// Where a value came from.
public enum ConfigurationSource: Hashable, Sendable, CustomStringConvertible {
  /// A line of a file, counted from 1.
  case file(String, line: Int)
  /// A `--override` on the command line.
  case override
  /// A client, while the broker ran.
  case dynamic(DynamicConfigScope)
  /// Nobody set it.
  case defaultValue

  public var description: String {
    switch self {
    case .file(let name, let line): "\(name):\(line)"
    case .override: "--override"
    case .dynamic(.perBroker): "set at run time for this broker"
    case .dynamic(.clusterWide): "set at run time for all brokers"
    case .defaultValue: "default"
    }
  }
}

/// Why a configuration is refused.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
  public var source: ConfigurationSource
  /// The configuration's name, if the fault lies with one.
  public var key: String?
  /// The value as it was written; nil for passwords and where there is none.
  public var value: String?
  /// What is wrong and what is allowed.
  public var reason: String

  public init(source: ConfigurationSource, key: String?, value: String?, reason: String) {
    self.source = source
    self.key = key
    self.value = value
    self.reason = reason
  }

  public var description: String {
    let setting = key.map { key in " \(key)" + (value.map { "=\($0)" } ?? "") + ":" } ?? ""
    return "\(source):\(setting) \(reason)"
  }
}
