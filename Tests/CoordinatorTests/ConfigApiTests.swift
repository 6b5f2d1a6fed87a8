// Configurations changed while the broker runs: every operation on topics and brokers, what is
// refused and in which words, and what follows from a change.

import Configuration
import IPC
import KafkaProtocol
import Model
import Testing

@testable import Coordinator

@Suite struct ConfigApiTests: ConfigSteps {
  struct TopicCase: Sendable, CustomStringConvertible {
    var ops: [Op]
    var expected: [String: String]
    var description: String {
      ops.map { "\($0.configOperation) \($0.name)=\($0.value ?? "")" }.joined(separator: ", ")
    }
  }

  @Test(arguments: [
    TopicCase(ops: [set("retention.ms", "5")], expected: ["retention.ms": "5", "a": ""]),
    TopicCase(ops: [delete("segment.bytes")], expected: [:]),
    TopicCase(ops: [delete("retention.ms")], expected: ["a": ""]),
    TopicCase(
      ops: [append("cleanup.policy", "compact")],
      expected: ["cleanup.policy": "delete,compact", "a": ""]),
    TopicCase(
      ops: [append("cleanup.policy", "delete")], expected: ["cleanup.policy": "delete", "a": ""]),
    TopicCase(
      ops: [set("cleanup.policy", "compact"), delete("segment.bytes")],
      expected: ["cleanup.policy": "compact"]),
    TopicCase(
      ops: [subtract("leader.replication.throttled.replicas", "0:1")],
      expected: ["leader.replication.throttled.replicas": "", "a": ""]),
    TopicCase(
      ops: [append("leader.replication.throttled.replicas", "0:1,1:1")],
      expected: ["leader.replication.throttled.replicas": "0:1,1:1", "a": ""]),
    TopicCase(ops: [], expected: ["a": ""]),
  ])
  func operationsOnTopics(_ at: TopicCase) throws {
    let world = try world()
    try alter(world, 2, "t", [Self.set("segment.bytes", "2000000")])
    #expect(try alter(world, 2, "t", at.ops).errorCode == .none)
    var expected = at.expected
    if expected.removeValue(forKey: "a") != nil { expected["segment.bytes"] = "2000000" }
    #expect(world.broker.topics.state.topic("t")?.configs == expected)
    // The same after a restart.
    let again = try FakeWorld(store: world.store)
    #expect(again.broker.topics.state.topic("t")?.configs == expected)
  }

  @Test func listsKeepTheirOrder() throws {
    let world = try world()
    let name = "follower.replication.throttled.replicas"
    try alter(world, 2, "t", [Self.set(name, "0:1,1:1,2:1")])
    try alter(world, 2, "t", [Self.subtract(name, "1:1,9:9")])
    try alter(world, 2, "t", [Self.append(name, "3:1,0:1")])
    #expect(world.broker.topics.state.topic("t")?.configs[name] == "0:1,2:1,3:1")
  }

  @Test func aTopicChangesAtOnce() throws {
    let world = try world()
    let images = world.images.count
    try alter(
      world, 2, "t",
      [
        Self.set("max.message.bytes", "77"), Self.set("message.timestamp.type", "LogAppendTime"),
        Self.set("retention.ms", "9"), Self.set("cleanup.policy", "compact"),
        Self.set("min.insync.replicas", "2"),
      ])
    for partition in [Int32(0), 1] {
      let config = try #require(world.logWriter.log("t", partition)?.config)
      #expect(config.maxMessageBytes == 77 && config.logAppendTime && config.retentionMs == 9)
      #expect(config.compacts && !config.deletes)
    }
    #expect(world.images.count == images + 1)
    let image = try #require(world.images.last?.topics.first)
    #expect(image.maxMessageBytes == 77 && image.logAppendTime && image.requiresKeys)
    #expect(image.minInsyncReplicas == 2)
    #expect(image.partitions.map(\.slot) == [0, 1])
    #expect(world.sent.last?.imageEpoch == world.images.last?.epoch)
    // What only the log needs is no news for clients.
    try alter(world, 2, "t", [Self.set("segment.ms", "9")])
    #expect(world.images.count == images + 1)
    #expect(world.logWriter.log("t")?.config.segmentMs == 9)
  }

