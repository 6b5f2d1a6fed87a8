// Whole fetches: what a client gets in which case.
import IPC
import KafkaProtocol
import Linux
import Model
import Testing

@testable import Fetcher

let topicId = UUID128(high: 1, low: 2)

func image(
  _ name: String = "t", id: UUID128 = topicId, slots: [UInt32] = [0], generation: UInt32 = 1
) -> TopicImage {
  TopicImage(
    name: name, id: id, maxMessageBytes: 1 << 20,
    partitions: slots.map { PartitionImage(slot: $0, generation: generation, leaderEpoch: 5) })
}

func request(
  _ offsets: [Int64], version: Int16, maxWaitMs: Int32 = 0, minBytes: Int32 = 1,
  maxBytes: Int32 = 1 << 20, partitionMaxBytes: Int32 = 1 << 20, sessionId: Int32 = 0,
  sessionEpoch: Int32 = -1, leaderEpoch: Int32 = -1, isolation: Int8 = 0, topic: String = "t",
  id: UUID128 = topicId
) -> FetchRequest {
  FetchRequest(
    maxWaitMs: maxWaitMs, minBytes: minBytes, maxBytes: maxBytes, isolationLevel: isolation,
    sessionId: sessionId, sessionEpoch: sessionEpoch,
    topics: [
      FetchRequest.FetchTopic(
        topic: version < 13 ? topic : "", topicId: version < 13 ? .zero : id,
        partitions: offsets.enumerated().map { index, offset in
          FetchRequest.FetchPartition(
            partition: Int32(index), currentLeaderEpoch: version >= 9 ? leaderEpoch : -1,
            fetchOffset: offset, partitionMaxBytes: partitionMaxBytes)
        })
    ])
}

@Suite(.serialized) struct ServingTests {
  /// A family with one topic of one partition that holds some batches.
  private func family(_ sizes: [Int], records: Int32 = 1) throws -> (Family, TestSegment) {
    let family = try Family()
    let segment = try TestSegment(family.directory, baseOffset: 0)
    try segment.append(sizes, records: records)
    try family.publish(slot: 0, segment)
    try family.publish([image()])
    try family.waitReady()
    return (family, segment)
  }

  @Test(arguments: 4...18 as ClosedRange<Int16>)
  func everyVersion(version: Int16) throws {
    let (family, segment) = try family([100, 20_000, 300])
    let connection = try family.connect()
    try family.send(request([0], version: version), version: version, on: connection)
    try family.answerOpen([segment])
    let response = try family.receive(version: version, on: connection)
    #expect(response.correlationId == 7)
    #expect(response.message.errorCode == .none)
    #expect(response.message.sessionId == 0)
    let partition = response.partitions[0]
    #expect(partition.errorCode == .none)
    #expect(partition.highWatermark == 3)
    #expect(partition.lastStableOffset == 3)
    #expect(partition.logStartOffset == (version >= 5 ? 0 : -1))
    #expect(partition.abortedTransactions == nil)
    #expect(response.records() == segment.bytes)
    // A second fetch needs no question, and small records are sent in one piece.
    let tail = try family.fetch(request([2], version: version), version: version, on: connection)
    #expect(tail.records() == Array(segment.bytes[20_100...]))
    try family.stop()
  }

  @Test func aFetchAtTheEndWaitsForRecords() throws {
    let (family, segment) = try family([100])
    let connection = try family.connect()
    try family.send(request([0], version: 12), version: 12, on: connection)
    try family.answerOpen([segment])
    _ = try family.receive(version: 12, on: connection)
    for _ in 0..<50 {
      let offset = segment.nextOffset
      try family.send(
        request([offset], version: 12, maxWaitMs: 60_000), version: 12, on: connection)
      try family.await("parked", 1)
      let before = segment.bytes.count
      try segment.append([120])
      try family.publish(slot: 0, segment)
      let response = try family.receive(version: 12, on: connection)
      #expect(response.records() == Array(segment.bytes[before...]))
    }
    try family.stop()
  }

  @Test func minBytesGatherOverSeveralWakeUps() throws {
    let (family, segment) = try family([100])
    let connection = try family.connect()
    try family.send(
      request([1], version: 12, maxWaitMs: 60_000, minBytes: 500), version: 12, on: connection)
    try family.await("parked", 1)
    for _ in 0..<4 {
      try segment.append([100])
      try family.publish(slot: 0, segment)
      if segment.batches.count == 2 { try family.answerOpen([segment]) }
      #expect(try family.counter("parked") == 1)
    }
    try segment.append([100])
    try family.publish(slot: 0, segment)
    let response = try family.receive(version: 12, on: connection)
    #expect(response.records().count == 500)
    try family.stop()
  }

