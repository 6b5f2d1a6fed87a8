// `sluice topics describe`: partitions with leaders and offsets, and the configuration.

import ArgumentParser
import KafkaProtocol
import Model

struct DescribeTopics: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "describe",
    abstract: "Show partitions, offsets and what is configured differently from the defaults.")

  @OptionGroup var broker: BrokerOptions
  @Argument(help: "Names of topics; all if none is given.") var names: [String] = []
  @Flag(help: "Print JSON.") var json = false
  @Flag(help: "Show every config, not only what differs from the defaults.") var allConfigs = false

  private struct Partition: Encodable {
    var partition: Int32
    var leader: Int32
    var replicas: [Int32]
    var isr: [Int32]
    var earliestOffset: Int64
    var latestOffset: Int64
  }

  private struct Topic: Encodable {
    var name: String
    var id: String
    var isInternal: Bool
    var partitions: [Partition]
    var configs: [String: String]
  }

  /// DescribeConfigsResponse's config source of a value set on the topic itself.
  private static let dynamicTopicConfig: Int8 = 1

  func run() throws {
    try Command.run { () throws(ClientError) in
      let cluster = broker.cluster()
      let response = try cluster.metadata(names.isEmpty ? nil : names)
      var described: [Topic] = []
      for topic in response.topics {
        let name = topic.name ?? "\(topic.topicId)"
        try topic.errorCode.require(name)
        if names.isEmpty, topic.isInternal { continue }
        described.append(try describe(topic, name, cluster))
      }
      if json { Output.json(described) } else { described.forEach(show) }
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
        isr: $0.isrNodes, earliestOffset: earliest[$0.partitionIndex] ?? -1,
        latestOffset: latest[$0.partitionIndex] ?? -1)
    }
    return Topic(
      name: name, id: "\(topic.topicId)", isInternal: topic.isInternal, partitions: partitions,
      configs: try configs(name, cluster))
  }

  private func configs(_ name: String, _ cluster: Cluster) throws(ClientError) -> [String: String] {
    let response = try cluster.any().request(
      DescribeConfigsRequest(
        resources: [.init(resourceType: 2, resourceName: name, configurationKeys: nil)]))
    var configs: [String: String] = [:]
    for result in response.results {
      try result.errorCode.require(name, result.errorMessage)
      for config in result.configs
      where allConfigs || config.configSource == Self.dynamicTopicConfig {
        configs[config.name] = config.value ?? ""
      }
    }
    return configs
  }

  private func show(_ topic: Topic) {
    Output.line("\(topic.name)  id \(topic.id)  \(topic.partitions.count) partitions")
    for (name, value) in topic.configs.sorted(by: { $0.key < $1.key }) {
      Output.line("  \(name)=\(value)")
    }
    Output.table(
      ["  partition", "leader", "replicas", "in sync", "earliest", "latest"],
      topic.partitions.map {
        [
          "  \($0.partition)", "\($0.leader)", $0.replicas.map(String.init).joined(separator: ","),
          $0.isr.map(String.init).joined(separator: ","), "\($0.earliestOffset)",
          "\($0.latestOffset)",
        ]
      })
  }
}
