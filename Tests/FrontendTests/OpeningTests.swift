// Produce requests whose batches codecs open first, with a fake codec and a fake logwriter.
import IPC
import KafkaProtocol
import Linux
import Model
import Records
import Testing

@testable import Frontend

private let topicId = UUID128(high: 1, low: 2)

/// A frontend that knows the topic `t`, and a codec.
private func harness(
  _ compression: TopicCompression = .producer, requiresKeys: Bool = false, checks: Bool = true,
  codecs: Int = 1, maxMessageBytes: Int32 = 1_048_588
) throws -> Harness {
  var limits = Harness.limits()
  limits.opening.checksCompressed = checks
  limits.opening.requestMaxBytes = limits.requestMaxBytes
  let harness = try Harness(limits: limits, serves: false)
  for number in 0..<codecs {
    harness.codecs.append(try FakeCodec(harness.directory, UInt32(number + 1)))
  }
  for slot in 0..<3 { harness.logwriter.publish(UInt32(slot), generation: 1) }
  harness.coordinator.snapshot = ImageUpdate(
    epoch: 1, isSnapshot: true,
    topics: [
      TopicImage(
        name: "t", id: topicId, maxMessageBytes: maxMessageBytes,
        partitions: (0..<3).map { PartitionImage(slot: $0, generation: 1, leaderEpoch: 0) },
        requiresKeys: requiresKeys, compression: compression)
    ], removed: [])
  try harness.until("it serves") { harness.status.value != "" }
  return harness
}

/// A batch that claims to be compressed; nobody looks inside but the fake codec.
private func compressed(
  _ type: CompressionType = .lz4, value: UInt8 = 1, size: Int = 40, producerId: Int64 = -1,
  sequence: Int32 = 0
) -> [UInt8] {
  var header = RecordBatchHeader(
    attributes: RecordBatchAttributes(compression: type), lastOffsetDelta: 0,
    baseTimestamp: 50, maxTimestamp: 60, recordCount: 1)
  if producerId >= 0 {
    header.producerId = producerId
    header.producerEpoch = 0
    header.baseSequence = sequence
  }
  var bytes = [UInt8](repeating: 0, count: RecordBatchHeader.size + size)
  bytes.withUnsafeMutableBytes {
    header.writeBatch(records: [UInt8](repeating: value, count: size), to: $0)
  }
  return bytes
}

private func header(_ bytes: [UInt8]) throws -> RecordBatchHeader {
  try bytes.withUnsafeBytes { raw in
    let header = try #require(RecordBatchHeader(raw))
    #expect(header.checksumMatches(raw))
    return header
  }
}

@Suite(.serialized) struct OpeningTests {
  @Test func nothingIsOpenedWithoutNeed() throws {
    for (source, checks) in [(CompressionType.lz4, false), (.none, true)] {
      let harness = try harness(checks: checks)
      let batch = source == .none ? Requests.batch() : compressed(source)
      let response = try harness.exchangeProduce(
        try harness.client(), try Requests.produce([(0, batch)]))
      #expect(response.responses[0].partitionResponses[0].errorCode == .none)
      #expect(!harness.codecs[0].isConnected)
      #expect(harness.logwriter.entries[0].batch == batch)
    }
  }