  @Test func whenTimeIsUpTheAnswerIsEmpty() throws {
    let (family, _) = try family([100])
    let connection = try family.connect()
    let response = try family.fetch(
      request([1], version: 11, maxWaitMs: 30), version: 11, on: connection)
    #expect(response.partitions[0].errorCode == .none)
    #expect(response.partitions[0].highWatermark == 1)
    #expect(response.records().isEmpty)
    try family.stop()
  }

  @Test(arguments: [
    (Int64(2), Int32(-1), ErrorCode.offsetOutOfRange), (-1, -1, .offsetOutOfRange),
    (0, 4, .fencedLeaderEpoch), (0, 6, .unknownLeaderEpoch), (1, 5, .none),
  ])
  func errorsOfAPartition(offset: Int64, epoch: Int32, error: ErrorCode) throws {
    let (family, _) = try family([100])
    let connection = try family.connect()
    let response = try family.fetch(
      request([offset], version: 12, maxWaitMs: error == .none ? 0 : 60_000, leaderEpoch: epoch),
      version: 12, on: connection)
    #expect(response.partitions[0].errorCode == error)
    #expect(response.partitions[0].highWatermark == (error == .none ? 1 : -1))
    #expect(response.records().isEmpty)
    try family.stop()
  }

  @Test func topicsThatDoNotExist() throws {
    let (family, _) = try family([100])
    let connection = try family.connect()
    let byName = try family.fetch(
      request([0], version: 12, maxWaitMs: 60_000, topic: "nope"), version: 12, on: connection)
    #expect(byName.partitions[0].errorCode == .unknownTopicOrPartition)
    let byId = try family.fetch(
      request([0], version: 13, maxWaitMs: 60_000, id: .zero), version: 13, on: connection)
    #expect(byId.partitions[0].errorCode == .unknownTopicId)
    #expect(byId.message.responses[0].topicId == .zero)
    // Of the two partitions asked for there is one.
    let beyond = try family.fetch(
      request([1, 0], version: 12), version: 12, on: connection)
    #expect(beyond.partitions.map(\.errorCode) == [.none, .unknownTopicOrPartition])
    try family.stop()
  }

  /// Whoever was told of a topic may use it: the image waits in the socket.
  @Test func anImageThatHasJustCome() throws {
    let (family, segment) = try family([100])
    let connection = try family.connect()
    for number in 2..<20 as Range<UInt64> {
      let id = UUID128(high: 9, low: number)
      try family.publish(slot: UInt32(number), segment)
      try family.publish(
        [image("t\(number)", id: id, slots: [UInt32(number)])], snapshot: false)
      try family.send(
        request([1], version: 13, id: id), version: 13, on: connection)
      let response = try family.receive(version: 13, on: connection)
      #expect(response.partitions[0].errorCode == .none)
    }
    try family.stop()
  }

  @Test func requestsOfAConnectionAreServedInOrder() throws {
    let (family, segment) = try family([100, 200, 300])
    let connection = try family.connect()
    for (number, offset) in ([3, 2, 1, 0] as [Int64]).enumerated() {
      try family.send(
        request([offset], version: 12, maxWaitMs: 20), version: 12,
        correlationId: Int32(number), on: connection)
    }
    try family.answerOpen([segment])
    for number in 0..<4 {
      while case .openSegment? = try family.logwriter.poll() {}
      let response = try family.receive(version: 12, on: connection)
      #expect(response.correlationId == Int32(number))
      #expect(response.partitions[0].highWatermark == 3)
    }
    try family.stop()
  }

  @Test func limitsAndTheFirstBatch() throws {
    let (family, segment) = try family([1000, 50_000, 1000])
    let connection = try family.connect()
    try family.send(
      request([0], version: 12, maxBytes: 10, partitionMaxBytes: 10), version: 12, on: connection)
    try family.answerOpen([segment])
    #expect(try family.receive(version: 12, on: connection).records().count == 1000)
    for (offset, maxBytes, expected) in [
      (Int64(0), Int32(0), 1000), (0, 50_999, 1000), (0, 51_000, 51_000), (1, 1, 50_000),
      (1, 100_000, 51_000),
    ] {
      let response = try family.fetch(
        request([offset], version: 12, partitionMaxBytes: maxBytes), version: 12, on: connection)
      #expect(response.records().count == expected, "\(offset) \(maxBytes)")
    }
    try family.stop()
  }

