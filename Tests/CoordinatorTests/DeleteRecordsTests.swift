// DeleteRecords: what is answered for which partition, and when.

import IPC
import KafkaProtocol
import Model
import Testing

@testable import Coordinator

@Suite struct DeleteRecordsTests {
  private func world() throws -> FakeWorld {
    let world = try FakeWorld()
    _ = try world.ask(
      CreateTopicsRequest(topics: [
        .init(name: "t", numPartitions: 2, replicationFactor: 1),
        .init(
          name: "c", numPartitions: 1, replicationFactor: 1,
          configs: [.init(name: "cleanup.policy", value: "compact")]),
      ]),
      version: 7)
    for partition in [0, 1] as [Int32] {
      let slot = try #require(world.logWriter.log("t", partition)).slot
      world.logWriter.logs[slot]?.endOffset = 10
    }
    return world
  }

  private func request(_ wanted: [(String, Int32, Int64)]) -> DeleteRecordsRequest {
    DeleteRecordsRequest(
      topics: wanted.map { topic, partition, offset in
        .init(name: topic, partitions: [.init(partitionIndex: partition, offset: offset)])
      }, timeoutMs: 1_000)
  }

  @Test(arguments: 0...2) func everyPartitionHasItsAnswer(_ version: Int16) throws {
    let world = try world()
    let cases: [(String, Int32, Int64, ErrorCode, Int64)] = [
      ("t", 0, 4, .none, 4), ("t", 1, -1, .none, 10), ("t", 0, 11, .offsetOutOfRange, -1),
      ("t", 2, 0, .unknownTopicOrPartition, -1), ("x", 0, 0, .unknownTopicOrPartition, -1),
      ("c", 0, 0, .policyViolation, -1), ("t", 0, -7, .offsetOutOfRange, -1),
      ("t", 1, 3, .none, 10),
    ]
    let answer = try world.ask(request(cases.map { ($0.0, $0.1, $0.2) }), version: version)
    #expect(answer.topics.count == cases.count)
    for (index, test) in cases.enumerated() {
      let result = answer.topics[index].partitions[0]
      #expect(answer.topics[index].name == test.0)
      #expect(result.errorCode == test.3, "\(test)")
      #expect(result.lowWatermark == test.4, "\(test)")
    }
    #expect(world.logWriter.log("t", 0)?.startOffset == 4)
  }

  @Test func internalTopicsAreLeftAlone() throws {
    let world = try world()
    _ = try world.ask(
      FindCoordinatorRequest(key: "g", keyType: 0, coordinatorKeys: []), version: 2)
    let answer = try world.ask(request([("__consumer_offsets", 0, 0)]), version: 2)
    #expect(answer.topics[0].partitions[0].errorCode == .invalidTopicException)
  }
}
