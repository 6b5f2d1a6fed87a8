// A frontend makes way for another one, and clients go on as if nothing had been.
import Glibc
import IPC
import KafkaProtocol
import Linux
import Model
import Service
import Testing

@testable import Frontend

@Suite(.serialized) struct HandOverTests {
  private func apiVersions(_ correlationId: Int32) throws -> [UInt8] {
    try Requests.frame(
      ApiVersionsRequest(clientSoftwareName: "t", clientSoftwareVersion: "1"), version: 3,
      correlationId: correlationId)
  }

  private func metadata(_ correlationId: Int32) throws -> [UInt8] {
    try Requests.frame(MetadataRequest(topics: nil), version: 12, correlationId: correlationId)
  }

  private func fetch(_ correlationId: Int32) throws -> [UInt8] {
    try Requests.frame(FetchRequest(), version: 12, correlationId: correlationId)
  }

  private func join(_ correlationId: Int32) throws -> [UInt8] {
    try Requests.frame(JoinGroupRequest(), version: 5, correlationId: correlationId)
  }

  private func produce(_ correlationId: Int32, producerId: Int64 = -1) throws -> [UInt8] {
    let batch = Requests.batch(producerId: producerId, sequence: max(0, correlationId))
    return try Requests.produce([(0, batch)], correlationId: correlationId)
  }

  /// A frontend that knows the topic `t`.
  private func withTopic(fetchers: Int = 1) throws -> Harness {
    let harness = try Harness(fetchers: fetchers)
    harness.logwriter.publish(0, generation: 1)
    try harness.coordinator.publish([
      TopicImage(
        name: "t", id: .random(), maxMessageBytes: 1_000_000,
        partitions: [PartitionImage(slot: 0, generation: 1, leaderEpoch: 0)])
    ])
    return harness
  }

  /// Brings the frontend so far that it only waits.
  private func beginLeaving(_ harness: Harness) throws {
    harness.frontend.stopRequested()
    try harness.until("the store has the parcel") {
      harness.frontend.handOver?.phase != .asking
    }
    try harness.rounds(5)
  }

  private func correlationIds(_ client: TestClient, _ harness: Harness, _ count: Int) throws
    -> [Int32]
  {
    var seen: [Int32] = []
    try harness.until("\(count) responses") {
      while let frame = client.next() { seen.append(Requests.correlationId(frame)) }
      try #require(!client.isClosed)
      return seen.count >= count
    }
    return seen
  }

  // MARK: What survives

