// Clients of every manner against a frontend with fake siblings: what each is answered, and that
// nobody else is disturbed.
import Glibc
import IPC
import KafkaProtocol
import Linux
import Model
import Testing

@testable import Frontend

private func metadata(_ correlationId: Int32) throws -> [UInt8] {
  try Requests.frame(MetadataRequest(), version: 12, correlationId: correlationId)
}

private func fetch(_ correlationId: Int32) throws -> [UInt8] {
  try Requests.frame(FetchRequest(), version: 12, correlationId: correlationId)
}

private func apiVersions(_ correlationId: Int32, version: Int16 = 3) throws -> [UInt8] {
  let request = ApiVersionsRequest(clientSoftwareName: "test", clientSoftwareVersion: "1.0")
  return try Requests.frame(request, version: version, correlationId: correlationId)
}

@Suite(.serialized) struct ConnectionTests {
  // MARK: ApiVersions

  @Test(arguments: Int16(0)...4) func apiVersionsIsAnswered(version: Int16) throws {
    let harness = try Harness()
    let frame = try harness.exchange(try harness.client(), try apiVersions(7, version: version))
    #expect(Requests.correlationId(frame) == 7)
    let response = try Requests.response(ApiVersionsResponse.self, frame, version: version)
    #expect(response.errorCode == ErrorCode.none)
    #expect(response.apiKeys.map(\.apiKey) == ServedApis.keys.map(\.rawValue))
    let produce = try #require(response.apiKeys.first)
    #expect(produce.minVersion == 0 && produce.maxVersion == 13)
  }

  @Test func anUnknownVersionOfApiVersionsIsAnsweredInVersionZero() throws {
    let harness = try Harness()
    let client = try harness.client()
    var bytes = try apiVersions(7, version: 4)
    bytes[7] = 99
    let frame = try harness.exchange(client, bytes)
    let response = try Requests.response(ApiVersionsResponse.self, frame, version: 0)
    #expect(response.errorCode == .unsupportedVersion)
    #expect(response.apiKeys.map(\.apiKey) == [18])
    #expect(try harness.exchange(client, try apiVersions(8)).count > 10, "it is still open")
  }

  @Test func aClientWithoutAProperNameIsTold() throws {
    let harness = try Harness()
    let request = ApiVersionsRequest(clientSoftwareName: " ", clientSoftwareVersion: "1")
    let bytes = try Requests.frame(request, version: 3, correlationId: 1)
    let frame = try harness.exchange(try harness.client(), bytes)
    let response = try Requests.response(ApiVersionsResponse.self, frame, version: 3)
    #expect(response.errorCode == .invalidRequest)
  }

  // MARK: Bad input

