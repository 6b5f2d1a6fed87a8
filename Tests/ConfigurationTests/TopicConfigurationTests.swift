// Topic configurations: fallbacks with their sources, units, and what is refused.

import Foundation
import Model
import Testing

@testable import Configuration

@Suite struct TopicConfigurationTests {
  private func topic(
    _ overrides: [String: String] = [:], broker: String...
  ) throws -> TopicConfiguration {
    let file = broker.joined(separator: "\n")
    return TopicConfiguration(
      overrides: overrides, broker: try BrokerConfiguration.load(file: ("f", file)))
  }

  @Test func defaults() throws {
    let topic = try topic()
    #expect(topic.maxMessageBytes == 1_048_588)
    #expect(topic.messageTimestampType == .createTime)
    #expect(topic.messageTimestampBeforeMaxMs == .max)
    #expect(topic.messageTimestampAfterMaxMs == 3_600_000)
    #expect(topic.minInsyncReplicas == 1)
    #expect(topic.segmentBytes == 1_073_741_824)
    #expect(topic.segmentMs == 604_800_000)
    #expect(topic.segmentJitterMs == 0)
    #expect(topic.indexIntervalBytes == 4_096)
    #expect(topic.segmentIndexBytes == 10_485_760)
    #expect(topic.flushMessages == .max && topic.flushMs == .max)
    #expect(topic.isDeleted && !topic.isCompacted)
    #expect(topic.retentionMs == 604_800_000 && topic.retentionBytes == nil)
    #expect(topic.fileDeleteDelayMs == 60_000)
    #expect(topic.deleteRetentionMs == 86_400_000)
    #expect(topic.minCompactionLagMs == 0 && topic.maxCompactionLagMs == .max)
    #expect(topic.minCleanableDirtyRatio == 0.5)
    #expect(topic.acksAllDurable)
  }

  @Test func whatAcksAllMeans() throws {
    let name = "sluice.acks.all.durable"
    #expect(try !topic([name: "false"]).acksAllDurable)
    #expect(try !topic(broker: "\(name)=false").acksAllDurable)
    #expect(try topic([name: "true"], broker: "\(name)=false").acksAllDurable)
    #expect(TopicConfiguration.violation(name: name, value: "perhaps") != nil)
  }