  @Test func aLogThatRollsOn() throws {
    let (family, first) = try family([100, 200])
    let connection = try family.connect()
    try family.send(request([0], version: 12), version: 12, on: connection)
    try family.answerOpen([first])
    #expect(try family.receive(version: 12, on: connection).records() == first.bytes)
    try first.append([300])
    let second = try TestSegment(family.directory, baseOffset: first.nextOffset)
    try second.append([400])
    try family.publish(slot: 0, second)
    // What was the active segment has ended somewhere: that is asked for.
    try family.send(request([1], version: 12), version: 12, on: connection)
    #expect(try family.answerOpen([first, second]).offset == 1)
    #expect(
      try family.receive(version: 12, on: connection).records() == Array(first.bytes[100...]))
    try family.send(request([3], version: 12), version: 12, on: connection)
    #expect(try family.answerOpen([first, second]).offset == 3)
    #expect(try family.receive(version: 12, on: connection).records() == second.bytes)
    // Both are at hand now.
    let old = try family.fetch(request([2], version: 12), version: 12, on: connection)
    #expect(old.records() == Array(first.bytes[300...]))
    #expect(try family.counter("segments_open") == 2)
    try family.stop()
  }

  @Test func readCommittedStopsAtTheLastStableOffset() throws {
    let (family, segment) = try family([100, 200, 300])
    try family.publish(slot: 0, segment, stable: 2)
    let connection = try family.connect()
    try family.send(request([0], version: 12, isolation: 1), version: 12, on: connection)
    try family.answerOpen([segment])
    let response = try family.receive(version: 12, on: connection)
    #expect(response.records().count == 300)
    #expect(response.partitions[0].lastStableOffset == 2)
    #expect(response.partitions[0].highWatermark == 3)
    #expect(response.partitions[0].abortedTransactions?.isEmpty == true)
    let open = try family.fetch(request([0], version: 12), version: 12, on: connection)
    #expect(open.records().count == 600)
    try family.stop()
  }

  @Test func anOfflinePartition() throws {
    let (family, segment) = try family([100])
    try family.publish(slot: 0, segment, offline: true)
    let connection = try family.connect()
    let response = try family.fetch(
      request([0], version: 12, maxWaitMs: 60_000), version: 12, on: connection)
    #expect(response.partitions[0].errorCode == .kafkaStorageError)
    try family.stop()
  }

  /// One whose disk is away has no slot to look at.
  @Test func aPartitionThatIsNotThereAtAll() throws {
    let (family, segment) = try family([100])
    try family.publish([image(slots: [PartitionImage.offlineSlot, 0])])
    let connection = try family.connect()
    try family.send(
      request([0, 0], version: 12, maxWaitMs: 60_000), version: 12, on: connection)
    try family.answerOpen([segment])
    let response = try family.receive(version: 12, on: connection)
    #expect(
      response.message.responses[0].partitions.map(\.errorCode) == [.kafkaStorageError, .none])
    // An error is not kept waiting for the segment of another one, which is there the next time.
    var count = 0
    for _ in 0..<1000 where count == 0 {
      count = try family.fetch(request([0, 0], version: 12), version: 12, on: connection)
        .records(1).count
    }
    #expect(count == 100)
    try family.stop()
  }

  @Test func nobodyNeedsMorePartitionsThanThereCanBe() throws {
    var fetch = request([0], version: 12)
    let partition = fetch.topics[0].partitions[0]
    for (count, isRead) in [
      (FetchRequestReading.partitionsMax, true), (FetchRequestReading.partitionsMax + 1, false),
    ] {
      fetch.topics[0].partitions = Array(repeating: partition, count: count)
      var writer = WireWriter()
      try writer.writeRequest(fetch, version: 12, correlationId: 1, clientId: nil)
      let frame = Array(writer.bytes.dropFirst(4))
      #expect(((try? FetchRequestReading.head(frame)) != nil) == isRead)
    }
  }

  @Test func nonsenseClosesTheConnection() throws {
    let (family, segment) = try family([100])
    for frame: [UInt8] in [
      [], [1], [0, 1, 0, 12], [0, 3, 0, 12, 0, 0, 0, 1, 255, 255, 0],
      [0, 1, 0, 99, 0, 0, 0, 1, 255, 255, 0], [0, 1, 0, 3, 0, 0, 0, 1, 255, 255],
    ] {
      let connection = try family.connect()
      try family.send(frame, on: connection)
      guard case .refused(let number, let reason) = try family.frontend.next() else {
        Issue.record("not refused")
        continue
      }
      #expect(number == connection.number)
      #expect(reason.hasPrefix("a Fetch request that cannot be read"))
    }
    // Nobody else is disturbed.
    let connection = try family.connect()
    try family.send(request([0], version: 12), version: 12, on: connection)
    try family.answerOpen([segment])
    #expect(try family.receive(version: 12, on: connection).records().count == 100)
    #expect(try family.counter("connections") == 1)
    try family.stop()
  }
}
