// Which broker configurations may change while the broker runs. The update modes in the tables are
// Kafka's; here is what they do not say.

import Model

enum DynamicBrokerKeys {
  /// What `name` sets, for all listeners or for one.
  static func key(_ name: String) -> ConfigurationKey? {
    BrokerKeys.named(name) ?? BrokerKeys.ofListener(name)
  }

  /// Whether `name` is one of those that Kafka changes for single listeners only.
  static func needsListener(_ name: String) -> Bool {
    name.hasPrefix("ssl.") && BrokerKeys.named(name)?.updateMode == .perBroker
  }

  /// Why nothing would follow from setting `name`, or nil when something does, or when nothing does
  /// in a Kafka of one broker either.
  static func withoutEffect(_ name: String) -> String? {
    guard let key = BrokerKeys.named(name) else {
      return refusal(name, AcceptedReason.notServedYet.rawValue)
    }
    if let reason = boundAtStart[name] { return refusal(name, reason) }
    switch key.effect {
    case .used, .accepted(.singleBroker): return nil
    case .accepted(let reason): return refusal(name, reason.rawValue)
    case .refused(let reason): return "\(name): \(reason)"
    }
  }

  private static func refusal(_ name: String, _ reason: String) -> String {
    "\(name) cannot be changed while the broker runs: \(reason)"
  }

  /// Listening sockets are made by systemd or `sluice up`, before any process of the broker begins.
  private static let boundAtStart = [
    "listeners": "its sockets are bound before the broker starts; change the file and restart",
    "listener.security.protocol.map":
      "listeners are set up when the broker starts; change the file and restart",
  ]

  /// Other names of the same setting, the one that counts most first (`brokerConfigSynonyms`).
  static func names(of name: String) -> [String] {
    families.first { $0.readers.contains(name) }?.names ?? [name]
  }

  private static let families: [(readers: [String], names: [String])] = [
    (["log.roll.ms", "log.roll.hours"], ["log.roll.ms", "log.roll.hours"]),
    (
      ["log.roll.jitter.ms", "log.roll.jitter.hours"],
      ["log.roll.jitter.ms", "log.roll.jitter.hours"]
    ),
    (["log.flush.interval.ms"], ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"]),
    (
      ["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
      ["log.retention.ms", "log.retention.minutes", "log.retention.hours"]
    ),
  ]
}