  @Test func idleConnectionsGoOn() throws {
    let harness = try Harness()
    let clients = try (0..<40).map { _ in try harness.client() }
    for client in clients { try client.send(try apiVersions(1)) }
    for client in clients { _ = try correlationIds(client, harness, 1) }
    for time in 1...3 {
      try harness.restart()
      #expect(harness.frontend.connections.count == 40)
      #expect(harness.store.drops == time)
    }
    for client in clients { try client.send(try apiVersions(2)) }
    for client in clients { #expect(try correlationIds(client, harness, 1) == [2]) }
    #expect(harness.frontend.counters.accepted == 0)
  }

  @Test func partsOfFramesGoOn() throws {
    let harness = try withTopic()
    let large = try Requests.produce(
      [(0, Requests.batch([UInt8](repeating: 7, count: 900_000)))], correlationId: 9)
    for (bytes, isLarge) in [(try apiVersions(9), false), (large, true)] {
      for received in [1, 3, 4, 5, bytes.count - 1] {
        let client = try harness.client()
        try client.send(Array(bytes[..<received]))
        try harness.rounds(20)
        try harness.restart()
        try client.send(Array(bytes[received...]))
        #expect(try correlationIds(client, harness, 1) == [9])
      }
      #expect(harness.logwriter.entries.count == (isLarge ? 5 : 0))
    }
  }

  @Test func answersOfTheLogwriterAreWaitedFor() throws {
    let harness = try withTopic()
    harness.logwriter.answersAtOnce = false
    let client = try harness.client()
    for number in 1...3 { try client.send(try produce(Int32(number))) }
    try harness.until("they are under way") { harness.logwriter.entries.count == 3 }
    try beginLeaving(harness)
    #expect(harness.frontend.handOver?.phase == .takingBack)
    harness.logwriter.answersAtOnce = true
    try harness.restart()
    #expect(try correlationIds(client, harness, 3) == [1, 2, 3])
    #expect(harness.logwriter.entries.count == 3)
  }

  @Test func whatIsNoticedTwiceIsServedAgain() throws {
    let harness = try withTopic()
    harness.logwriter.answersAtOnce = false
    let client = try harness.client()
    for number in 1...3 { try client.send(try produce(Int32(number), producerId: 7)) }
    try harness.until("they are under way") { harness.logwriter.entries.count == 3 }
    let batches = harness.logwriter.entries.map(\.batch)
    try harness.logwriter.answer(1)
    try beginLeaving(harness)
    harness.frontend.handOverOverdue(.forUnknownBatches)
    try harness.restart { harness.logwriter.forgetUnanswered() }
    harness.logwriter.answersAtOnce = true
    #expect(try correlationIds(client, harness, 3) == [1, 2, 3])
    #expect(harness.logwriter.entries.map(\.batch) == batches)
  }

  @Test func whatACodecHasRewrittenIsNotServedAgain() throws {
    let harness = try withTopic()
    harness.logwriter.answersAtOnce = false
    let client = try harness.client()
    try client.send(try produce(1, producerId: 7))
    try harness.until("it is under way") { harness.logwriter.entries.count == 1 }
    for number in harness.frontend.produce.queue.underWay {
      harness.frontend.produce.queue.appends[number].isRewritten = true
    }
    try beginLeaving(harness)
    harness.frontend.handOverOverdue(.forUnknownBatches)
    try harness.rounds(5)
    #expect(harness.frontend.handOver?.phase == .takingBack)
    harness.logwriter.answersAtOnce = true
    try harness.restart()
    #expect(try correlationIds(client, harness, 1) == [1])
    #expect(harness.logwriter.entries.count == 1)
  }

  /// What is given up, by whether the three requests are idempotent: the errors, and what the next
  /// frontend sends again.
  @Test(arguments: [
    ([false, false, false], [true, true, true]), ([false, true, true], [true, false, false]),
    ([true, false, true], [true, true, false]), ([true, true, false], [true, true, true]),
  ])
  func whatWouldBeTwiceIsGivenUp(idempotent: [Bool], given: [Bool]) throws {
    let harness = try withTopic()
    harness.logwriter.answersAtOnce = false
    let client = try harness.client()
    for (index, isIdempotent) in idempotent.enumerated() {
      try client.send(try produce(Int32(index), producerId: isIdempotent ? 7 : -1))
    }
    try harness.until("they are under way") { harness.logwriter.entries.count == 3 }
    try beginLeaving(harness)
    harness.frontend.handOverOverdue(.forUnknownBatches)
    try harness.rounds(5)
    #expect(harness.frontend.handOver?.phase == .takingBack)
    harness.frontend.handOverOverdue(.none)
    try harness.restart { harness.logwriter.forgetUnanswered() }
    harness.logwriter.answersAtOnce = true
    var errors: [ErrorCode] = []
    try harness.until("all are answered") {
      while let frame = client.next() {
        #expect(Requests.correlationId(frame) == Int32(errors.count))
        let response = try Requests.response(ProduceResponse.self, frame, version: 9)
        errors.append(response.responses[0].partitionResponses[0].errorCode)
      }
      return errors.count == 3
    }
    #expect(errors == given.map { $0 ? .notLeaderOrFollower : .none })
    #expect(harness.logwriter.entries.count == given.count { !$0 })
  }

  @Test func whatWaitsForALogwriterGoesOnWaiting() throws {
    let harness = try withTopic()
    _ = try harness.exchange(try harness.client(), try produce(0))
    try harness.logwriter.restart()
    try harness.until("it is back") { harness.frontend.produce.queue.state == .recovering }
    let client = try harness.client()
    try client.send(try produce(1) + produce(2, producerId: 3))
    try harness.until("they are held") { harness.frontend.produce.queue.heldCount == 2 }
    try harness.restart()
    try harness.rounds(20)
    #expect(harness.logwriter.entries.isEmpty)
    harness.logwriter.publish(0, generation: 1)
    try harness.coordinator.publish(
      [
        TopicImage(
          name: "t", id: .random(), maxMessageBytes: 1_000_000,
          partitions: [PartitionImage(slot: 0, generation: 1, leaderEpoch: 0)])
      ], epoch: 3)
    #expect(try correlationIds(client, harness, 2) == [1, 2])
  }

  @Test func longPollsGoOnWithTheirFetcher() throws {
    let harness = try Harness(fetchers: 3)
    let client = try harness.client()
    try client.send(try fetch(1) + fetch(2))
    try harness.until("they are lent") { harness.fetchers.contains { $0.fetches.count == 2 } }
    let lender = try #require(harness.fetchers.first { $0.fetches.count == 2 })
    let first = lender.fetches
    try beginLeaving(harness)
    #expect(harness.fetchers.count { $0.wasAskedBack } == 3)
    #expect(harness.frontend.handOver?.phase == .takingBack)
    try lender.say(.returned(ReturnedSocket(connection: first[0].connection, unanswered: 2)))
    try harness.restart()
    try harness.until("they are lent again") { lender.fetches.count == 4 }
    #expect(lender.fetches[2...].map(\.frame) == first.map(\.frame))
    #expect(lender.fetches[2...].map(\.carriesSocket) == [true, false])
    for fetch in lender.fetches[2...] { try lender.serve(fetch) }
    #expect(try correlationIds(client, harness, 2) == [1, 2])
  }

  @Test func aHalfWrittenResponseIsWrittenToItsEnd() throws {
    let harness = try Harness()
    let client = try harness.client()
    try client.send(try fetch(1) + fetch(2) + fetch(3))
    let fetcher = harness.fetchers[0]
    try harness.until("they are lent") { fetcher.fetches.count == 3 }
    let connection = fetcher.fetches[0].connection
    try fetcher.serve(fetcher.fetches[0])
    let response: [UInt8] = [0, 0, 0, 8, 0, 0, 0, 2, 9, 9, 9, 9]
    try fetcher.write(connection, Array(response[..<6]))
    try beginLeaving(harness)
    try fetcher.say(
      .returned(
        ReturnedSocket(
          connection: connection, unanswered: 1, sent: 6, rest: Array(response[6...]))))
    try harness.restart()
    try harness.until("the last is lent again") { fetcher.fetches.count == 4 }
    try fetcher.serve(fetcher.fetches[3])
    #expect(try correlationIds(client, harness, 3) == [1, 2, 3])
    // What was written is accounted for: a fetcher that dies now has torn nothing.
    try client.send(try fetch(4))
    try harness.until("it is lent") { fetcher.fetches.count == 5 }
    fetcher.die()
    try harness.until("it is lent again") { fetcher.fetches.count == 1 }
    try fetcher.serve(fetcher.fetches[0])
    #expect(try correlationIds(client, harness, 1) == [4])
  }

  @Test func requestsThatWaitForOthersAreAskedAgain() throws {
    let harness = try Harness()
    let client = try harness.client()
    try client.send(try join(1))
    try harness.until("it is forwarded") { harness.coordinator.requests.count == 1 }
    try harness.restart()
    try harness.until("it is forwarded again") { harness.coordinator.requests.count == 2 }
    #expect(harness.coordinator.requests[0].frame == harness.coordinator.requests[1].frame)
    try harness.coordinator.answer(harness.coordinator.requests[1])
    #expect(try correlationIds(client, harness, 1) == [1])
  }

  @Test func otherRequestsAreWaitedForUpToALimit() throws {
    let harness = try Harness()
    let clients = [try harness.client(), try harness.client()]
    for client in clients { try client.send(try metadata(1) + metadata(2)) }
    try harness.until("they are forwarded") { harness.coordinator.requests.count == 2 }
    try beginLeaving(harness)
    try harness.coordinator.answer(harness.coordinator.requests[0])
    try harness.rounds(5)
    #expect(harness.frontend.handOver?.phase == .takingBack)
    #expect(harness.coordinator.requests.count == 2, "nothing new is begun")
    harness.frontend.handOverOverdue(.forUnknownBatches)
    try harness.restart()
    var next = 2
    var answers = 0
    try harness.until("everything is answered") {
      while next < harness.coordinator.requests.count {
        try harness.coordinator.answer(harness.coordinator.requests[next])
        next += 1
      }
      for client in clients { while client.next() != nil { answers += 1 } }
      return answers == 4
    }
    #expect(next == 5, "one was answered before, and one is asked a second time")
  }

  @Test func responsesThatNobodyReadAreKept() throws {
    var limits = Harness.limits()
    limits.sendBufferBytes = 4096
    let harness = try Harness(limits: limits)
    let client = try harness.client()
    harness.clients.removeAll()
    var asked: Int32 = 0
    while harness.frontend.connections.all.first?.outgoing.isEmpty ?? true {
      asked += 1
      try client.send(try metadata(asked))
      try harness.until("it is forwarded") { harness.coordinator.requests.count == asked }
      try harness.coordinator.answer(
        harness.coordinator.requests[Int(asked) - 1], body: [UInt8](repeating: 1, count: 500_000))
      try harness.rounds(5)
    }
    try harness.restart()
    harness.clients.append(client)
    #expect(try correlationIds(client, harness, Int(asked)) == Array(1...asked))
    #expect(client.received.isEmpty)
  }

  @Test func aHalfClosedClientIsAnswered() throws {
    let harness = try Harness()
    let client = try harness.client()
    try client.send(try join(1) + metadata(2))
    client.endSending()
    try harness.until("one is forwarded") { harness.coordinator.requests.count == 1 }
    try harness.restart()
    try harness.until("again") { harness.coordinator.requests.count == 2 }
    try harness.coordinator.answer(harness.coordinator.requests[1])
    try harness.until("the other one") { harness.coordinator.requests.count == 3 }
    try harness.coordinator.answer(harness.coordinator.requests[2])
    try harness.until("it is closed") { client.isClosed }
    #expect(client.next().map(Requests.correlationId) == 1)
    #expect(client.next().map(Requests.correlationId) == 2)
  }

  @Test func idlenessIsCountedOn() throws {
    let harness = try Harness()
    let client = try harness.client()
    _ = try harness.exchange(client, try apiVersions(1))
    var limits = Harness.limits()
    limits.idleMs = 1
    try harness.restart(limits: limits)
    try harness.until("it is closed as idle") { client.isClosed }
    #expect(harness.frontend.counters.refused == 0)
  }

  /// Requests cut anywhere, over several restarts: each is answered once and in order.
  @Test func whatever() throws {
    var seed = Seed()
    let harness = try withTopic()
    let clients = try (0..<5).map { _ in try harness.client() }
    try harness.until("they are accepted") { harness.frontend.connections.count == 5 }
    var sent = [Int32](repeating: 0, count: clients.count)
    var seen = [[Int32]](repeating: [], count: clients.count)
    var next = 0
    func answer() throws {
      while next < harness.coordinator.requests.count {
        try harness.coordinator.answer(harness.coordinator.requests[next])
        next += 1
      }
      for (place, client) in clients.enumerated() {
        while let frame = client.next() { seen[place].append(Requests.correlationId(frame)) }
      }
    }
    for _ in 0..<12 {
      var streams = try clients.indices.map { place in
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 0...6, using: &seed) {
          sent[place] += 1
          switch Int.random(in: 0...2, using: &seed) {
          case 0: bytes += try apiVersions(sent[place])
          case 1: bytes += try metadata(sent[place])
          default: bytes += try produce(sent[place], producerId: Int64(place))
          }
        }
        return bytes
      }
      let restartAt = Int.random(in: 0...3, using: &seed)
      for turn in 0...3 {
        for (place, client) in clients.enumerated() {
          let count =
            turn == 3
            ? streams[place].count
            : Int.random(
              in: 0...streams[place].count, using: &seed)
          try client.send(Array(streams[place].prefix(count)))
          streams[place].removeFirst(count)
        }
        try harness.rounds(Int.random(in: 0...3, using: &seed))
        try answer()
        if turn == restartAt {
          harness.frontend.stopRequested()
          try harness.until("only coordinator answers are missing") {
            try answer()
            return harness.frontend.handOver?.phase == .done
          }
          try harness.restart()
          next = harness.coordinator.requests.count < next ? 0 : next
        }
      }
    }
    try harness.until("everything is answered, \(seed)") {
      try answer()
      return zip(seen, sent).allSatisfy { $0.count >= Int($1) }
    }
    for (place, count) in sent.enumerated() {
      #expect(seen[place] == Array(0..<count).map { $0 + 1 }, "\(seed)")
      #expect(!clients[place].isClosed, "\(seed)")
    }
  }
}
