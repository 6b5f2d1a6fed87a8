// Configurations of brokers changed while they run, how their layers show, and the resources that
// have any.

import Configuration
import IPC
import KafkaProtocol
import Model
import Testing

@testable import Coordinator

@Suite struct BrokerConfigApiTests: ConfigSteps {
  @Test func brokerValuesLayer() throws {
    let world = try world(["log.segment.bytes=2000000"], topics: ["own", "plain"])
    try alter(world, 2, "own", [Self.set("segment.bytes", "5000000")])
    func bytes(_ topic: String) -> Int32? { world.logWriter.log(topic)?.config.segmentBytes }
    #expect(bytes("plain") == 2_000_000)
    try alter(world, 4, "", [Self.set("log.segment.bytes", "3000000")])
    #expect(bytes("plain") == 3_000_000 && bytes("own") == 5_000_000)
    try alter(world, 4, "1", [Self.set("log.segment.bytes", "4000000")])
    #expect(bytes("plain") == 4_000_000 && bytes("own") == 5_000_000)
    let told = try #require(try describe(world, 2, "own", ["segment.bytes"]).first)
    #expect(told.value == "5000000" && told.configSource == 1 && !told.readOnly)
    #expect(told.synonyms.map(\.source) == [1, 2, 3, 4, 5])
    #expect(
      told.synonyms.map(\.value) == ["5000000", "4000000", "3000000", "2000000", "1073741824"])
    #expect(told.synonyms.map(\.name).dropFirst().allSatisfy { $0 == "log.segment.bytes" })
    #expect(told.configType == 3)
    let broker = try #require(try describe(world, 4, "1", ["log.segment.bytes"]).first)
    #expect(broker.value == "4000000" && broker.configSource == 2 && !broker.readOnly)
    #expect(broker.synonyms.map(\.source) == [2, 3, 4, 5])
    let all = try describe(world, 4, "")
    #expect(all.map(\.name) == ["log.segment.bytes"] && all.map(\.value) == ["3000000"])
    #expect(all.map(\.configSource) == [3] && all[0].synonyms.map(\.source) == [3])
    // Back again, layer by layer.
    try alter(world, 4, "1", [Self.delete("log.segment.bytes")])
    #expect(bytes("plain") == 3_000_000)
    try alter(world, 4, "", [Self.delete("log.segment.bytes")])
    #expect(bytes("plain") == 2_000_000)
    #expect(world.configured.last == DynamicBrokerConfigs())
    #expect(try describe(world, 4, "").isEmpty)
  }

  @Test func brokerValuesSurviveARestart() throws {
    let world = try world()
    try alter(world, 4, "", [Self.set("message.max.bytes", "500")])
    try alter(world, 4, "1", [Self.set("log.roll.ms", "600")])
    // A logwriter that has heard of nothing yet.
    let logWriter = FakeLogWriter()
    logWriter.addLog(try #require(world.logWriter.log("t")).name)
    let again = try FakeWorld(store: world.store, logWriter: logWriter)
    let expected = DynamicBrokerConfigs(
      clusterWide: ["message.max.bytes": "500"], perBroker: ["log.roll.ms": "600"])
    #expect(again.broker.dynamicConfigs == expected)
    #expect(again.broker.configuration.messageMaxBytes == 500)
    #expect(again.logWriter.log("t")?.config.segmentMs == 600)
    // Another broker of the cluster has what is set for all only.
    let other = try FakeWorld(["node.id=2"], store: world.store)
    #expect(other.broker.dynamicConfigs.perBroker.isEmpty)
    #expect(other.broker.configuration.messageMaxBytes == 500)
  }

  @Test func whatIsReadOnlyStaysSo() throws {
    let world = try world()
    let configs = try describe(world, 4, "1")
    let readOnly = Dictionary(uniqueKeysWithValues: configs.map { ($0.name, $0.readOnly) })
    for (name, expected) in [
      ("log.dirs", true), ("node.id", true), ("num.partitions", true),
      ("connections.max.idle.ms", true), ("message.max.bytes", false),
      ("max.connections", false), ("listeners", false), ("log.retention.ms", false),
      ("log.retention.hours", true),
    ] {
      #expect(readOnly[name] == expected, "\(name)")
    }
    for config in configs where config.readOnly {
      let answer = try alter(world, 4, "1", [Self.set(config.name, config.value ?? "x")])
      #expect(answer.errorCode == .invalidRequest, "\(config.name)")
      #expect(
        answer.errorMessage == "Cannot update these configs dynamically: Set(\(config.name))")
    }
  }

  /// Every configuration that Kafka changes at run time is taken and has its effect, or is refused
  /// in words that say why.
  @Test func everyDynamicConfigWorksOrIsRefused() throws {
    let world = try world()
    for key in BrokerKeys.all where key.updateMode != .readOnly {
      let scope = key.updateMode == .clusterWide ? "" : "1"
      let answer = try alter(world, 4, scope, [Self.set(key.name, key.defaultText ?? "1")])
      if answer.errorCode == .none {
        #expect(world.configured.last?[scope.isEmpty ? .clusterWide : .perBroker][key.name] != nil)
        try alter(world, 4, scope, [Self.delete(key.name)])
      } else {
        #expect(answer.errorMessage?.contains(key.name) == true, "\(key.name)")
      }
    }
    #expect(world.broker.dynamicConfigs == DynamicBrokerConfigs())
  }

  // MARK: - Resources

  @Test func resourcesAreListed() throws {
    let world = try world(topics: ["b", "a"])
    func list(_ types: [Int8], version: Int16 = 1) throws -> [String] {
      let response = try world.ask(
        ListConfigResourcesRequest(resourceTypes: types), version: version)
      #expect(response.errorCode == .none)
      return response.configResources.map { "\($0.resourceType) \($0.resourceName)" }
    }
    #expect(try list([]) == ["2 a", "2 b", "4 1"])
    #expect(try list([4]) == ["4 1"])
    #expect(try list([2, 2]) == ["2 a", "2 b"])
    #expect(try list([8, 16, 32]) == [])
    #expect(try list([], version: 0) == [])
    let unknown = try world.ask(ListConfigResourcesRequest(resourceTypes: [2, 5]), version: 1)
    #expect(unknown.errorCode == .unsupportedVersion && unknown.configResources.isEmpty)
  }

  @Test func aNewTopicIsToldAsItIsDescribed() throws {
    let world = try world(topics: [])
    try alter(world, 4, "", [Self.set("log.roll.ms", "70000")])
    let created = try world.ask(
      CreateTopicsRequest(topics: [
        .init(
          name: "n", numPartitions: 1, replicationFactor: 1,
          configs: [.init(name: "cleanup.policy", value: " compact , delete ")])
      ]), version: 7)
    let told = try #require(created.topics.first?.configs)
    let described = try describe(world, 2, "n")
    #expect(told.map(\.name) == described.map(\.name))
    #expect(told.map(\.value) == described.map(\.value))
    #expect(told.map(\.configSource) == described.map(\.configSource))
    #expect(told.first { $0.name == "cleanup.policy" }?.value == "compact,delete")
    #expect(told.first { $0.name == "segment.ms" }?.configSource == 3)
  }

  @Test func noKeysAreAllKeys() throws {
    let world = try world()
    #expect(try describe(world, 2, "t", []).count == describe(world, 2, "t").count)
    #expect(try describe(world, 2, "t", ["nothing"]).isEmpty)
    #expect(
      try describe(world, 2, "t", ["segment.ms", "flush.ms"]).map(\.name)
        == ["flush.ms", "segment.ms"])
  }
}
