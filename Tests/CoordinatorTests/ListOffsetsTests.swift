// ListOffsets: ends, times, and what cannot be answered.

import Compression
import IPC
import KafkaProtocol
import Model
import Records
import Testing

@testable import Coordinator

@Suite struct ListOffsetsTests {
  /// A topic with batches of three records each, at 1000, 1010, 1020 ms, 2000, 2010, ….
  private func world(
    batches: Int, compression: CompressionType = .none
  ) throws -> FakeWorld {
    let world = try FakeWorld()
    _ = try world.ask(
      CreateTopicsRequest(topics: [.init(name: "t", numPartitions: 1, replicationFactor: 1)]),
      version: 7)
    let slot = try #require(world.logWriter.log("t")).slot
    for number in 1...max(1, batches) where batches > 0 {
      var builder = RecordBatchBuilder()
      for record in 0..<3 {
        builder.append(
          timestamp: Int64(number * 1_000 + record * 10), key: nil,
          value: [UInt8](repeating: 1, count: 2_000))
      }
      let batch = try builder.build(compression: compression) { bytes in
        try Compression.compress(bytes, as: compression)
      }
      _ = world.logWriter.append(slot, batch)
    }
    return world
  }

  private func find(
    _ world: FakeWorld, _ timestamp: Int64, version: Int16 = 9, epoch: Int32 = -1,
    topic: String = "t", partition: Int32 = 0
  ) throws -> ListOffsetsResponse.ListOffsetsPartitionResponse {
    let answer = try world.ask(
      ListOffsetsRequest(
        replicaId: -1,
        topics: [
          .init(
            name: topic,
            partitions: [
              .init(
                partitionIndex: partition, currentLeaderEpoch: epoch, timestamp: timestamp)
            ])
        ]), version: version)
    return answer.topics[0].partitions[0]
  }

  @Test func theEndsOfALog() throws {
    let world = try world(batches: 4)
    for (timestamp, offset) in [(-1, 12), (-2, 0), (-4, 0), (-5, -1)] as [(Int64, Int64)] {
      let found = try find(world, timestamp)
      #expect(found.errorCode == .none)
      #expect(found.offset == offset)
      #expect(found.timestamp == -1)
      #expect(found.leaderEpoch == (offset < 0 ? -1 : 0))
    }
    let newest = try find(world, -3)
    #expect(newest.offset == 11)
    #expect(newest.timestamp == 4_020)
  }

  @Test(arguments: CompressionType.allCases) func timesAreFound(_ type: CompressionType) throws {
    let world = try world(batches: 100, compression: type)
    for (timestamp, offset, at) in [
      (0, 0, 1_000), (1_000, 0, 1_000), (1_001, 1, 1_010), (1_021, 3, 2_000),
      (50_015, 149, 50_020), (100_020, 299, 100_020), (100_021, -1, -1),
    ] as [(Int64, Int64, Int64)] {
      let found = try find(world, timestamp)
      #expect(found.errorCode == .none)
      #expect(found.offset == offset, "\(timestamp)")
      #expect(found.timestamp == at, "\(timestamp)")
    }
  }

  /// The log answers with the batch's last offset, the client wants the record's own.
  @Test(arguments: CompressionType.allCases) func theGreatestTimeIsARecords(
    _ type: CompressionType
  ) throws {
    let world = try world(batches: 2, compression: type)
    let slot = try #require(world.logWriter.log("t")).slot
    var builder = RecordBatchBuilder()
    for timestamp in [Int64(5_000), 9_000, 9_000, 7_000] {
      builder.append(timestamp: timestamp, key: nil, value: [1])
    }
    let batch = try builder.build(compression: type) { bytes in
      try Compression.compress(bytes, as: type)
    }
    _ = world.logWriter.append(slot, batch)
    let found = try find(world, -3)
    #expect(found.errorCode == .none)
    #expect(found.offset == 7)
    #expect(found.timestamp == 9_000)
  }

  @Test func anEmptyLogHasNoTimes() throws {
    let world = try world(batches: 0)
    for timestamp in [Int64(0), 5_000, -3] {
      let found = try find(world, timestamp)
      #expect(found.errorCode == .none)
      #expect(found.offset == -1)
    }
    #expect(try find(world, -1).offset == 0)
  }

  @Test func errors() throws {
    let world = try world(batches: 1)
    #expect(try find(world, -1, topic: "none").errorCode == .unknownTopicOrPartition)
    #expect(try find(world, -1, partition: 1).errorCode == .unknownTopicOrPartition)
    #expect(try find(world, -1, partition: -1).errorCode == .unknownTopicOrPartition)
    #expect(try find(world, -1, epoch: 1).errorCode == .unknownLeaderEpoch)
    #expect(try find(world, -1, epoch: 0).errorCode == .none)
    #expect(try find(world, -3, version: 6).errorCode == .unsupportedForMessageFormat)
    #expect(try find(world, -4, version: 7).errorCode == .unsupportedVersion)
    #expect(try find(world, -99).errorCode == .unsupportedVersion)
    world.disconnect()
    #expect(try find(world, -1).errorCode == .leaderNotAvailable)
  }

  @Test func aPartitionAskedForTwiceIsAMistake() throws {
    let world = try world(batches: 1)
    let answer = try world.ask(
      ListOffsetsRequest(
        replicaId: -1,
        topics: [
          .init(
            name: "t",
            partitions: [
              .init(partitionIndex: 0, timestamp: -1), .init(partitionIndex: 0, timestamp: -2),
            ])
        ]), version: 5)
    #expect(answer.topics[0].partitions.map(\.errorCode) == [.invalidRequest, .invalidRequest])
  }

  @Test func aLogThatBreaksOffIsAnErrorNotATrap() throws {
    let world = try world(batches: 3)
    let slot = try #require(world.logWriter.log("t")).slot
    let bytes = try #require(world.logWriter.logs[slot]).bytes
    var seed = Seed()
    for _ in 0..<200 {
      var damaged = bytes
      for _ in 0..<seed.int(1...20) {
        damaged[seed.int(0...damaged.count - 1)] = UInt8(seed.int(0...255))
      }
      if seed.chance(30) { damaged.removeLast(seed.int(1...damaged.count)) }
      world.logWriter.logs[slot]?.bytes = damaged
      _ = try find(world, Int64(seed.int(0...5_000)))
    }
  }
}
