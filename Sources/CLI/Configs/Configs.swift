// `sluice configs`: what brokers are configured to do, and changing it while they run. The configs
// of topics are with `sluice topics`.

import ArgumentParser
import KafkaProtocol
import Model

struct Configs: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show and change the configuration of brokers while they run.",
    subcommands: [DescribeConfigs.self, AlterConfigs.self])
}

struct DescribeConfigs: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "describe",
    abstract: "Show what a broker is configured to do, and where each value comes from.",
    discussion: """
      Without --all-configs only what differs from the defaults is shown.

      Example: sluice configs describe log.retention.ms --all-configs
      """)

  @OptionGroup var broker: BrokerOptions
  @Argument(help: "Names of configs; all if none is given.", completion: .propertyNames())
  var names: [String] = []
  @Option(
    name: .customLong("broker"),
    help: ArgumentHelp("The broker's id; the one that answers if not given.", valueName: "id"))
  var id: Int32?
  @Flag(help: "Only what was set at run time for all brokers.") var allBrokers = false
  @Flag(help: "Show every config, not only what differs from the defaults.") var allConfigs = false
  @Flag(help: "Print JSON.") var json = false

  func validate() throws {
    if allBrokers, id != nil {
      throw ValidationError("--all-brokers and --broker exclude each other")
    }
  }

  func run() throws {
    try Command.run { () throws(ClientError) in
      let cluster = broker.cluster()
      let name = allBrokers ? "" : "\(try cluster.brokerId(id))"
      let response = try cluster.any().request(
        DescribeConfigsRequest(
          resources: [
            .init(
              resourceType: ConfigResource.broker, resourceName: name,
              configurationKeys: names.isEmpty ? nil : names)
          ]))
      var configs: [DescribeConfigsResponse.DescribeConfigsResourceResult] = []
      for result in response.results {
        try result.errorCode.require("broker \(name)", result.errorMessage)
        configs += result.configs.filter {
          allConfigs || ConfigPlace($0.configSource) != .default
        }
      }
      configs.sort { $0.name < $1.name }
      if json { Output.json(configs.map(Self.fields)) } else { Self.show(configs) }
    }
  }

  private static func fields(
    _ config: DescribeConfigsResponse.DescribeConfigsResourceResult
  ) -> Fields {
    var fields = Fields()
    fields.add("name", config.name)
    if let value = config.value { fields.add("value", value) }
    fields.add("source", ConfigPlace(config.configSource).rawValue)
    fields.add("readOnly", config.readOnly)
    fields.add("sensitive", config.isSensitive)
    return fields
  }

  private static func show(_ configs: [DescribeConfigsResponse.DescribeConfigsResourceResult]) {
    if configs.isEmpty { return Output.line("nothing differs from the defaults") }
    Output.table(
      ["name", "value", "set by", "changeable"],
      configs.map {
        [
          $0.name, $0.isSensitive ? "(hidden)" : $0.value ?? "",
          ConfigPlace($0.configSource).rawValue, $0.readOnly ? "with a restart" : "at run time",
        ]
      })
  }
}

/// Where a value comes from, in words.
enum ConfigPlace: String {
  case topic
  case broker
  case allBrokers = "all brokers"
  case file
  case `default`

  /// - Parameter source: Kafka's ConfigSource.
  init(_ source: Int8) {
    self =
      switch source {
      case 1: .topic
      case 2: .broker
      case 3: .allBrokers
      case 4: .file
      default: .default
      }
  }
}

struct AlterConfigs: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "alter",
    abstract: "Change the configuration of one broker or of all of them, at once and for good.",
    discussion: """
      What is set for one broker counts before what is set for all, and that before the file.

      Examples:
        sluice configs alter --set log.retention.ms=86400000
        sluice configs alter --broker 1 --set max.connections=2000
        sluice configs alter --unset log.retention.ms
      """)

  @OptionGroup var broker: BrokerOptions
  @Option(
    name: .customLong("broker"),
    help: ArgumentHelp("Change this broker only; all if not given.", valueName: "id"))
  var id: Int32?
  @OptionGroup var alterations: ConfigAlterations

  func validate() throws {
    if alterations.isEmpty { throw ValidationError("say what to --set or to --unset") }
  }

  func run() throws {
    try Command.run { () throws(ClientError) in
      let cluster = broker.cluster()
      let name = id.map { "\($0)" } ?? ""
      let failures = try alterations.carryOut(on: [name], type: ConfigResource.broker, cluster)
      for case let failure? in failures { throw failure }
      let who = id.map { "broker \($0)" } ?? "all brokers"
      Output.line(alterations.dryRun ? "\(who) could be altered" : "altered \(who)")
    }
  }
}

extension Cluster {
  /// `id`, or the id of the cluster's first broker.
  func brokerId(_ id: Int32?) throws(ClientError) -> Int32 {
    if let id { return id }
    guard let first = try metadata([]).brokers.first else {
      throw .refused(.brokerNotAvailable, about: "the cluster", message: "it names no broker")
    }
    return first.nodeId
  }
}