  @Test func aCheckedBatchIsStoredWithItsGreatestTimestamp() throws {
    let harness = try harness()
    let response = try harness.exchangeProduce(
      try harness.client(), try Requests.produce([(1, compressed())]))
    #expect(response.responses[0].partitionResponses[0].errorCode == .none)
    let stored = try header(try #require(harness.logwriter.entries.first).batch)
    #expect(stored.maxTimestamp == 77)
    #expect(stored.baseTimestamp == 50)
    #expect(stored.compression == .lz4)
    #expect(harness.frontend.counters.opened == 1)
  }

  @Test func theGreatestTimestampOfPlainRecordsIsCorrected() throws {
    let harness = try harness()
    var builder = RecordBatchBuilder()
    let now = Clock.wallMs()
    for delta in [0, 9, 4] as [Int64] {
      builder.append(timestamp: now + delta, key: nil, value: [1])
    }
    builder.header.maxTimestamp = -1
    _ = try harness.exchangeProduce(
      try harness.client(), try Requests.produce([(0, builder.build())]))
    #expect(try header(harness.logwriter.entries[0].batch).maxTimestamp == now + 9)
  }

  @Test(arguments: [10, 40, 400]) func recompressedRecordsTakeTheirPlace(size: Int) throws {
    let harness = try harness(TopicCompression(type: .zstd, level: 5))
    harness.codecs[0].answer = {
      OpenedEntry(
        cookie: $0.cookie, verdict: .sound, maxTimestamp: 77,
        records: [UInt8](repeating: 9, count: size))
    }
    let client = try harness.client()
    let free = harness.frontend.pool.freeBytes
    for number in 0..<3 as Range<Int32> {
      let batch = compressed(.gzip, producerId: 7, sequence: number)
      let response = try harness.exchangeProduce(client, try Requests.produce([(1, batch)]))
      #expect(response.responses[0].partitionResponses[0].errorCode == .none)
    }
    for (number, item) in harness.logwriter.entries.enumerated() {
      let stored = try header(item.batch)
      #expect(stored.compression == .zstd)
      #expect(stored.maxTimestamp == 77)
      #expect(stored.producerId == 7)
      #expect(stored.baseSequence == Int32(number))
      #expect(item.batch.count == RecordBatchHeader.size + size)
      #expect(item.batch.last == 9)
    }
    #expect(harness.frontend.counters.recompressed == 3)
    harness.frontend.pool.closeOpen()
    #expect(harness.frontend.pool.freeBytes >= free)
  }

  @Test func theCodecIsToldWhatTheTopicWants() throws {
    let harness = try harness(
      TopicCompression(type: .gzip, level: 3), requiresKeys: true, maxMessageBytes: 5000)
    harness.codecs[0].answersAtOnce = false
    let client = try harness.client()
    try client.send(try Requests.produce([(0, compressed(.gzip)), (1, compressed(.snappy))]))
    try harness.until("both are there") { harness.codecs[0].entries.count == 2 }
    let (same, other) = (harness.codecs[0].entries[0], harness.codecs[0].entries[1])
    #expect(same.entry.target == nil)
    #expect(other.entry.target == .gzip)
    #expect(other.entry.level == 3)
    #expect(same.entry.requiresKeys && other.entry.requiresKeys)
    #expect(other.entry.batchMax == 5000)
    #expect(other.entry.decompressedMax == 4 << 20)
    #expect(same.batch == compressed(.gzip))
  }

  @Test func nothingOvertakesABatchThatIsBeingOpened() throws {
    let harness = try harness()
    harness.codecs[0].answersAtOnce = false
    let client = try harness.client()
    var bytes: [UInt8] = []
    for number in 0..<12 as Range<Int32> {
      let value = UInt8(number)
      let batch =
        number % 3 == 0
        ? compressed(value: value, producerId: 3, sequence: number)
        : Requests.batch([value], producerId: 3, sequence: number)
      bytes += try Requests.produce([(0, batch)], correlationId: number)
    }
    try client.send(bytes)
    // Another client is not kept waiting.
    let other = try harness.client()
    _ = try harness.exchangeProduce(other, try Requests.produce([(0, Requests.batch([99]))]))
    try harness.until("they are being opened") { harness.codecs[0].entries.count == 4 }
    try harness.rounds(5)
    #expect(harness.logwriter.entries.count == 1)
    try harness.codecs[0].answer(2)
    try harness.until("the first ones") { harness.logwriter.entries.count == 1 + 6 }
    try harness.codecs[0].answer(2)
    try harness.until("all") { harness.logwriter.entries.count == 13 }
    let sequences = try harness.logwriter.entries.dropFirst().map {
      try header($0.batch).baseSequence
    }
    #expect(sequences == (0..<12).map { Int32($0) })
    var seen: [Int32] = []
    try harness.until("all are answered") {
      while let frame = client.next() { seen.append(Requests.correlationId(frame)) }
      return seen.count == 12
    }
    #expect(seen == (0..<12).map { Int32($0) })
  }

  @Test(arguments: [
    (OpenedEntry.Verdict.corrupt, [Int32](), ErrorCode.invalidRecord),
    (.decompressedTooLarge, [], .messageTooLarge), (.malformedRecord, [], .invalidRecord),
    (.noKey, [2, 5], .invalidRecord), (.timestamp, [1], .invalidTimestamp),
    (.recompressedTooLarge, [], .messageTooLarge),
  ])
  func aVerdictIsAnError(verdict: OpenedEntry.Verdict, faults: [Int32], error: ErrorCode) throws {
    let harness = try harness()
    harness.codecs[0].answer = {
      OpenedEntry(cookie: $0.cookie, verdict: verdict, detail: 4, faults: faults)
    }
    let response = try harness.exchangeProduce(
      try harness.client(),
      try Requests.produce([(0, Requests.batch()), (1, compressed()), (2, Requests.batch())]))
    let answers = response.responses[0].partitionResponses
    #expect(answers.map(\.errorCode) == [.none, error, .none])
    #expect(answers[1].errorMessage?.contains("in topic partition t-1.") == true)
    let expected = verdict == .malformedRecord ? [4] : faults
    #expect(answers[1].recordErrors.map(\.batchIndex) == expected)
    #expect(harness.logwriter.entries.count == 2)
  }

  @Test func aCodecThatDiesIsFollowedByAnother() throws {
    let harness = try harness(codecs: 2)
    for codec in harness.codecs { codec.answersAtOnce = false }
    let client = try harness.client()
    var bytes: [UInt8] = []
    for number in 0..<6 as Range<Int32> {
      bytes += try Requests.produce([(0, compressed(value: UInt8(number)))], correlationId: number)
    }
    try client.send(bytes)
    try harness.until("they are being opened") {
      harness.codecs.reduce(0) { $0 + $1.entries.count } == 6
    }
    harness.codecs[0].die()
    for codec in harness.codecs { codec.answersAtOnce = true }
    try harness.until("all are stored") { harness.logwriter.entries.count == 6 }
    #expect(harness.logwriter.entries.map { $0.batch.last } == (0..<6).map { UInt8($0) })
  }

  /// One batch is what they die of; what was with it is none the worse.
  @Test func whatThreeCodecsDieOfIsRefused() throws {
    let harness = try harness()
    let codec = harness.codecs[0]
    codec.answersAtOnce = false
    let client = try harness.client()
    var bytes: [UInt8] = []
    for number in 0..<5 as Range<Int32> {
      bytes += try Requests.produce([(0, compressed(value: UInt8(number)))], correlationId: number)
    }
    try client.send(bytes)
    var deaths = 0
    var codes: [ErrorCode] = []
    try harness.until("all are answered") {
      while let oldest = codec.entries.first {
        if oldest.batch.last == 2 {
          codec.die()
          deaths += 1
        } else {
          try codec.answer(1)
        }
      }
      while let frame = client.next() {
        let response = try Requests.response(ProduceResponse.self, frame, version: 9)
        codes.append(response.responses[0].partitionResponses[0].errorCode)
      }
      return codes.count == 5
    }
    #expect(codes == [.none, .none, .invalidRecord, .none, .none])
    #expect(deaths == OpeningQueue.lossesMax)
    #expect(harness.logwriter.entries.map { $0.batch.last } == [0, 1, 3, 4])
  }

  @Test func aCodecThatTalksNonsenseIsGivenUp() throws {
    let harness = try harness()
    let codec = harness.codecs[0]
    codec.answersAtOnce = false
    let client = try harness.client()
    try client.send(try Requests.produce([(0, compressed())]))
    try harness.until("it is being opened") { codec.entries.count == 1 }
    try codec.say(.opened([OpenedEntry(cookie: 4711, verdict: .sound)]))
    codec.die()
    codec.answersAtOnce = true
    try harness.until("it is stored") { harness.logwriter.entries.count == 1 }
    #expect(harness.frontend.failure == nil)
  }

  @Test func withoutACodecABatchIsRefusedInTime() throws {
    let harness = try harness(codecs: 0)
    let response = try harness.exchangeProduce(
      try harness.client(), try Requests.produce([(0, compressed())], timeoutMs: 50))
    #expect(
      response.responses[0].partitionResponses[0].errorCode == .notLeaderOrFollower)
    #expect(harness.frontend.produce.openings.isEmpty)
  }

