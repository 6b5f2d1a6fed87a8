// Every broker configuration of Apache Kafka 4.1, and our own few, in tables by subject; and how a
// name is found.
// The tables hold facts of Kafka's documentation (names, types, defaults, ranges, update modes);
// the last two columns are ours.

/// The broker configurations.
public enum BrokerKeys {
  /// All of them, by subject.
  public static let all: [ConfigurationKey] =
    network + topics + log + logCleaner + groups + otherGroups + transactions + replication
    + controller + server + quotas + tieredStorage + ssl + sasl + oauth + removed
    + sluice

  private static let byName: [String: ConfigurationKey] = Dictionary(
    uniqueKeysWithValues: all.map { ($0.name, $0) })

  /// The configuration called `name`, or nil.
  public static func named(_ name: String) -> ConfigurationKey? { byName[name] }

  /// The known name that `name` may have been meant to be, or nil.
  public static func nearest(to name: String) -> String? {
    NearestName.of(name, among: all.map(\.name))
  }

  /// What `listener.name.<listener>.<name>` sets for one listener, or nil when `name` is not of
  /// that form. SASL names have the mechanism in between.
  static func ofListener(_ name: String) -> ConfigurationKey? {
    let prefix = "listener.name."
    guard name.hasPrefix(prefix) else { return nil }
    var rest = name.dropFirst(prefix.count)
    for _ in 0..<2 {
      guard let dot = rest.firstIndex(of: ".") else { return nil }
      rest = rest[rest.index(after: dot)...]
      if let key = named(String(rest)) { return key }
    }
    return nil
  }

  /// Whether `name` is a setting of a plug-in, which only that plug-in knows.
  static func isOfPlugIn(_ name: String) -> Bool {
    ["rsm.config.", "rlmm.config."].contains { name.hasPrefix($0) }
  }
}