  @Test func withoutALogwriterAChangeWaitsForOne() throws {
    let world = try world()
    world.disconnect()
    try alter(world, 2, "t", [Self.set("segment.ms", "9"), Self.set("max.message.bytes", "78")])
    #expect(world.images.last?.topics.first?.maxMessageBytes == 78)
    world.logWriter.restart()
    world.connect()
    let created = world.logWriter.messages.compactMap { message -> [PartitionSpec]? in
      if case .createPartitions(_, let specs) = message { specs } else { nil }
    }
    #expect(created.last?.map(\.config.segmentMs) == [9, 9])
  }

  @Test func validateOnlyChangesNothing() throws {
    let world = try world()
    let messages = world.logWriter.messages.count
    #expect(
      try alter(world, 2, "t", [Self.set("retention.ms", "5")], validateOnly: true).errorCode
        == .none)
    #expect(
      try alter(world, 4, "", [Self.set("message.max.bytes", "5")], validateOnly: true).errorCode
        == .none)
    #expect(
      try alter(world, 2, "t", [Self.set("retention.ms", "x")], validateOnly: true).errorCode
        == .invalidConfig)
    #expect(world.broker.topics.state.topic("t")?.configs == [:])
    #expect(world.broker.dynamicConfigs == DynamicBrokerConfigs())
    #expect(world.logWriter.messages.count == messages && world.configured.isEmpty)
  }

  struct Refusal: Sendable, CustomStringConvertible {
    var type: Int8
    var name: String
    var ops: [Op]
    var error: ErrorCode
    var message: String
    var description: String { message }
  }

  @Test(arguments: [
    Refusal(
      type: 2, name: "t", ops: [set("no.such", "1")], error: .invalidConfig,
      message: "Unknown topic config name: no.such"),
    Refusal(
      type: 2, name: "t", ops: [set("retention.ms", "soon")], error: .invalidConfig,
      message: "Invalid value soon for configuration retention.ms: Not a number of type LONG"),
    Refusal(
      type: 2, name: "t", ops: [set("retention.ms", nil), set("segment.ms", nil)],
      error: .invalidRequest, message: "Null value not supported for : retention.ms, segment.ms"),
    Refusal(
      type: 2, name: "t", ops: [set("retention.ms", "1"), delete("retention.ms")],
      error: .invalidRequest, message: "Error due to duplicate config keys"),
    Refusal(
      type: 2, name: "t", ops: [append("retention.ms", "1")], error: .invalidConfig,
      message: "Can't APPEND to key retention.ms because its type is not LIST."),
    Refusal(
      type: 2, name: "t", ops: [subtract("no.such", "1")], error: .invalidConfig,
      message: "Can't SUBTRACT to key no.such because its type is not LIST."),
    Refusal(
      type: 2, name: "t", ops: [append("cleanup.policy", "burn")], error: .invalidConfig,
      message: "Invalid value delete,burn for configuration cleanup.policy: String must be one of: "
        + "compact, delete"),
    Refusal(
      type: 2, name: "t", ops: [Op(name: "retention.ms", configOperation: 9, value: "1")],
      error: .invalidRequest, message: "Unknown operations type 9"),
    Refusal(
      type: 2, name: "t",
      ops: [set("min.compaction.lag.ms", "6"), set("max.compaction.lag.ms", "5")],
      error: .invalidConfig,
      message: "conflict topic config setting min.compaction.lag.ms (6) > max.compaction.lag.ms (5)"
    ),
    Refusal(
      type: 2, name: "none", ops: [set("retention.ms", "5")], error: .unknownTopicOrPartition,
      message: "This server does not host this topic-partition."),
    Refusal(
      type: 2, name: "", ops: [], error: .invalidRequest,
      message: "Default topic resources are not allowed."),
    Refusal(
      type: 4, name: "x", ops: [], error: .invalidRequest,
      message: "Node id must be an integer, but it is: x"),
    Refusal(
      type: 4, name: "7", ops: [], error: .invalidRequest,
      message: "Unexpected broker id, expected 1, but received 7"),
    Refusal(
      type: 4, name: "1", ops: [set("log.dirs", "/x"), set("node.id", "3")], error: .invalidRequest,
      message: "Cannot update these configs dynamically: Set(log.dirs, node.id)"),
    Refusal(
      type: 4, name: "1", ops: [set("ssl.keystore.location", "/x")], error: .invalidRequest,
      message: "These security configs can be dynamically updated only per-listener using the "
        + "listener prefix: Set(ssl.keystore.location)"),
    Refusal(
      type: 4, name: "", ops: [set("sasl.enabled.mechanisms", "PLAIN")], error: .invalidRequest,
      message: "Cannot update these configs at default cluster level, broker id must be "
        + "specified: Set(sasl.enabled.mechanisms)"),
    Refusal(
      type: 4, name: "", ops: [set("message.max.bytes", "much")], error: .invalidRequest,
      message: "Invalid value much for configuration message.max.bytes: Not a number of type INT"),
    Refusal(
      type: 4, name: "", ops: [set("message.max.byte", "1")], error: .invalidConfig,
      message: "Unknown broker config name: message.max.byte; did you mean message.max.bytes?"),
    Refusal(
      type: 4, name: "", ops: [append("message.max.bytes", "1")], error: .invalidConfig,
      message: "Config value append is not allowed for config key: message.max.bytes"),
    Refusal(
      type: 4, name: "", ops: [subtract("what", "1")], error: .invalidConfig,
      message: "Unknown config name: what"),
    Refusal(
      type: 4, name: "1", ops: [set("num.io.threads", "4")], error: .invalidRequest,
      message: "num.io.threads cannot be changed while the broker runs: there are processes "
        + "instead of threads"),
    Refusal(
      type: 4, name: "1", ops: [set("listeners", "PLAINTEXT://:1")], error: .invalidRequest,
      message: "listeners cannot be changed while the broker runs: its sockets are bound before "
        + "the broker starts; change the file and restart"),
    Refusal(
      type: 4, name: "1", ops: [set("max.connections.per.ip", "0")], error: .invalidRequest,
      message: "Invalid dynamic configuration: max.connections.per.ip: 0 lets nobody in without "
        + "max.connections.per.ip.overrides"),
    Refusal(
      type: 8, name: "1", ops: [set("root", "DEBUG")], error: .invalidRequest,
      message: "Loggers of a broker are not served."),
    Refusal(
      type: 16, name: "m", ops: [], error: .invalidRequest,
      message: "Client metrics are not served."),
    Refusal(
      type: 77, name: "m", ops: [], error: .invalidRequest, message: "Unknown resource type 77"),
  ])
  func refusals(_ at: Refusal) throws {
    let world = try world()
    let answer = try alter(world, at.type, at.name, at.ops)
    #expect(answer.errorCode == at.error)
    #expect(answer.errorMessage == at.message)
    #expect(world.broker.topics.state.topic("t")?.configs == [:])
    #expect(world.broker.dynamicConfigs == DynamicBrokerConfigs())
  }

  @Test func eachResourceHasItsOwnOutcome() throws {
    let world = try world(topics: ["a", "b", "c"])
    func resource(_ type: Int8, _ name: String, _ op: Op) -> Resource {
      Resource(resourceType: type, resourceName: name, configs: [op])
    }
    let good = Self.set("retention.ms", "5")
    let response = try world.ask(
      IncrementalAlterConfigsRequest(resources: [
        resource(2, "a", good), resource(2, "b", good), resource(2, "none", good),
        resource(4, "", Self.set("message.max.bytes", "5")), resource(2, "b", good),
        resource(2, "c", Self.set("retention.ms", "-7")),
        resource(4, "1", Self.set("log.dir", "/")),
      ]), version: 0)
    #expect(
      response.responses.map(\.errorCode) == [
        .none, .invalidRequest, .unknownTopicOrPartition, .none, .invalidRequest, .invalidConfig,
        .invalidRequest,
      ])
    #expect(response.responses[1].errorMessage == "Each resource must appear at most once.")
    #expect(response.responses.map(\.resourceName) == ["a", "b", "none", "", "b", "c", "1"])
    let state = world.broker.topics.state
    #expect(state.topicsInOrder.map(\.configs) == [["retention.ms": "5"], [:], [:]])
    #expect(world.broker.dynamicConfigs.clusterWide == ["message.max.bytes": "5"])
  }

  @Test func alterConfigsReplacesEverything() throws {
    let world = try world()
    try alter(world, 2, "t", [Self.set("segment.ms", "9"), Self.set("retention.ms", "5")])
    func replace(_ type: Int8, _ name: String, _ configs: [String: String?], _ only: Bool = false)
      throws -> [ErrorCode]
    {
      try world.ask(
        AlterConfigsRequest(
          resources: [
            .init(
              resourceType: type, resourceName: name,
              configs: configs.map { .init(name: $0.key, value: $0.value) })
          ], validateOnly: only), version: 2
      ).responses.map(\.errorCode)
    }
    #expect(try replace(2, "t", ["segment.ms": "8"], true) == [.none])
    #expect(world.broker.topics.state.topic("t")?.configs.count == 2)
    #expect(try replace(2, "t", ["segment.ms": "8"]) == [.none])
    #expect(world.broker.topics.state.topic("t")?.configs == ["segment.ms": "8"])
    #expect(world.logWriter.log("t")?.config.retentionMs == 604_800_000)
    #expect(try replace(2, "t", ["segment.ms": nil]) == [.invalidRequest])
    #expect(try replace(2, "t", ["segment.ms": "many"]) == [.invalidConfig])
    #expect(try replace(2, "t", [:]) == [.none])
    #expect(world.broker.topics.state.topic("t")?.configs == [:])
    #expect(try replace(4, "", ["message.max.bytes": "5", "log.roll.ms": "6"]) == [.none])
    #expect(try replace(4, "", ["log.roll.ms": "7"]) == [.none])
    #expect(world.broker.dynamicConfigs.clusterWide == ["log.roll.ms": "7"])
    #expect(try replace(8, "1", [:]) == [.invalidRequest])
  }

  /// After any sequence of changes, memory is what a restart reads, what the logwriter was told, and
  /// what a dictionary says that does the same.
  @Test func randomChanges() throws {
    var seed = Seed()
    let world = try world(topics: ["a", "b"])
    var model: [String: [String: String]] = ["a": [:], "b": [:], "": [:], "1": [:]]
    let topicNames = ["segment.ms", "retention.ms", "max.message.bytes", "flush.ms"]
    let brokerNames = ["log.roll.ms", "message.max.bytes", "log.segment.bytes"]
    for step in 0..<400 {
      let name = ["a", "b", "", "1"][seed.int(0...3)]
      let isTopic = name == "a" || name == "b"
      let names = (isTopic ? topicNames : brokerNames).filter { _ in seed.chance(50) }
      let before = try #require(model[name])
      var after = before
      var ops: [Op] = []
      for config in names {
        if seed.chance(40) {
          ops.append(Self.delete(config))
          after[config] = nil
        } else {
          let value = "\(seed.int(0...9) == 0 ? -5 : 1_048_576 + seed.int(0...9))"
          ops.append(Self.set(config, value))
          after[config] = value
        }
      }
      let isValid = !after.values.contains("-5")
      let validateOnly = seed.chance(10)
      let answer = try alter(
        world, isTopic ? 2 : 4, name, ops, validateOnly: validateOnly)
      #expect((answer.errorCode == .none) == isValid, "\(seed) step \(step)")
      if isValid, !validateOnly { model[name] = after }
      if step % 40 != 0 { continue }
      let again = try FakeWorld(store: world.store, connect: false)
      for world in [world, again] {
        #expect(world.broker.topics.state.topic("a")?.configs == model["a"], "\(seed) \(step)")
        #expect(world.broker.topics.state.topic("b")?.configs == model["b"], "\(seed) \(step)")
        #expect(world.broker.dynamicConfigs.clusterWide == model[""], "\(seed) \(step)")
        #expect(world.broker.dynamicConfigs.perBroker == model["1"], "\(seed) \(step)")
      }
      let broker = model["1"]?["log.roll.ms"] ?? model[""]?["log.roll.ms"]
      let roll = model["a"]?["segment.ms"] ?? broker
      #expect(
        world.logWriter.log("a")?.config.segmentMs == Int64(roll ?? "604800000"), "\(seed) \(step)")
    }
  }
}