  /// What a client sends that is closed for it.
  private static let badInput: [(String, [UInt8])] = [
    ("a negative length", [0xFF, 0xFF, 0xFF, 0xFF]),
    ("a huge length", [0x7F, 0xFF, 0xFF, 0xFF, 0]),
    ("TLS", [0x16, 0x03, 0x01, 0x02, 0x00, 0x01]),
    ("HTTP", Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8)),
    ("no header", [0, 0, 0, 0]),
    ("half a header", [0, 0, 0, 2, 0, 0]),
    ("an unknown API", [0, 0, 0, 10, 0x03, 0xE7, 0, 0, 0, 0, 0, 1, 0xFF, 0xFF]),
    ("an API that is not served", [0, 0, 0, 10, 0, 51, 0, 0, 0, 0, 0, 1, 0xFF, 0xFF]),
    ("Produce version 2", [0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 1, 0xFF, 0xFF]),
    ("Produce version 14", [0, 0, 0, 11, 0, 0, 0, 14, 0, 0, 0, 1, 0xFF, 0xFF, 0]),
    ("Metadata version 99", [0, 0, 0, 11, 0, 3, 0, 99, 0, 0, 0, 1, 0xFF, 0xFF, 0]),
    (
      "more topics than bytes",
      [
        0, 0, 0, 22, 0, 0, 0, 3, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0, 1, 0, 0, 0, 0, 0x7F, 0xFF,
        0xFF, 0xFF,
      ]
    ),
    (
      "tags out of order",
      [0, 0, 0, 24, 0, 0, 0, 9, 0, 0, 0, 1, 0xFF, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 5, 0, 3, 0]
    ),
  ]

  @Test(arguments: badInput.indices) func badInputIsRefusedWithoutHarm(index: Int) throws {
    let (name, bytes) = Self.badInput[index]
    let harness = try Harness()
    let bystander = try harness.client()
    _ = try harness.exchange(bystander, try apiVersions(1))
    let bad = try harness.client()
    try bad.send(bytes)
    try harness.until("\(name): it is closed") { bad.isClosed }
    #expect(harness.frontend.counters.refused == 1, "\(name)")
    #expect(harness.frontend.connections.count == 1, "\(name)")
    #expect(try harness.exchange(bystander, try apiVersions(2)).count > 10, "\(name)")
  }

  @Test func halfFramesAreClosedWhenTheyStall() throws {
    var limits = Harness.limits()
    limits.idleMs = 50
    let harness = try Harness(limits: limits)
    let client = try harness.client()
    try client.send(Array(try apiVersions(1).dropLast(3)))
    try harness.until("it is closed") { client.isClosed }
    #expect(harness.frontend.counters.refused == 1)
    let idle = try harness.client()
    try harness.until("an idle one is closed") { idle.isClosed }
    #expect(harness.frontend.counters.refused == 1, "being idle breaks no rule")
  }

  @Test func whatAHalfClosedClientAskedForIsAnswered() throws {
    let harness = try Harness()
    let client = try harness.client()
    try client.send(try metadata(1) + apiVersions(2) + metadata(3))
    client.endSending()
    try harness.until("the first is forwarded") { harness.coordinator.requests.count == 1 }
    try harness.coordinator.answer(harness.coordinator.requests[0])
    try harness.until("the last is forwarded") { harness.coordinator.requests.count == 2 }
    try harness.coordinator.answer(harness.coordinator.requests[1])
    try harness.until("it is closed") { client.isClosed }
    var seen: [Int32] = []
    while let frame = client.next() { seen.append(Requests.correlationId(frame)) }
    #expect(seen == [1, 2, 3])
  }

  @Test func aClientThatNeverReadsIsBounded() throws {
    var limits = Harness.limits()
    limits.sendBufferBytes = 4096
    let harness = try Harness(limits: limits)
    let client = try harness.client()
    harness.clients.removeAll()
    let request = try apiVersions(1)
    for _ in 0..<60_000 where harness.frontend.counters.requests < 50_000 {
      try client.send(request)
      try client.step(reading: false)
      try harness.round()
      let unsent = harness.frontend.connections.all.first?.outgoing.count ?? 0
      try #require(unsent <= Outgoing.unsentMax + 4096)
      if unsent > Outgoing.unsentMax - 4096 { break }
    }
    let other = try harness.client()
    #expect(try harness.exchange(other, try apiVersions(2)).count > 10)
  }

  @Test func aFullSlabMakesClientsWaitAndStalledOnesDoNotLast() throws {
    var limits = Harness.limits()
    limits.slabBytes = 4 << 20
    let harness = try Harness(limits: limits)
    // Half frames of two megabytes each, more than half of which has come: two take everything.
    let half = [0, 0x1F, 0, 0, 0, 3, 0, 9] + [UInt8](repeating: 0, count: 1_100_000)
    for _ in 0..<3 { try harness.client().send(half) }
    let other = try harness.client()
    try other.send(try apiVersions(1))
    try harness.until("it waits") { harness.frontend.counters.starved > 0 }
    try harness.rounds(5)
    try harness.clients[0].abort()
    try harness.clients[1].abort()
    harness.clients.removeFirst(2)
    try harness.until("it is answered") { other.next() != nil }
  }

  /// Everybody holds part of a frame and needs more memory than there is: some are served.
  @Test func framesThatStandInEachOthersWayDoNotStandForEver() throws {
    var limits = Harness.limits()
    limits.slabBytes = 4 << 20
    let harness = try Harness(limits: limits)
    let body = try apiVersions(1).dropFirst(4)
    let size = 1_900_000
    let frame =
      [0, UInt8(size >> 16), UInt8(size >> 8 & 255), UInt8(size & 255)] + Array(body)
      + [UInt8](repeating: 0, count: size - body.count)
    for _ in 0..<6 { try harness.client().send(Array(frame.prefix(600_000))) }
    try harness.until("they stand in each other's way") {
      harness.frontend.starved.count >= 5 || harness.frontend.counters.starved > 8
    }
    let other = try harness.client()
    try other.send(try apiVersions(1))
    try harness.until("nobody gets on, and the last ones go") {
      harness.frontend.connections.all.count < 7
    }
    for client in harness.clients.dropLast() {
      _ = try? client.send(Array(frame.dropFirst(600_000)))
    }
    try harness.until("the others are answered") { other.next() != nil }
  }

  @Test func whatIsMerelyAnnouncedTakesNoMemory() throws {
    var limits = Harness.limits()
    limits.slabBytes = 4 << 20
    let harness = try Harness(limits: limits)
    let start: [UInt8] = [0, 0x3F, 0, 0, 0, 3, 0, 9]
    for _ in 0..<6 { try harness.client().send(start) }
    try harness.rounds(20)
    let other = try harness.client()
    #expect(try harness.exchange(other, try apiVersions(1)).count > 10)
    #expect(harness.frontend.counters.starved == 0)
  }

  @Test func oneClientCannotTakeTheWholeSlab() throws {
    let harness = try Harness()
    harness.logwriter.publish(0, generation: 1)
    try harness.coordinator.publish([
      TopicImage(
        name: "t", id: .random(), maxMessageBytes: 2_000_000,
        partitions: [PartitionImage(slot: 0, generation: 1, leaderEpoch: 0)])
    ])
    harness.logwriter.answersAtOnce = false
    let greedy = try harness.client()
    let batch = Requests.batch([UInt8](repeating: 1, count: 1_000_000))
    for number in 0..<40 {
      try greedy.send(
        try Requests.produce([(0, batch)], correlationId: Int32(number)))
    }
    try harness.until("it is stopped") { harness.logwriter.entries.count >= 10 }
    try harness.rounds(200)
    #expect(harness.logwriter.entries.count <= 16)
    harness.logwriter.answersAtOnce = true
    var answered = 0
    try harness.until("all are answered") {
      while greedy.next() != nil { answered += 1 }
      return answered == 40
    }
    #expect(harness.frontend.counters.bytesCopied * 20 < harness.frontend.counters.bytesIn)
  }

  // MARK: Limits

  @Test func tooManyConnectionsAreRefused() throws {
    for perAddress in [false, true] {
      var limits = Harness.limits()
      if perAddress { limits.connectionsPerIpMax = 2 } else { limits.connectionsMax = 2 }
      let harness = try Harness(limits: limits)
      let first = try harness.client()
      _ = try harness.exchange(first, try apiVersions(1))
      _ = try harness.exchange(try harness.client(), try apiVersions(1))
      for _ in 0..<50 { _ = try harness.client() }
      try harness.until("they are refused") { harness.frontend.counters.refused == 50 }
      #expect(harness.frontend.connections.count == 2)
      try harness.clients.removeFirst().abort()
      #expect(try harness.exchange(harness.clients[0], try apiVersions(2)).count > 10)
    }
  }

  @Test func connectionsLeaveNoDescriptors() throws {
    let harness = try Harness()
    _ = try harness.exchange(try harness.client(), try apiVersions(1))
    let before = try acceptedSockets(harness)
    for _ in 0..<200 {
      let client = try harness.client()
      _ = try harness.exchange(client, try fetchAndServe(harness, client))
      harness.clients.removeLast()
    }
    try harness.until("all are closed") { harness.frontend.connections.count == 1 }
    try harness.until("all are forgotten") { harness.fetchers[0].forgotten.count >= 200 }
    #expect(try acceptedSockets(harness) == before)
  }

  /// Descriptors of the broker's ends of connections, whoever has them. Other tests run in the same
  /// process, with other ports.
  private func acceptedSockets(_ harness: Harness) throws -> Int {
    try File.names(in: "/proc/self/fd").compactMap { Int32($0) }.count { descriptor in
      var address = sockaddr_in()
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let result = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          getsockname(descriptor, $0, &length)
        }
      }
      return result == 0 && Int32(address.sin_family) == AF_INET
        && UInt16(bigEndian: address.sin_port) == harness.address.port
    }
  }

  /// Has a fetch served, and returns another request.
  private func fetchAndServe(_ harness: Harness, _ client: TestClient) throws -> [UInt8] {
    let already = harness.fetchers[0].fetches.count
    try client.send(try fetch(1))
    try harness.until("it is lent") { harness.fetchers[0].fetches.count == already + 1 }
    try harness.fetchers[0].serve(harness.fetchers[0].fetches[already])
    try harness.until("it is served") { client.next() != nil }
    return try apiVersions(2)
  }

  // MARK: The coordinator

  @Test func requestsGoToTheCoordinatorOneAtATime() throws {
    let harness = try Harness()
    let client = try harness.client()
    try client.send(try metadata(1) + metadata(2))
    try harness.until("one is there") { harness.coordinator.requests.count == 1 }
    try harness.rounds(5)
    #expect(harness.coordinator.requests.count == 1)
    let request = harness.coordinator.requests[0]
    #expect(request.listener == "PLAINTEXT" && request.localPort == harness.address.port)
    #expect(request.principal == "User:ANONYMOUS" && request.peer.hasPrefix("127.0.0.1:"))
    try harness.coordinator.answer(request)
    try harness.until("the next is there") { harness.coordinator.requests.count == 2 }
    #expect(client.next().map(Requests.correlationId) == 1)
  }

  @Test func aNewCoordinatorGetsTheOpenRequestsAgain() throws {
    let harness = try Harness()
    let client = try harness.client()
    try client.send(try metadata(1))
    try harness.until("it is there") { harness.coordinator.requests.count == 1 }
    harness.coordinator.listener.die()
    try harness.until("it comes again") { harness.coordinator.requests.count == 2 }
    #expect(harness.coordinator.requests[0] == harness.coordinator.requests[1])
    try harness.coordinator.answer(harness.coordinator.requests[1])
    try harness.until("it is answered") { client.next() != nil }
  }

  @Test func aRequestThatKillsCoordinatorsIsNotSentForEver() throws {
    let harness = try Harness()
    let client = try harness.client()
    try client.send(try metadata(1))
    for time in 1...3 {
      try harness.until("it is there") { harness.coordinator.requests.count == time }
      harness.coordinator.listener.die()
    }
    try harness.until("it is closed") { client.isClosed }
    #expect(harness.frontend.forwardedBytes == 0)
  }

  @Test func whatTheCoordinatorRefusesIsClosed() throws {
    let harness = try Harness()
    let client = try harness.client()
    try client.send(try metadata(1))
    try harness.until("it is there") { harness.coordinator.requests.count == 1 }
    let request = harness.coordinator.requests[0]
    try harness.coordinator.send(
      .refused(connection: request.connection, request: request.request, reason: "nonsense"))
    try harness.until("it is closed") { client.isClosed }
  }

  @Test func itTellsWhatItDid() throws {
    let harness = try Harness()
    _ = try harness.exchange(try harness.client(), try apiVersions(1))
    try harness.coordinator.send(.reportStatistics(busiest: 5))
    try harness.until("it tells") { harness.coordinator.statistics.count == 1 }
    let counters = harness.coordinator.statistics[0].counters
    #expect(counters.contains(.level("connections", 1)) && counters.contains(.init("requests", 1)))
    let connections = harness.coordinator.statistics[0].connections
    #expect(connections.map(\.clientId) == ["test"] && connections.map(\.requests) == [1])
    #expect(connections.allSatisfy { $0.bytesIn > 0 && $0.bytesOut > 0 })
  }

  // MARK: Fetchers

  @Test func fetchesArePipelinedAndOthersWait() throws {
    let harness = try Harness()
    let client = try harness.client()
    let fetcher = harness.fetchers[0]
    try client.send(try fetch(1) + fetch(2) + apiVersions(3) + fetch(4))
    try harness.until("two are lent") { fetcher.fetches.count == 2 }
    #expect(fetcher.fetches.map(\.carriesSocket) == [true, false])
    try fetcher.serve(fetcher.fetches[0])
    try harness.rounds(5)
    #expect(fetcher.fetches.count == 2)
    try fetcher.serve(fetcher.fetches[1])
    try harness.until("the last is lent") { fetcher.fetches.count == 3 }
    try fetcher.serve(fetcher.fetches[2])
    var seen: [Int32] = []
    try harness.until("all are answered") {
      while let frame = client.next() { seen.append(Requests.correlationId(frame)) }
      return seen.count == 4
    }
    #expect(seen == [1, 2, 3, 4])
  }

  @Test func fetchersAreBalancedAndSticky() throws {
    let harness = try Harness(fetchers: 2)
    for number in 0..<6 {
      let client = try harness.client()
      try client.send(try fetch(Int32(number)) + fetch(100))
    }
    try harness.until("all are lent") { harness.fetchers.allSatisfy { $0.fetches.count == 6 } }
    for fetcher in harness.fetchers { #expect(Set(fetcher.fetches.map(\.connection)).count == 3) }
  }

  @Test func fetchesOfADeadFetcherGoToAnother() throws {
    let harness = try Harness(fetchers: 2)
    let client = try harness.client()
    _ = try harness.exchange(client, try apiVersions(1))
    try client.send(try fetch(2) + fetch(3))
    func holder() -> FakeFetcher? { harness.fetchers.first { !$0.fetches.isEmpty } }
    try harness.until("they are lent") { holder()?.fetches.count == 2 }
    let first = try #require(holder())
    try first.serve(first.fetches[0])
    try harness.until("one is answered") { client.next() != nil }
    first.die()
    try harness.until("the other has it") { holder()?.fetches.count == 1 }
    let second = try #require(holder())
    #expect(second.fetches[0].carriesSocket)
    try second.serve(second.fetches[0])
    var response: [UInt8]?
    try harness.until("the other is answered") {
      response = client.next()
      return response != nil
    }
    #expect(response.map(Requests.correlationId) == 3)
    #expect(try harness.exchange(client, try apiVersions(4)).count > 10)
  }

  @Test func aTornResponseClosesItsConnectionOnly() throws {
    let harness = try Harness()
    let torn = try harness.client()
    let whole = try harness.client()
    try torn.send(try fetch(1))
    try whole.send(try fetch(2))
    let fetcher = harness.fetchers[0]
    try harness.until("they are lent") { fetcher.fetches.count == 2 }
    let fetches = fetcher.fetches.sorted { $0.connection < $1.connection }
    try fetcher.write(fetches[0].connection, [0, 0, 0, 99, 1])
    fetcher.die()
    try harness.until("it is closed") { torn.isClosed }
    try harness.until("the other goes on") { fetcher.fetches.count == 1 }
    #expect(fetcher.fetches[0].connection == fetches[1].connection)
    try fetcher.serve(fetcher.fetches[0])
    try harness.until("it is answered") { whole.next() != nil }
  }

  @Test func aDrainingFetcherGetsNothingNew() throws {
    let harness = try Harness(fetchers: 2)
    let client = try harness.client()
    try client.send(try fetch(1))
    func holder() -> FakeFetcher? { harness.fetchers.first { !$0.fetches.isEmpty } }
    try harness.until("it is lent") { holder() != nil }
    let old = try #require(holder())
    let other = try #require(harness.fetchers.first { $0 !== old })
    try old.say(.draining)
    try harness.until("it is known") {
      harness.frontend.fetchers.fetchers.contains { $0.isDraining }
    }
    try client.send(try fetch(2))
    try harness.rounds(5)
    #expect(other.fetches.isEmpty, "the old one has not answered yet")
    try old.serve(old.fetches[0])
    try harness.until("the new one has it") { other.fetches.count == 1 }
    try harness.until("the old one forgets") { old.forgotten.count == 1 }
    #expect(other.fetches[0].carriesSocket)
  }

  @Test func aFetcherThatAppearsLaterIsUsed() throws {
    let harness = try Harness(fetchers: 0)
    let client = try harness.client()
    try client.send(try fetch(1))
    try harness.rounds(5)
    harness.fetchers.append(try FakeFetcher(harness.directory, 4))
    try harness.until("it is lent") { harness.fetchers[0].fetches.count == 1 }
  }

  // MARK: Stop

  @Test func aStopFinishesWhatIsUnderWay() throws {
    let harness = try Harness()
    let client = try harness.client()
    try client.send(try metadata(1) + metadata(2))
    try harness.until("it is there") { harness.coordinator.requests.count == 1 }
    harness.frontend.stopRequested()
    try harness.coordinator.answer(harness.coordinator.requests[0])
    try harness.until("it is answered") { client.next() != nil }
    try harness.rounds(5)
    #expect(harness.coordinator.requests.count == 1, "nothing new is begun")
    let late = try harness.client()
    try harness.rounds(5)
    #expect(harness.frontend.connections.count == 1 && !late.isClosed)
  }
}
