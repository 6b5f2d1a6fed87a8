// `sluice topics`: create, list, describe, alter, delete.

import ArgumentParser
import KafkaProtocol
import Model

struct Topics: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Create, list, describe, alter and delete topics.",
    subcommands: [
      CreateTopic.self, ListTopics.self, DescribeTopics.self, AlterTopics.self,
      DeleteTopicsCommand.self,
    ])
}

/// Of several topics each has its own outcome: all are told, the first failure is the exit code's.
struct Outcomes {
  private var first: ClientError?

  mutating func failed(_ error: ClientError) {
    if let first { StandardError.line("sluice: \(first)") }
    first = error
  }

  func finish() throws(ClientError) {
    if let first { throw first }
  }
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
    if let partitions, partitions < 1 { throw ValidationError("--partitions is at least 1") }
    if let replicationFactor, replicationFactor < 1 {
      throw ValidationError("--replication-factor is at least 1")
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
      var outcomes = Outcomes()
      for topic in response.topics {
        if ifNotExists, topic.errorCode == .topicAlreadyExists { continue }
        do throws(ClientError) {
          try topic.errorCode.require(topic.name, topic.errorMessage)
          let plural = topic.numPartitions == 1 ? "" : "s"
          Output.line("created \(topic.name) with \(topic.numPartitions) partition\(plural)")
        } catch { outcomes.failed(error) }
      }
      try outcomes.finish()
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
  @Argument(help: "Names of topics.", completion: .topics) var names: [String]
  @Flag(help: "Succeed when there is no such topic.") var ifExists = false

  func run() throws {
    try Command.run { () throws(ClientError) in
      let response = try broker.cluster().any().request(
        DeleteTopicsRequest(topicNames: names, timeoutMs: 30_000), highest: 5, waitMs: 30_000)
      var outcomes = Outcomes()
      for topic in response.responses {
        let name = topic.name ?? "\(topic.topicId)"
        if ifExists, topic.errorCode == .unknownTopicOrPartition { continue }
        do throws(ClientError) {
          let isUnknown = topic.errorCode == .unknownTopicOrPartition
          try topic.errorCode.require(name, isUnknown ? nil : topic.errorMessage)
          Output.line("deleted \(name)")
        } catch { outcomes.failed(error) }
      }
      try outcomes.finish()
    }
  }
}
