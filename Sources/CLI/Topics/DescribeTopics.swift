// `sluice topics describe`: partitions with leaders and offsets, and the configuration.

import ArgumentParser
import KafkaProtocol
import Model

struct DescribeTopics: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "describe",
    abstract: "Show partitions, offsets, configs that differ, and what an acknowledgement means.")

  @OptionGroup var broker: BrokerOptions
  @Argument(help: "Names of topics; all if none is given.", completion: .topics)
  var names: [String] = []
  @Flag(help: "Print JSON.") var json = false
  @Flag(help: "Show every config, not only what differs from the defaults.") var allConfigs = false

  private struct Partition {
    var partition: Int32
    var leader: Int32
    var replicas: [Int32]
    var isr: [Int32]
    /// nil: it is offline.
    var earliestOffset: Int64?
    var latestOffset: Int64?

    var fields: Fields {
      var fields = Fields()
      fields.add("partition", partition)
      fields.add("leader", leader)
      fields.add("replicas", .list(replicas.map { .number(Int64($0)) }))
      fields.add("isr", .list(isr.map { .number(Int64($0)) }))
      fields.add("earliestOffset", earliestOffset.map { .number($0) } ?? .null)
      fields.add("latestOffset", latestOffset.map { .number($0) } ?? .null)
      return fields
    }
  }

  private struct Topic {
    var name: String
    var id: String
    var isInternal: Bool
    var partitions: [Partition]
    var configs: [String: String]
    var acknowledgement: Acknowledgement?

    var fields: Fields {
      var fields = Fields()
      fields.add("name", name)
      fields.add("id", id)
      fields.add("isInternal", isInternal)
      fields.add("partitions", .list(partitions.map { .fields($0.fields) }))
      var configFields = Fields()
      for (name, value) in configs.sorted(by: { $0.key < $1.key }) { configFields.add(name, value) }
      fields.add("configs", .fields(configFields))
      if let acknowledgement { fields.add("acknowledgement", .fields(acknowledgement.fields)) }
      return fields
    }
  }

  /// DescribeConfigsResponse's config source of a value set on the topic itself.
  private static let dynamicTopicConfig: Int8 = 1

  func run() throws {
    try Command.run { () throws(ClientError) in
      let cluster = broker.cluster()
      let response = try cluster.metadata(names.isEmpty ? nil : names)
      var described: [Topic] = []
      var outcomes = Outcomes()
      for topic in response.topics.sorted(by: { $0.name ?? "" < $1.name ?? "" }) {
        let name = topic.name ?? "\(topic.topicId)"
        if names.isEmpty, topic.isInternal { continue }
        do throws(ClientError) {
          try topic.errorCode.require(name)
          var metadata: MetadataResponse.MetadataResponseTopic? = topic
          described.append(
            try cluster.patiently { () throws(ClientError) in
              // Another time with what is known then: a leader may have gone meanwhile.
              if metadata == nil { metadata = try cluster.topic(name, needsLeaders: false) }
              defer { metadata = nil }
              return try describe(metadata ?? topic, name, cluster)
            })
        } catch {
          if error.isTransport { throw error }
          outcomes.failed(error)
        }
      }
      if json { Output.json(described.map(\.fields)) } else { described.forEach(show) }
      try outcomes.finish()
    }
  }

  private func describe(
    _ topic: MetadataResponse.MetadataResponseTopic, _ name: String, _ cluster: Cluster
  ) throws(ClientError) -> Topic {
    let earliest = try OffsetQuery.offsets(of: topic, at: .earliest, cluster)
    let latest = try OffsetQuery.offsets(of: topic, at: .latest, cluster)
    let partitions = topic.partitions.sorted { $0.partitionIndex < $1.partitionIndex }.map {
      Partition(
        partition: $0.partitionIndex, leader: $0.leaderId, replicas: $0.replicaNodes,
        isr: $0.isrNodes, earliestOffset: earliest[$0.partitionIndex],
        latestOffset: latest[$0.partitionIndex])
    }
    let (all, shown) = try configs(name, cluster)
    return Topic(
      name: name, id: "\(topic.topicId)", isInternal: topic.isInternal, partitions: partitions,
      configs: shown, acknowledgement: Acknowledgement(all))
  }

  /// Every config of a topic, and those that are to be shown.
  private func configs(_ name: String, _ cluster: Cluster) throws(ClientError)
    -> (all: [String: String], shown: [String: String])
  {
    let response = try cluster.any().request(
      DescribeConfigsRequest(
        resources: [.init(resourceType: 2, resourceName: name, configurationKeys: nil)]))
    var all: [String: String] = [:]
    var shown: [String: String] = [:]
    for result in response.results {
      try result.errorCode.require(name, result.errorMessage)
      for config in result.configs {
        all[config.name] = config.value ?? ""
        if allConfigs || config.configSource == Self.dynamicTopicConfig {
          shown[config.name] = config.value ?? ""
        }
      }
    }
    return (all, shown)
  }

  private func show(_ topic: Topic) {
    let plural = topic.partitions.count == 1 ? "" : "s"
    Output.line(
      "\(topic.name)  id \(topic.id)  \(topic.partitions.count) partition\(plural)")
    for (name, value) in topic.configs.sorted(by: { $0.key < $1.key }) {
      Output.line("  \(name)=\(value)")
    }
    topic.acknowledgement?.lines.forEach(Output.line)
    Output.table(
      ["  partition", "leader", "replicas", "in sync", "earliest", "latest"],
      topic.partitions.map {
        [
          "  \($0.partition)", $0.leader < 0 ? "none" : "\($0.leader)",
          $0.replicas.map(String.init).joined(separator: ","),
          $0.isr.map(String.init).joined(separator: ","),
          $0.earliestOffset.map(String.init) ?? "offline",
          $0.latestOffset.map(String.init) ?? "offline",
        ]
      })
  }
}