  @Test func aClientThatLeavesLeavesNothingBehind() throws {
    let harness = try harness(TopicCompression(type: .zstd))
    let codec = harness.codecs[0]
    codec.answersAtOnce = false
    codec.answer = {
      OpenedEntry(
        cookie: $0.cookie, verdict: .sound, maxTimestamp: 1,
        records: [UInt8](repeating: 9, count: 5000))
    }
    let request = try Requests.produce([(0, compressed()), (1, compressed())])
    _ = try harness.client()
    for _ in 0..<4 { try harness.clients[0].send(request) }
    try harness.until("they are being opened") { codec.entries.count == 8 }
    try harness.clients[0].abort()
    harness.clients.removeAll()
    try harness.until("it is noticed") { harness.frontend.connections.count == 0 }
    codec.answersAtOnce = true
    try harness.until("they are stored") { harness.logwriter.answered == 8 }
    try harness.rounds(5)
    #expect(harness.frontend.produce.requests.count == 0)
    #expect(harness.frontend.produce.queue.appends.count == 0)
    #expect(harness.frontend.produce.openings.isEmpty)
    harness.frontend.pool.closeOpen()
    #expect(harness.frontend.pool.freeBytes == harness.frontend.pool.size)
  }

  @Test func answersWaitForRoomInTheSlab() throws {
    var limits = Harness.limits()
    limits.slabBytes = 4 << 20
    let harness = try Harness(limits: limits, serves: false)
    harness.codecs.append(try FakeCodec(harness.directory))
    harness.logwriter.publish(0, generation: 1)
    harness.coordinator.snapshot = ImageUpdate(
      epoch: 1, isSnapshot: true,
      topics: [
        TopicImage(
          name: "t", id: topicId, maxMessageBytes: 2_000_000,
          partitions: [PartitionImage(slot: 0, generation: 1, leaderEpoch: 0)],
          compression: TopicCompression(type: CompressionType.none))
      ], removed: [])
    try harness.until("it serves") { harness.status.value != "" }
    harness.logwriter.answersAtOnce = false
    harness.codecs[0].answer = {
      OpenedEntry(
        cookie: $0.cookie, verdict: .sound, maxTimestamp: 1,
        records: [UInt8](repeating: 9, count: 900_000))
    }
    let client = try harness.client()
    for number in 0..<10 as Range<Int32> {
      try client.send(try Requests.produce([(0, compressed(.zstd))], correlationId: number))
    }
    try harness.until("answers wait") { !harness.frontend.unplaced.isEmpty }
    #expect(harness.logwriter.entries.count < 10)
    harness.logwriter.answersAtOnce = true
    var answered = 0
    try harness.until("all are answered") {
      while client.next() != nil { answered += 1 }
      return answered == 10
    }
    #expect(harness.logwriter.entries.allSatisfy { $0.batch.count == 900_061 })
  }

