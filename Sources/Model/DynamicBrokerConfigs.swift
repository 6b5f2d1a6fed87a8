// Broker configurations that were set while the broker ran (KIP-226), as text, by Kafka's names. The
// coordinator keeps them and sends all of them to every process that acts on one; each process puts
// them on top of what its file says.

/// Which brokers a configuration was set for.
public enum DynamicConfigScope: Hashable, Sendable {
  /// One broker: DYNAMIC_BROKER_CONFIG.
  case perBroker
  /// Every broker that has no value of its own: DYNAMIC_DEFAULT_BROKER_CONFIG.
  case clusterWide
}

/// What was set at run time for one broker.
public struct DynamicBrokerConfigs: Hashable, Sendable {
  public var clusterWide: [String: String]
  public var perBroker: [String: String]

  public init(clusterWide: [String: String] = [:], perBroker: [String: String] = [:]) {
    self.clusterWide = clusterWide
    self.perBroker = perBroker
  }

  public subscript(scope: DynamicConfigScope) -> [String: String] {
    get { scope == .perBroker ? perBroker : clusterWide }
    set { if scope == .perBroker { perBroker = newValue } else { clusterWide = newValue } }
  }
}
