// Topics through the APIs: create, find, grow, delete.

import IPC
import KafkaProtocol
import Model
import Testing

@testable import Coordinator

@Suite struct TopicApiTests {
  @Test func aTopicIsCreatedAndFound() throws {
    let world = try FakeWorld()
    let created = try world.ask(
      CreateTopicsRequest(topics: [.init(name: "orders", numPartitions: 3, replicationFactor: 1)]),
      version: 7)
    let topic = try #require(created.topics.first)
    #expect(topic.errorCode == .none)
    #expect(topic.numPartitions == 3)
    #expect(topic.topicId != .zero)
    #expect(world.logWriter.logs.count == 3)

    let metadata = try world.ask(MetadataRequest(topics: nil), version: 13)
    #expect(metadata.brokers.map(\.host) == ["10.0.0.1"])
    #expect(metadata.brokers.map(\.port) == [9092])
    #expect(metadata.topics.map(\.name) == ["orders"])
    #expect(metadata.topics[0].topicId == topic.topicId)
    #expect(metadata.topics[0].partitions.map(\.leaderId) == [1, 1, 1])
  }

  @Test func theImageComesBeforeTheAnswer() throws {
    let world = try FakeWorld()
    _ = try world.ask(
      CreateTopicsRequest(topics: [.init(name: "a", numPartitions: 1, replicationFactor: 1)]),
      version: 5)
    let image = try #require(world.images.last)
    #expect(image.topics.map(\.name) == ["a"])
    #expect(image.topics[0].partitions.map(\.slot) == [0])
    #expect(world.sent.last?.imageEpoch == image.epoch)
    #expect(!image.isSnapshot)
  }

  @Test(arguments: 0...13) func metadataCreatesTopics(version: Int16) throws {
    let world = try FakeWorld(["num.partitions=2"])
    let metadata = try world.ask(
      MetadataRequest(topics: [.init(name: "new")], allowAutoTopicCreation: true),
      version: version)
    #expect(metadata.topics.map(\.errorCode) == [.none])
    #expect(metadata.topics.map { $0.partitions.count } == [2])
  }
}
