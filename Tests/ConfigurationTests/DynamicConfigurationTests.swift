// What is set at run time: the order of the layers, what cannot be taken, and the operations on lists.

import Model
import Testing

@testable import Configuration

@Suite struct DynamicConfigurationTests {
  private func broker(_ lines: String...) throws -> BrokerConfiguration {
    try BrokerConfiguration.load(file: ("f", lines.joined(separator: "\n")))
  }

  @Test func layers() throws {
    let file = try broker("message.max.bytes=4", "log.roll.hours=2")
    let dynamic = DynamicBrokerConfigs(
      clusterWide: ["message.max.bytes": "3", "log.roll.ms": "7"],
      perBroker: ["message.max.bytes": " 2 "])
    let (both, ignored) = file.applying(dynamic)
    #expect(ignored.isEmpty)
    #expect(both.messageMaxBytes == 2)
    #expect(both.text(of: "message.max.bytes") == "2")
    #expect(TopicConfiguration(broker: both).segmentMs == 7)
    let told = try #require(both.resolved.first { $0.key.name == "message.max.bytes" })
    #expect(told.source == .dynamicBrokerConfig)
    #expect(told.synonyms.map(\.value) == ["2", "3", "4", "1048588"])
    let roll = try #require(both.resolved.first { $0.key.name == "log.roll.hours" })
    #expect(roll.value == "2" && roll.source == .staticBrokerConfig)
    #expect(both.resolvedClusterWide.map(\.key.name) == ["log.roll.ms", "message.max.bytes"])
    // What comes later replaces all of it.
    let (later, _) = both.applying(DynamicBrokerConfigs(clusterWide: ["message.max.bytes": "9"]))
    #expect(later.messageMaxBytes == 9 && later.resolvedClusterWide.count == 1)
    #expect(later.applying(DynamicBrokerConfigs()).configuration.messageMaxBytes == 4)
  }

  @Test func whatCannotBeTakenIsLeftOut() throws {
    let file = try broker("log.cleaner.min.compaction.lag.ms=5", "max.connections=7")
    let (mixed, ignored) = file.applying(
      DynamicBrokerConfigs(
        clusterWide: [
          "message.max.bytes": "8", "from.the.future": "1", "log.dirs": "/x", "log.roll.ms": "soon",
          "max.connections": "9",
        ]))
    #expect(mixed.messageMaxBytes == 8 && mixed.maxConnections == 9)
    #expect(ignored.count == 3)
    #expect(ignored.contains { $0.contains("from.the.future") })
    #expect(ignored.contains { $0.contains("log.dirs") })
    #expect(ignored.contains { $0.contains("soon") })
    #expect(mixed.logDirs == file.logDirs)
  }

  @Test func aSecretIsNotTold() throws {
    let refusal = try broker().refusal(
      of: DynamicBrokerConfigs(perBroker: ["listener.name.a.ssl.keystore.password": "hush"]),
      changed: .perBroker)
    #expect(refusal?.error == .invalidRequest)
    #expect(refusal?.message.contains("hush") == false)
  }

  @Test func kafkasFamiliesOfNames() throws {
    // Kafka tells nothing of hours and minutes where a topic's value in ms comes from them.
    let broker = try broker("log.retention.hours=2")
    let topic = try #require(TopicConfiguration(broker: broker).resolve("retention.ms"))
    #expect(topic.value == "7200000" && topic.source == .defaultConfig && topic.synonyms.isEmpty)
    let hours = try #require(broker.resolved.first { $0.key.name == "log.retention.hours" })
    #expect(hours.synonyms.map(\.source) == [.staticBrokerConfig, .defaultConfig])
    let ms = try #require(broker.resolved.first { $0.key.name == "log.retention.ms" })
    #expect(ms.value == nil && ms.synonyms.isEmpty && ms.source == .defaultConfig)
  }

  @Test(
    arguments: [
      ("a,b", ConfigOperation.append, "c", "a,b,c"), ("a,b", .append, "b,c,c", "a,b,c"),
      ("a,b", .subtract, "a", "b"), ("a,b", .subtract, "c", "a,b"), ("a,b", .subtract, "a,b", ""),
      ("", .append, "a", "a"), (nil, .append, "compact", "delete,compact"),
      (nil, .subtract, "delete", ""), ("a", .append, "", "a"), ("a, b", .append, " c ", "a,b,c"),
    ] as [(String?, ConfigOperation, String, String)])
  func lists(before: String?, operation: ConfigOperation, value: String, after: String) {
    var settings = before.map { ["cleanup.policy": $0] } ?? [:]
    let refusal = ConfigAlteration(name: "cleanup.policy", operation: operation, value: value)
      .apply(to: &settings, of: .topic)
    #expect(refusal == nil && settings["cleanup.policy"] == after)
  }

  @Test(
    arguments: [
      (ConfigurationValue.double(0.5), "0.5"), (.double(1), "1.0"),
      (.double(.greatestFiniteMagnitude), "1.7976931348623157E308"),
      (.boolean(true), "true"), (.list(["a", "b"]), "a,b"), (.integer(-1), "-1"), (.null, nil),
    ] as [(ConfigurationValue, String?)])
  func textsAreKafkas(value: ConfigurationValue, text: String?) {
    #expect(value.text == text)
  }
}
