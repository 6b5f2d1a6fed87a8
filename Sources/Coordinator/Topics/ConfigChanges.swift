// What one request changes of the configurations of topics and of this broker, worked out resource
// by resource before anything is recorded. A resource sees what those before it in the request have
// changed, so that all of them together are valid when they are recorded in one transaction.

import Configuration
import Model

/// What a request wants of one resource.
enum ConfigChange {
  /// AlterConfigs: these settings and no others.
  case replace([String: String])
  /// IncrementalAlterConfigs.
  case alter([ConfigAlteration])

  func applied(
    to settings: [String: String], of resource: AlteredResource
  ) throws(ConfigRefusal) -> [String: String] {
    switch self {
    case .replace(let new): return new
    case .alter(let alterations):
      var settings = settings
      for alteration in alterations {
        if let refusal = alteration.apply(to: &settings, of: resource) { throw refusal }
      }
      return settings
    }
  }
}

struct ConfigChanges {
  private let state: MetadataState
  private let configs: TopicConfigs
  private let nodeId: Int32
  /// Topics with their new configurations.
  private(set) var topics: [Topic] = []
  private var dynamic: DynamicBrokerConfigs
  private var scopes: Set<DynamicConfigScope> = []

  init(_ broker: Broker) {
    state = broker.topics.state
    configs = broker.topics.configs
    nodeId = broker.nodeId
    dynamic = broker.dynamicConfigs
  }

  var changesBroker: Bool { !scopes.isEmpty }

  /// The records of what was set for the broker.
  var brokerRecords: [MetadataRecord] {
    [DynamicConfigScope.clusterWide, .perBroker].filter(scopes.contains).map {
      .brokerConfigs($0 == .perBroker ? nodeId : nil, dynamic[$0])
    }
  }

  mutating func alter(topic name: String, _ change: ConfigChange) throws(ConfigRefusal) {
    if name.isEmpty {
      throw ConfigRefusal(.invalidRequest, "Default topic resources are not allowed.")
    }
    if let violation = TopicName.violation(of: name) {
      throw ConfigRefusal(.invalidTopicException, "Topic name is invalid: \(violation)")
    }
    let known = state.topic(name)
    let settings = try change.applied(to: known?.configs ?? [:], of: .topic)
    if let violation = configs.violation(settings) {
      throw ConfigRefusal(.invalidConfig, violation)
    }
    guard var topic = known else {
      throw ConfigRefusal(
        .unknownTopicOrPartition, "This server does not host this topic-partition.")
    }
    if topic.configs == settings { return }
    topic.configs = settings
    topics.append(topic)
  }

  /// - Parameter name: this broker's id, or nothing for all brokers.
  mutating func alter(broker name: String, _ change: ConfigChange) throws(ConfigRefusal) {
    if !name.isEmpty {
      guard let id = Int32(name) else {
        throw ConfigRefusal(
          .invalidRequest, "Node id must be an integer, but it is: \(name)")
      }
      guard id == nodeId else {
        throw ConfigRefusal(
          .invalidRequest, "Unexpected broker id, expected \(nodeId), but received \(name)")
      }
    }
    let scope = name.isEmpty ? DynamicConfigScope.clusterWide : .perBroker
    var next = dynamic
    next[scope] = try change.applied(to: next[scope], of: .broker)
    if let refusal = configs.broker.refusal(of: next, changed: scope) { throw refusal }
    if next == dynamic { return }
    dynamic = next
    scopes.insert(scope)
  }
}