  @Test func topicThenBrokerThenDefault() throws {
    let broker = "log.segment.bytes=2000000"
    let own = try topic(["segment.bytes": "3000000"], broker: broker)
    #expect(own.segmentBytes == 3_000_000)
    #expect(try topic(broker: broker).segmentBytes == 2_000_000)
    let resolved = try #require(own.resolve("segment.bytes"))
    #expect(resolved.value == "3000000")
    #expect(resolved.source == .dynamicTopicConfig)
    #expect(
      resolved.synonyms == [
        ConfigSynonym(name: "segment.bytes", value: "3000000", source: .dynamicTopicConfig),
        ConfigSynonym(name: "log.segment.bytes", value: "2000000", source: .staticBrokerConfig),
        ConfigSynonym(name: "log.segment.bytes", value: "1073741824", source: .defaultConfig),
      ])
    #expect(try topic(broker: broker).resolve("segment.bytes")?.source == .staticBrokerConfig)
    #expect(try topic().resolve("segment.bytes")?.source == .defaultConfig)
    #expect(try topic().resolve("nothing") == nil)
  }

  @Test(arguments: [
    ("log.retention.hours=2", "retention.ms", "7200000"),
    ("log.retention.minutes=3", "retention.ms", "180000"),
    ("log.retention.ms=4", "retention.ms", "4"),
    ("log.retention.hours=2\nlog.retention.minutes=3\nlog.retention.ms=4", "retention.ms", "4"),
    ("log.retention.hours=2\nlog.retention.minutes=3", "retention.ms", "180000"),
    ("log.retention.hours=-1", "retention.ms", "-1"),
    ("log.roll.hours=1", "segment.ms", "3600000"),
    ("log.roll.hours=1\nlog.roll.ms=9", "segment.ms", "9"),
    ("log.roll.jitter.hours=1", "segment.jitter.ms", "3600000"),
    ("log.flush.scheduler.interval.ms=8", "flush.ms", "8"),
    ("log.flush.scheduler.interval.ms=8\nlog.flush.interval.ms=7", "flush.ms", "7"),
    ("message.max.bytes=10", "max.message.bytes", "10"),
    ("log.cleanup.policy=compact", "cleanup.policy", "compact"),
  ])
  func unitsOfTheBroker(broker: String, name: String, expected: String) throws {
    #expect(try topic(broker: broker).resolve(name)?.value == expected)
  }

  @Test func policies() throws {
    let both = try topic(["cleanup.policy": "compact, delete"])
    #expect(both.isCompacted && both.isDeleted)
    let compact = try topic(["cleanup.policy": "compact"])
    #expect(compact.isCompacted && !compact.isDeleted)
  }

  @Test func everyConfigurationHasAnAnswer() throws {
    let resolved = try topic().resolved
    #expect(resolved.count == DocumentedNames.topic.count + DocumentedNames.ourTopic.count)
    #expect(resolved.map(\.key.name) == resolved.map(\.key.name).sorted())
    #expect(resolved.allSatisfy { $0.source == .defaultConfig && $0.value != nil })
  }

  @Test func segmentsBelowTheMinimumForTests() throws {
    #expect(try topic(["internal.segment.bytes": "100"]).segmentBytes == 100)
  }

  @Test func whatIsNotValidDoesNotCount() throws {
    let topic = try topic(["segment.bytes": "many", "from.the.future": "1"])
    #expect(topic.segmentBytes == 1_073_741_824)
    #expect(topic.overrides.isEmpty)
  }

  @Test(
    arguments: [
      ("foo", "1", "Unknown topic config name: foo"),
      ("segment.bytes", nil, "Null value not supported for topic configs: segment.bytes"),
      (
        "segment.bytes", "x",
        "Invalid value x for configuration segment.bytes: Not a number of type INT"
      ),
      (
        "segment.bytes", "14",
        "Invalid value 14 for configuration segment.bytes: Value must be at least 1048576"
      ),
      (
        "retention.ms", "-2",
        "Invalid value -2 for configuration retention.ms: Value must be at least -1"
      ),
      (
        "cleanup.policy", "shred",
        "Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete"
      ),
      (
        "compression.type", "brotli",
        "Invalid value brotli for configuration compression.type: String must be one of: "
          + "uncompressed, zstd, lz4, snappy, gzip, producer"
      ),
      (
        "message.timestamp.type", "createtime",
        "Invalid value createtime for configuration message.timestamp.type: String must be one of: "
          + "CreateTime, LogAppendTime"
      ),
      (
        "min.cleanable.dirty.ratio", "1.5",
        "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"
      ),
      (
        "preallocate", "ja",
        "Invalid value ja for configuration preallocate: Expected value to be either true or false"
      ),
      (
        "leader.replication.throttled.replicas", "a:b",
        "Invalid value a:b for configuration leader.replication.throttled.replicas: "
          + "leader.replication.throttled.replicas must be the literal '*' or a list of replicas in "
          + "the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
      ),
      (
        "remote.storage.enable", "true",
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with "
          + "remote log storage."
      ),
    ] as [(String, String?, String)])
  func refused(name: String, value: String?, message: String) {
    #expect(TopicConfiguration.violation(name: name, value: value) == message)
  }

  @Test(arguments: [
    ("segment.bytes", " 1048576 "), ("retention.ms", "-1"), ("cleanup.policy", "compact,delete"),
    ("leader.replication.throttled.replicas", "*"),
    ("leader.replication.throttled.replicas", "0:1,1:2"),
    ("follower.replication.throttled.replicas", ""), ("remote.storage.enable", "false"),
    ("preallocate", "TRUE"), ("compression.gzip.level", "-1"),
  ])
  func allowed(name: String, value: String) {
    #expect(TopicConfiguration.violation(name: name, value: value) == nil)
  }

  /// The table in docs/skipped.md has exactly the configs that are taken without effect, each with
  /// the reason that the program knows.
  @Test func whatHasNoEffectIsDocumented() throws {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let page = try String(contentsOf: root.appending(path: "docs/skipped.md"), encoding: .utf8)
    let section = try #require(page.components(separatedBy: "## Topic configs without effect").last)
    var documented: [String: String] = [:]
    for line in section.split(separator: "\n") where line.hasPrefix("| `") {
      let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
      documented[cells[0].trimmingCharacters(in: ["`"])] = cells[1]
    }
    var accepted: Set<String> = []
    for key in TopicKeys.all.map(\.key) {
      guard case .accepted(let reason) = key.effect else { continue }
      accepted.insert(key.name)
      #expect(documented[key.name]?.hasPrefix(reason.rawValue) == true, "\(key.name)")
    }
    #expect(Set(documented.keys) == accepted)
    // What would be unsafe to take is refused instead, in words.
    for key in TopicKeys.all.map(\.key) {
      guard case .refused(let reason) = key.effect else { continue }
      #expect(!reason.isEmpty, "\(key.name)")
    }
  }

  @Test func rulesBetweenSettings() throws {
    let broker = try BrokerConfiguration.load(file: nil)
    func violation(_ overrides: [String: String]) -> String? {
      TopicConfiguration.violation(inOverrides: overrides, broker: broker)
    }
    #expect(violation(["retention.ms": "5", "cleanup.policy": "compact"]) == nil)
    #expect(violation(["segment.ms": "0", "a.b": "1"]) == "Unknown topic config name: a.b")
    #expect(
      violation(["min.compaction.lag.ms": "6", "max.compaction.lag.ms": "5"])
        == "conflict topic config setting min.compaction.lag.ms (6) > max.compaction.lag.ms (5)")
  }
}
