// Frames of requests: what is read from them, and that no bytes at all do harm.
import Foundation
import KafkaProtocol
import Model
import Testing

@testable import Fetcher

struct RequestReadingTests {
  private func frame(_ request: FetchRequest, version: Int16) throws -> [UInt8] {
    var writer = WireWriter()
    try writer.writeRequest(request, version: version, correlationId: 9, clientId: "me")
    return Array(writer.bytes.dropFirst(4))
  }

  private func example(_ version: Int16) -> FetchRequest {
    var example = request(
      [5, 6], version: version, maxWaitMs: 7, minBytes: 8, maxBytes: 9, partitionMaxBytes: 10,
      sessionId: version >= 7 ? 11 : 0, sessionEpoch: version >= 7 ? 12 : -1, leaderEpoch: 13,
      isolation: 1)
    if version >= 7 {
      example.forgottenTopicsData = [
        .init(
          topic: version < 13 ? "t" : "", topicId: version < 13 ? .zero : topicId,
          partitions: [0])
      ]
    }
    return example
  }

  @Test(arguments: 4...18 as ClosedRange<Int16>)
  func everyVersionIsRead(version: Int16) throws {
    let frame = try frame(example(version), version: version)
    let head = try FetchRequestReading.head(frame)
    #expect(head.version == version)
    #expect(head.correlationId == 9)
    #expect(head.replicaId == -1)
    #expect([head.maxWaitMs, head.minBytes, head.maxBytes] == [7, 8, 9])
    #expect(head.isReadCommitted)
    #expect(head.sessionId == (version >= 7 ? 11 : 0))
    #expect(head.isFull == (version < 7))
    let partitions = FetchPartitions(usesTopicIds: head.usesTopicIds)
    try FetchRequestReading.take(frame, head, into: partitions)
    // From version 7 on the first of both partitions is forgotten again.
    let left = partitions.order.map { partitions.targets[Int($0)] }
    #expect(left.map(\.partition) == (version >= 7 ? [1] : [0, 1]))
    #expect(left.last?.fetchOffset == 6)
    #expect(left.last?.maxBytes == 10)
    #expect(left.last?.currentLeaderEpoch == (version >= 9 ? 13 : -1))
  }

  @Test func replicasAreKnownInEveryVersion() throws {
    var old = example(12)
    old.replicaId = 3
    #expect(try FetchRequestReading.head(try frame(old, version: 12)).replicaId == 3)
    var new = example(15)
    new.replicaState.replicaId = 4
    #expect(try FetchRequestReading.head(try frame(new, version: 15)).replicaId == 4)
  }

  @Test func randomChangesNeverTrap() throws {
    let given = ProcessInfo.processInfo.environment["SLUICE_TEST_SEED"].flatMap { UInt64($0) }
    let seed = given ?? UInt64.random(in: 0 ... .max)
    var generator = SplitMix(state: seed)
    var accepted = 0
    for _ in 0..<20_000 {
      let version = Int16.random(in: 4...18, using: &generator)
      var bytes = try frame(example(version), version: version)
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let index = Int.random(in: 0..<bytes.count, using: &generator)
        bytes[index] = UInt8.random(in: 0...255, using: &generator)
      }
      if Bool.random(using: &generator) {
        bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator))
      }
      guard let head = try? FetchRequestReading.head(bytes) else { continue }
      let partitions = FetchPartitions(usesTopicIds: head.usesTopicIds)
      try FetchRequestReading.take(bytes, head, into: partitions)
      #expect(partitions.count <= 8, "SLUICE_TEST_SEED=\(seed)")
      accepted += 1
    }
    #expect(accepted > 0, "SLUICE_TEST_SEED=\(seed)")
  }
}

private struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