  @Test func slotsThatMovedMeanwhileAreLookedUpAgain() throws {
    let harness = try harness()
    harness.codecs[0].answersAtOnce = false
    let client = try harness.client()
    try client.send(try Requests.produce([(2, compressed())]))
    try harness.until("it is being opened") { harness.codecs[0].entries.count == 1 }
    harness.logwriter.publish(9, generation: 4)
    try harness.coordinator.publish([
      TopicImage(
        name: "t", id: topicId, maxMessageBytes: 1_048_588,
        partitions: (0..<3).map {
          PartitionImage(slot: $0 == 2 ? 9 : $0, generation: $0 == 2 ? 4 : 1, leaderEpoch: 0)
        })
    ])
    try harness.rounds(5)
    try harness.codecs[0].answer(1)
    try harness.until("it is stored") { harness.logwriter.entries.count == 1 }
    #expect(harness.logwriter.entries[0].entry.slot == 9)
    #expect(harness.logwriter.entries[0].entry.generation == 4)
  }

  @Test func statisticsOfCodecsAreTold() throws {
    let harness = try harness()
    let client = try harness.client()
    _ = try harness.exchangeProduce(client, try Requests.produce([(0, compressed())]))
    try harness.coordinator.send(.reportStatistics(busiest: 0))
    try harness.until("both have told") { harness.coordinator.statistics.count == 2 }
    #expect(harness.coordinator.statistics.map(\.role) == [.frontend, .codec])
  }
}
