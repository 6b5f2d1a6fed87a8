// Produce requests from a client's socket to a fake logwriter and back.
import IPC
import KafkaProtocol
import Model
import Records
import Testing

@testable import Frontend

private let topicId = UUID128(high: 1, low: 2)

private func image(
  _ partitions: Int = 3, generation: UInt32 = 1, name: String = "t", firstSlot: UInt32 = 0
) -> TopicImage {
  TopicImage(
    name: name, id: name == "t" ? topicId : .random(), maxMessageBytes: 1_048_588,
    partitions: (0..<partitions).map {
      PartitionImage(slot: firstSlot + UInt32($0), generation: generation, leaderEpoch: 0)
    })
}

/// A frontend that knows the topic `t`.
private func harness(_ topics: [TopicImage] = [image()]) throws -> Harness {
  let harness = try Harness(serves: false)
  for topic in topics {
    for partition in topic.partitions
    where partition.slot != PartitionImage.noSlot && !partition.isOffline {
      harness.logwriter.publish(partition.slot, generation: partition.generation)
    }
  }
  harness.coordinator.snapshot = ImageUpdate(
    epoch: 1, isSnapshot: true, topics: topics, removed: [])
  try harness.until("it serves") { harness.status.value != "" }
  return harness
}

@Suite(.serialized) struct ProduceTests {
  @Test(arguments: Int16(3)...13) func everyVersionIsAnswered(version: Int16) throws {
    let harness = try harness()
    let client = try harness.client()
    let batch = Requests.batch()
    let request = try Requests.produce(
      [(0, batch), (2, batch), (9, batch)], id: topicId, version: version)
    let response = try harness.exchangeProduce(client, request, version: version)
    #expect(harness.logwriter.entries.map(\.batch) == [batch, batch])
    #expect(harness.logwriter.entries.map(\.entry.slot) == [0, 2])
    #expect(harness.logwriter.messages == 1)
    let topic = try #require(response.responses.first)
    #expect(version >= 13 ? topic.topicId == topicId : topic.name == "t")
    #expect(topic.partitionResponses.map(\.index) == [0, 2, 9])
    #expect(
      topic.partitionResponses.map(\.errorCode) == [.none, .none, .unknownTopicOrPartition])
    #expect(topic.partitionResponses.map(\.baseOffset) == [0, 1, -1])
  }

  @Test func manyInFlightAreAnsweredInOrder() throws {
    let harness = try harness()
    harness.logwriter.answersAtOnce = false
    let client = try harness.client()
    var bytes: [UInt8] = []
    for number in 0..<20 {
      // Every fourth one fails at once and must wait for those before it.
      let topic = number % 4 == 3 ? "missing" : "t"
      bytes += try Requests.produce(
        [(0, Requests.batch())], topic: topic, correlationId: Int32(number))
    }
    try client.send(bytes)
    try harness.until("all are there") { harness.logwriter.entries.count == 15 }
    try harness.rounds(3)
    #expect(client.next() == nil)
    try harness.logwriter.answer(4)
    var seen: [Int32] = []
    try harness.until("the first ones") {
      while let frame = client.next() { seen.append(Requests.correlationId(frame)) }
      return seen.count == 5
    }
    harness.logwriter.answersAtOnce = true
    try harness.until("the others") {
      while let frame = client.next() { seen.append(Requests.correlationId(frame)) }
      return seen.count == 20
    }
    #expect(seen == (0..<20).map { Int32($0) })
  }

  /// Name, what is sent, the error expected.
  static let badBatches: [(String, [UInt8], ErrorCode)] = {
    let good = Requests.batch()
    func changed(_ offset: Int, _ value: UInt8) -> [UInt8] {
      var bytes = good
      bytes[offset] = value
      return bytes
    }
    return [
      ("nothing", [], .invalidRecord),
      ("a wrong checksum", changed(good.count - 1, 77), .corruptMessage),
      ("an old format", changed(16, 1), .invalidRecord),
      ("an unknown format", changed(16, 9), .corruptMessage),
      ("a length that is too small", changed(11, 1), .corruptMessage),
      ("two batches", good + good, .invalidRecord),
      ("half a batch", Array(good.dropLast(5)), .invalidRecord),
      ("too large", Requests.batch([UInt8](repeating: 0, count: 1_100_000)), .messageTooLarge),
    ]
  }()

  @Test(arguments: badBatches.indices) func aBadBatchGetsItsOwnError(index: Int) throws {
    let (name, bytes, error) = Self.badBatches[index]
    let harness = try harness()
    let client = try harness.client()
    let good = Requests.batch()
    let response = try harness.exchangeProduce(
      client, try Requests.produce([(0, good), (1, bytes), (2, good)]))
    let codes = response.responses.flatMap(\.partitionResponses).map(\.errorCode)
    #expect(codes == [.none, error, .none], "\(name)")
    #expect(harness.logwriter.entries.map(\.entry.slot) == [0, 2], "\(name)")
  }

  @Test func aRequestForMorePartitionsThanABrokerHoldsIsRefused() throws {
    let harness = try harness()
    let client = try harness.client()
    let nothing = (0...Int32(ProducePath.partitionsMax)).map { ($0, [UInt8]()) }
    try client.send(try Requests.produce(nothing))
    try harness.until("it is closed") { client.isClosed }
    #expect(harness.frontend.counters.refused == 1)
  }

  @Test func wrongAcksAndInternalTopicsAreRefused() throws {
    let internalTopic = image(1, name: "__consumer_offsets", firstSlot: 7)
    let harness = try harness([image(), internalTopic])
    let client = try harness.client()
    let batch = Requests.batch()
    func error(_ bytes: [UInt8]) throws -> ErrorCode? {
      let response = try harness.exchangeProduce(client, bytes)
      return response.responses.first?.partitionResponses.first?.errorCode
    }
    #expect(try error(try Requests.produce([(0, batch)], acks: 2)) == .invalidRequiredAcks)
    let topic = "__consumer_offsets"
    #expect(try error(try Requests.produce([(0, batch)], topic: topic)) == .invalidTopicException)
    let admin = try Requests.produce([(0, batch)], topic: topic, clientId: "__admin_client")
    #expect(try error(admin) == ErrorCode.none)
  }

  @Test func withoutAcksThereIsNoResponseAndAnErrorCloses() throws {
    let harness = try harness()
    let client = try harness.client()
    try client.send(try Requests.produce([(0, Requests.batch())], acks: 0))
    let response = try harness.exchangeProduce(
      client, try Requests.produce([(0, Requests.batch())], correlationId: 5))
    #expect(harness.logwriter.entries.map(\.entry.acks) == [0, 1])
    #expect(response.responses.count == 1)
    try client.send(try Requests.produce([(9, Requests.batch())], acks: 0))
    try harness.until("it is closed") { client.isClosed }
  }

  @Test func aTopicMadeJustBeforeIsKnown() throws {
    let harness = try harness()
    let client = try harness.client()
    harness.logwriter.publish(40, generation: 1)
    // The image is in the channel, and nothing has made the frontend read it yet.
    try harness.coordinator.publish([image(), image(1, name: "new", firstSlot: 40)])
    try client.send(try Requests.produce([(0, Requests.batch())], topic: "new"))
    var response: [UInt8]?
    try harness.until("a response") {
      response = client.next()
      return response != nil
    }
    let frame = try #require(response)
    let produced = try Requests.response(ProduceResponse.self, frame, version: 9)
    #expect(produced.responses.first?.partitionResponses.first?.errorCode == ErrorCode.none)
  }

  @Test func aLostLogWriterIsWaitedFor() throws {
    let harness = try harness()
    harness.logwriter.answersAtOnce = false
    let client = try harness.client()
    let plain = Requests.batch()
    let idempotent = Requests.batch(producerId: 5)
    try client.send(
      try Requests.produce([(0, plain), (1, idempotent)], correlationId: 1)
        + Requests.produce([(1, Requests.batch(producerId: 5, sequence: 1))], correlationId: 2))
    try harness.until("all are there") { harness.logwriter.entries.count == 3 }
    try harness.logwriter.restart()
    // This one never left the frontend.
    try client.send(try Requests.produce([(0, plain)], correlationId: 3))
    // The new logwriter serves other slots; the image is still the old one.
    harness.logwriter.publish(10, generation: 9)
    harness.logwriter.publish(11, generation: 9)
    try harness.until("it is connected") { harness.frontend.produce.queue.state == .recovering }
    try harness.rounds(5)
    #expect(harness.logwriter.entries.isEmpty)
    try harness.coordinator.publish([image(2, generation: 9, firstSlot: 10)], epoch: 3)
    try harness.until("they are sent again") { harness.logwriter.entries.count == 3 }
    #expect(harness.logwriter.entries.map(\.entry.slot) == [11, 11, 10])
    #expect(harness.logwriter.entries.map(\.entry.generation) == [9, 9, 9])
    #expect(harness.logwriter.entries.first?.batch == idempotent)
    harness.logwriter.answersAtOnce = true
    var frames: [[UInt8]] = []
    try harness.until("three responses") {
      while let frame = client.next() { frames.append(frame) }
      return frames.count == 3
    }
    let first = try Requests.response(ProduceResponse.self, frames[0], version: 9)
    #expect(
      first.responses[0].partitionResponses.map(\.errorCode) == [.notLeaderOrFollower, .none])
    #expect(frames.map(Requests.correlationId) == [1, 2, 3])
    #expect(harness.frontend.produce.queue.state == .attached)
  }

  @Test func aPartitionThatIsNotOpenYetIsWaitedFor() throws {
    let closed = TopicImage(
      name: "t", id: topicId, maxMessageBytes: 1_048_588,
      partitions: [PartitionImage(slot: PartitionImage.noSlot, generation: 0, leaderEpoch: 0)])
    let harness = try harness([closed])
    let client = try harness.client()
    try client.send(try Requests.produce([(0, Requests.batch())]))
    try harness.until("it is held") { harness.frontend.produce.queue.heldCount == 1 }
    harness.logwriter.publish(3, generation: 1)
    try harness.coordinator.publish([image(1, firstSlot: 3)])
    try harness.until("it is answered") { client.next() != nil }
    #expect(harness.logwriter.entries.map(\.entry.slot) == [3])
  }

  @Test func anOfflinePartitionIsToldAtOnceAndTheOthersServed() throws {
    var mixed = image(2)
    mixed.partitions[0] = PartitionImage(
      slot: PartitionImage.offlineSlot, generation: 0, leaderEpoch: 0)
    let harness = try harness([mixed])
    let client = try harness.client()
    try harness.until("nothing is held any more") {
      harness.frontend.produce.queue.state == .attached
    }
    let response = try harness.exchangeProduce(
      client, try Requests.produce([(0, Requests.batch()), (1, Requests.batch())]))
    #expect(
      response.responses.flatMap(\.partitionResponses).map(\.errorCode) == [
        .kafkaStorageError, .none,
      ])
    #expect(harness.logwriter.entries.map(\.entry.slot) == [mixed.partitions[1].slot])
  }

  @Test func nobodyWaitsForALogWriterForEver() throws {
    let harness = try harness()
    harness.logwriter.answersAtOnce = false
    let client = try harness.client()
    try harness.logwriter.restart()
    try harness.until("it is gone") { harness.frontend.produce.queue.state != .attached }
    let request = try Requests.produce([(0, Requests.batch())], timeoutMs: 1)
    let response = try harness.exchangeProduce(client, request)
    let codes = response.responses.flatMap(\.partitionResponses).map(\.errorCode)
    #expect(codes == [.notLeaderOrFollower])
    #expect(harness.logwriter.entries.isEmpty)
  }

  @Test func aBatchThatKillsLogWritersIsNotSentForEver() throws {
    let harness = try harness()
    harness.logwriter.answersAtOnce = false
    let client = try harness.client()
    try client.send(try Requests.produce([(0, Requests.batch(producerId: 1))]))
    for time in UInt32(1)...3 {
      try harness.until("it is there") { harness.logwriter.entries.count == 1 }
      try harness.logwriter.restart()
      harness.logwriter.publish(0, generation: 1 + time)
      try harness.coordinator.publish([image(1, generation: 1 + time)])
    }
    var response: [UInt8]?
    try harness.until("it is answered") {
      response = client.next()
      return response != nil
    }
    let frame = try #require(response)
    let produced = try Requests.response(ProduceResponse.self, frame, version: 9)
    let codes = produced.responses.flatMap(\.partitionResponses).map(\.errorCode)
    #expect(codes == [.notLeaderOrFollower])
  }

  @Test func aClosedConnectionLeavesNothingBehind() throws {
    let harness = try harness()
    harness.logwriter.answersAtOnce = false
    let request = try Requests.produce([(0, Requests.batch()), (1, Requests.batch())])
    try harness.client().send(request)
    try harness.until("it is there") { harness.logwriter.entries.count == 2 }
    try harness.clients.removeLast().abort()
    try harness.until("it is gone") { harness.frontend.connections.count == 0 }
    harness.logwriter.answersAtOnce = true
    try harness.until("it is forgotten") { harness.frontend.produce.requests.count == 0 }
    #expect(harness.frontend.produce.queue.appends.count == 0)
    try harness.frontend.pool.trim()
    #expect(harness.frontend.pool.freeBytes == harness.frontend.pool.size)
  }
}
