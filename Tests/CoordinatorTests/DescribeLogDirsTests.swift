// DescribeLogDirs: which directories, which partitions in them.

import IPC
import KafkaProtocol
import Model
import Testing

@testable import Coordinator

@Suite struct DescribeLogDirsTests {
  private func world() throws -> FakeWorld {
    let world = try FakeWorld()
    _ = try world.ask(
      CreateTopicsRequest(topics: [
        .init(name: "t", numPartitions: 2, replicationFactor: 1),
        .init(name: "u", numPartitions: 1, replicationFactor: 1),
      ]),
      version: 7)
    return world
  }

  @Test(arguments: 1...4) func allOfThem(_ version: Int16) throws {
    let answer = try world().ask(DescribeLogDirsRequest(topics: nil), version: version)
    #expect(answer.errorCode == .none)
    #expect(answer.results.map(\.logDir) == ["/a", "/b"])
    #expect(answer.results.map(\.errorCode) == [.none, .kafkaStorageError])
    #expect(answer.results[0].totalBytes == (version >= 4 ? 1000 : -1))
    #expect(answer.results[0].usableBytes == (version >= 4 ? 10 : -1))
    #expect(answer.results[0].topics.map(\.name) == ["t", "u"])
    #expect(answer.results[0].topics[0].partitions.map(\.partitionIndex) == [0, 1])
    #expect(answer.results[1].topics.isEmpty)
  }

  @Test func someOfThem() throws {
    let answer = try world().ask(
      DescribeLogDirsRequest(topics: [
        .init(topic: "t", partitions: [1, 9]), .init(topic: "x", partitions: [0]),
      ]), version: 4)
    #expect(answer.results[0].topics.map(\.name) == ["t"])
    #expect(answer.results[0].topics[0].partitions.map(\.partitionIndex) == [1])
    #expect(answer.results[1].logDir == "/b")
  }

  @Test func withoutALogwriter() throws {
    let world = try FakeWorld(connect: false)
    let answer = try world.ask(DescribeLogDirsRequest(topics: nil), version: 4)
    #expect(answer.errorCode == .kafkaStorageError)
    #expect(answer.results.isEmpty)
  }
}
