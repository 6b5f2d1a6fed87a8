// What the store says, in memory: which topics there are and which are being deleted. `replay` is
// the only thing that changes it, at start-up and live alike.

import Model

struct MetadataState: Equatable {
  /// The one in `meta.properties` of the first logwriter that came.
  private(set) var clusterId: String?
  /// The first producer id that no block holds.
  private(set) var nextProducerId: Int64 = 0
  private(set) var topicsByName: [String: Topic] = [:]
  private(set) var namesById: [UUID128: String] = [:]
  /// Deleted topics whose logs may still be on disk.
  private(set) var deletions: [UUID128: DeletedTopic] = [:]
  /// Names by what is left of them when '.' and '_' are the same: Kafka's metrics cannot tell such
  /// names apart, so it refuses a second one.
  private var namesByMetricName: [String: String] = [:]
  private(set) var partitionCount = 0
  private var clusterWideConfigs: [String: String] = [:]
  private var configsByBroker: [Int32: [String: String]] = [:]

  var topicCount: Int { topicsByName.count }

  func topic(_ name: String) -> Topic? { topicsByName[name] }

  func topic(id: UUID128) -> Topic? { namesById[id].flatMap { topicsByName[$0] } }

  /// What was set at run time for the broker `id`.
  func dynamicConfigs(of id: Int32) -> DynamicBrokerConfigs {
    DynamicBrokerConfigs(clusterWide: clusterWideConfigs, perBroker: configsByBroker[id] ?? [:])
  }

  /// The topic that `name` could be confused with, if there is one of another name.
  func collision(with name: String) -> String? {
    guard let other = namesByMetricName[Self.metricName(name)], other != name else { return nil }
    return other
  }

  /// All topics in order of their names.
  var topicsInOrder: [Topic] { topicsByName.values.sorted { $0.name < $1.name } }

  mutating func replay(_ record: MetadataRecord) {
    switch record {
    case .clusterId(let id): clusterId = id
    case .producerIdsReserved(let next): nextProducerId = next
    case .topic(let topic):
      if let old = topicsByName[topic.name] { forget(old) }
      topicsByName[topic.name] = topic
      namesById[topic.id] = topic.name
      namesByMetricName[Self.metricName(topic.name)] = topic.name
      partitionCount += topic.partitionCount
    case .topicDeleted(let deleted):
      if let old = topicsByName[deleted.name], old.id == deleted.id { forget(old) }
      deletions[deleted.id] = deleted
    case .deletionFinished(let id): deletions[id] = nil
    case .brokerConfigs(nil, let configs): clusterWideConfigs = configs
    case .brokerConfigs(let id?, let configs):
      configsByBroker[id] = configs.isEmpty ? nil : configs
    case .brokerUp: break
    }
  }

  private mutating func forget(_ topic: Topic) {
    topicsByName[topic.name] = nil
    namesById[topic.id] = nil
    namesByMetricName[Self.metricName(topic.name)] = nil
    partitionCount -= topic.partitionCount
  }

  static func metricName(_ name: String) -> String {
    guard name.utf8.contains(UInt8(ascii: ".")) else { return name }
    return String(
      decoding: name.utf8.map { $0 == UInt8(ascii: ".") ? UInt8(ascii: "_") : $0 }, as: UTF8.self)
  }
}
