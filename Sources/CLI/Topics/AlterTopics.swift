// `sluice topics alter`: other configs, more partitions.

import ArgumentParser
import KafkaProtocol
import Model

struct AlterTopics: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "alter",
    abstract: "Change configs of topics, and give them more partitions.",
    discussion: """
      Configs change at once and for good. Partitions only become more; which partition the records \
      of a key go to changes with their number.

      Examples:
        sluice topics alter orders --set retention.ms=86400000 --unset segment.ms
        sluice topics alter orders --append cleanup.policy=compact
        sluice topics alter orders payments --partitions 12
      """)

  @OptionGroup var broker: BrokerOptions
  @Argument(help: "Names of topics.", completion: .topics) var names: [String]
  @OptionGroup var alterations: ConfigAlterations
  @Option(name: .shortAndLong, help: "How many partitions there shall be.")
  var partitions: Int32?
  @Flag(help: "Print JSON: the topics that were altered, with what is set for them now.")
  var json = false

  func validate() throws {
    if alterations.isEmpty, partitions == nil {
      throw ValidationError("say what to --set, what to --unset, or how many --partitions")
    }
    if Set(names).count != names.count { throw ValidationError("a topic is named twice") }
    if let partitions, partitions < 1 { throw ValidationError("--partitions is at least 1") }
  }

  func run() throws {
    try Command.run { () throws(ClientError) in
      let cluster = broker.cluster()
      var outcomes = Outcomes()
      var altered: [String] = names
      if !alterations.isEmpty {
        let failures = try alterations.carryOut(on: names, type: ConfigResource.topic, cluster)
        altered = zip(names, failures).filter { $0.1 == nil }.map(\.0)
        for case let failure? in failures { outcomes.failed(failure) }
      }
      if let partitions, !altered.isEmpty {
        altered = try grow(altered, to: partitions, cluster, &outcomes)
      }
      try tell(altered, cluster)
      try outcomes.finish()
    }
  }

  private func grow(
    _ topics: [String], to count: Int32, _ cluster: Cluster, _ outcomes: inout Outcomes
  ) throws(ClientError) -> [String] {
    let response = try cluster.any().request(
      CreatePartitionsRequest(
        topics: topics.map { .init(name: $0, count: count, assignments: nil) }, timeoutMs: 30_000,
        validateOnly: alterations.dryRun), waitMs: 30_000)
    var grown: [String] = []
    for result in response.results {
      do throws(ClientError) {
        try result.errorCode.require(result.name, result.errorMessage)
        grown.append(result.name)
      } catch { outcomes.failed(error) }
    }
    return grown
  }

  private func tell(_ altered: [String], _ cluster: Cluster) throws(ClientError) {
    guard json else {
      for name in altered {
        Output.line(alterations.dryRun ? "\(name) could be altered" : "altered \(name)")
      }
      return
    }
    var documents: [Fields] = []
    if !altered.isEmpty {
      let response = try cluster.any().request(
        DescribeConfigsRequest(
          resources: altered.map {
            .init(resourceType: ConfigResource.topic, resourceName: $0, configurationKeys: nil)
          }))
      for result in response.results {
        try result.errorCode.require(result.resourceName, result.errorMessage)
        var configs = Fields()
        for config in result.configs where ConfigPlace(config.configSource) == .topic {
          configs.add(config.name, config.value ?? "")
        }
        var fields = Fields()
        fields.add("name", result.resourceName)
        fields.add("dryRun", alterations.dryRun)
        fields.add("configs", .fields(configs))
        documents.append(fields)
      }
    }
    Output.json(documents)
  }
}
