// `sluice topics`: create, list, describe, delete.

import ArgumentParser
import KafkaProtocol
import Model

struct Topics: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Create, list, describe and delete topics.",
    subcommands: [
      CreateTopic.self, ListTopics.self, DescribeTopics.self, DeleteTopicsCommand.self,
    ])
}

struct CreateTopic: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "create", abstract: "Create topics.",
    discussion: "Example: sluice topics create orders --partitions 3 --set retention.ms=86400000")

  @OptionGroup var broker: BrokerOptions
  @Argument(help: "Names: letters, digits, '.', '_' and '-', at most 249.") var names: [String]
  @Option(name: .shortAndLong, help: "Partitions; the broker's num.partitions if not given.")
  var partitions: Int32?
  @Option(help: "Replicas of each partition; the broker's default if not given.")
  var replicationFactor: Int16?
  @Option(
    name: .customLong("set"),
    help: ArgumentHelp("A topic config; may be repeated.", valueName: "name=value"))
  var configs: [String] = []
  @Flag(help: "Succeed when the topic exists already.") var ifNotExists = false

  func validate() throws {
    for config in configs where !config.contains("=") {
      throw ValidationError("--set wants name=value, not '\(config)'")
    }
  }

  func run() throws {
    try Command.run { () throws(ClientError) in
      let configs = configs.map { text in
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        return CreateTopicsRequest.CreatableTopicConfig(
          name: String(parts[0]), value: String(parts[1]))
      }
      let topics = names.map {
        CreateTopicsRequest.CreatableTopic(
          name: $0, numPartitions: partitions ?? -1, replicationFactor: replicationFactor ?? -1,
          configs: configs)
      }
      let response = try broker.cluster().any().request(
        CreateTopicsRequest(topics: topics, timeoutMs: 30_000), waitMs: 30_000)
      for topic in response.topics {
        if ifNotExists, topic.errorCode == .topicAlreadyExists { continue }
        try topic.errorCode.require(topic.name, topic.errorMessage)
        Output.line("created \(topic.name) with \(topic.numPartitions) partitions")
      }
    }
  }
}

struct ListTopics: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the names of topics.")

  @OptionGroup var broker: BrokerOptions
  @Flag(help: "Print a JSON array.") var json = false
  @Flag(help: "Also the topics that Kafka keeps for itself.") var internalTopics = false

  func run() throws {
    try Command.run { () throws(ClientError) in
      let response = try broker.cluster().metadata(nil)
      let names = response.topics.filter { internalTopics || !$0.isInternal }
        .compactMap(\.name).sorted()
      if json { Output.json(names) } else { names.forEach(Output.line) }
    }
  }
}

struct DeleteTopicsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delete", abstract: "Delete topics with all their records.")

  @OptionGroup var broker: BrokerOptions
  @Argument(help: "Names of topics.") var names: [String]

  func run() throws {
    try Command.run { () throws(ClientError) in
      let response = try broker.cluster().any().request(
        DeleteTopicsRequest(topicNames: names, timeoutMs: 30_000), highest: 5, waitMs: 30_000)
      for topic in response.responses {
        let name = topic.name ?? "\(topic.topicId)"
        try topic.errorCode.require(name, topic.errorMessage)
        Output.line("deleted \(name)")
      }
    }
  }
}
