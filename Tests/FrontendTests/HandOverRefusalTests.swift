// A hand-over that fails: connections are closed, and nothing else is harmed.
import Glibc
import IPC
import KafkaProtocol
import Linux
import Model
import Service
import Testing

@testable import Frontend

@Suite(.serialized) struct HandOverRefusalTests {
  private func apiVersions(_ correlationId: Int32) throws -> [UInt8] {
    try Requests.frame(
      ApiVersionsRequest(clientSoftwareName: "t", clientSoftwareVersion: "1"), version: 3,
      correlationId: correlationId)
  }

  @Test(arguments: ["full", "absent", "silent"])
  func withoutAStoreItStopsAsEver(why: String) throws {
    let harness = try Harness()
    harness.store.isFull = why == "full"
    harness.store.isAbsent = why == "absent"
    harness.store.isSilent = why == "silent"
    let client = try harness.client()
    try client.send(
      try Requests.frame(MetadataRequest(topics: nil), version: 12, correlationId: 5))
    try harness.until("it is forwarded") { harness.coordinator.requests.count == 1 }
    harness.frontend.stopRequested()
    if why == "silent" {
      try harness.rounds(5)
      #expect(!harness.frontend.isStopping, "clients are served while the store is asked")
      harness.frontend.storeOverdue()
    }
    try harness.until("it stops") { harness.frontend.isStopping }
    #expect(harness.frontend.handOver == nil)
    try harness.coordinator.answer(harness.coordinator.requests[0])
    try harness.until("what was under way is answered") { client.next() != nil }
  }

  @Test func withoutClientsThereIsNothingToKeep() throws {
    let harness = try Harness()
    harness.frontend.stopRequested()
    #expect(harness.frontend.isStopping && harness.frontend.handOver == nil)
  }

  @Test func aFetcherThatKeepsASocketLosesItsClientOnly() throws {
    let harness = try Harness()
    let clients = [try harness.client(), try harness.client()]
    try clients[0].send(try Requests.frame(FetchRequest(), version: 12, correlationId: 1))
    _ = try harness.exchange(clients[1], try apiVersions(1))
    try harness.until("it is lent") { harness.fetchers[0].fetches.count == 1 }
    harness.frontend.stopRequested()
    try harness.until("it is asked for") { harness.fetchers[0].wasAskedBack }
    harness.frontend.handOverOverdue(.forUnknownBatches)
    try harness.restart()
    try harness.until("it is closed") { clients[0].isClosed }
    #expect(try harness.exchange(clients[1], try apiVersions(2)).count > 10)
  }

  @Test func aFetcherThatReturnsNonsenseIsNotBelieved() throws {
    let harness = try Harness()
    let client = try harness.client()
    try client.send(try Requests.frame(FetchRequest(), version: 12, correlationId: 1))
    let fetcher = harness.fetchers[0]
    try harness.until("it is lent") { fetcher.fetches.count == 1 }
    harness.frontend.stopRequested()
    try harness.until("it is asked for") { fetcher.wasAskedBack }
    let number = fetcher.fetches[0].connection
    try fetcher.say(.returned(ReturnedSocket(connection: number, unanswered: 2)))
    // Its link ends, and the kernel says that nothing was written: the fetch is as good as returned.
    try harness.restart()
    try harness.until("it is lent again") { fetcher.fetches.count == 2 }
    #expect(!client.isClosed)
  }

  /// Whatever is in the store, the next process serves, and connections that it cannot go on with are
  /// closed.
  @Test(arguments: [
    "no parcel", "no end", "no state", "unsealed", "another version", "too few", "another peer",
    "another listener", "no connection",
  ])
  func whatIsWrongIsClosed(what: String) throws {
    let harness = try Harness()
    let client = try harness.client()
    _ = try harness.exchange(client, try apiVersions(1))
    try harness.restart(listener: what == "another listener" ? "OTHER" : "PLAINTEXT") {
      if what == "another listener" { return }
      try replace(what, harness)
    }
    try harness.until("\(what): it is closed") { client.isClosed }
    #expect(harness.frontend.connections.count == 0)
    #expect(harness.store.drops == 1)
    let other = try harness.client()
    #expect(try harness.exchange(other, try apiVersions(2)).count > 10)
  }

  /// Puts something else into the store, with the same socket where it can be.
  private func replace(_ what: String, _ harness: Harness) throws {
    guard let taken = harness.store.take() else { throw TestFailure("nothing is stored") }
    let opened = try OpenedParcel(taken)
    guard let socket = opened.takeSocket(), let state = opened.takeState() else {
      throw TestFailure("the parcel is empty")
    }
    var states = try HandOverFile.read(state)
    let parcel = try Parcel()
    let pair = try UnixSocket.pair()
    _ = parcel.give(to: harness.store.store, barrier: pair.first)
    switch what {
    case "no parcel":
      harness.store.replace(try MemoryFile.sealed(name: "junk", contents: [1, 2, 3]))
      return
    case "no connection":
      #expect(parcel.add([pair.second.rawValue]) == 1)
    default: #expect(parcel.add([socket.rawValue]) == 1)
    }
    switch what {
    case "no end": return
    case "no state": finish(parcel, socket)
    case "unsealed":
      let file = try MemoryFile.empty(name: "unsealed")
      try File.writeAll(try bytes(state), to: file)
      finish(parcel, file)
    case "another version":
      var contents = try bytes(state)
      contents[8] = 2
      finish(parcel, try MemoryFile.sealed(name: "other", contents: contents))
    default:
      if what == "another peer" { states[0].peer = "127.0.0.1:1" }
      let count = what == "too few" ? 0 : 1
      let file = try HandOverFile.write(count: count) { states[$0] }
      finish(parcel, file)
    }
  }

  private func finish(_ parcel: Parcel, _ file: borrowing OwnedFD) {
    let isFinished = parcel.finish(file)
    #expect(isFinished)
  }

  private func bytes(_ file: borrowing OwnedFD) throws -> [UInt8] {
    let size = Int(try File.status(file).size)
    let mapping = try Mapping(file, count: size, writable: false)
    return [UInt8](mapping.bytes)
  }

  @Test func aClientThatHasGoneIsLeftOut() throws {
    let harness = try Harness()
    let clients = [try harness.client(), try harness.client()]
    for client in clients { _ = try harness.exchange(client, try apiVersions(1)) }
    try clients[0].abort()
    try harness.restart {
      harness.clients.removeFirst()
      Socket.shutdownBoth(clients[0].socket)
    }
    try harness.until("one is left") { harness.frontend.connections.count == 1 }
    #expect(try harness.exchange(clients[1], try apiVersions(2)).count > 10)
  }

  @Test func connectionsOverALimitAreClosed() throws {
    let harness = try Harness()
    for _ in 0..<5 { _ = try harness.exchange(try harness.client(), try apiVersions(1)) }
    var limits = Harness.limits()
    limits.connectionsMax = 3
    try harness.restart(limits: limits)
    try harness.until("two are closed") { harness.clients.count { $0.isClosed } == 2 }
    #expect(harness.frontend.counters.refused == 2)
  }

  @Test func noDescriptorIsLeft() throws {
    let harness = try Harness()
    for _ in 0..<20 { _ = try harness.exchange(try harness.client(), try apiVersions(1)) }
    try harness.restart()
    for _ in 0..<5 { try harness.restart() }
    // Other tests hand over meanwhile, so it may take a moment.
    try harness.until("no parcel is left") { parcelsOpen() == 0 }
  }

  /// Descriptors of hand-over files in this process, whoever has them.
  private func parcelsOpen() -> Int {
    guard let names = try? File.names(in: "/proc/self/fd") else { return -1 }
    return names.count { name in
      var target = [CChar](repeating: 0, count: 512)
      let length = readlink("/proc/self/fd/\(name)", &target, target.count)
      return length > 0
        && String(decoding: target[..<length].map { UInt8(bitPattern: $0) }, as: UTF8.self)
          .contains("sluice-connections")
    }
  }
}

@Suite struct HandOverFileTests {
  private static let states = [
    ConnectionState(
      listener: "PLAINTEXT", peer: "127.0.0.1:40000", clientId: "ü", requests: 5, bytesIn: 6,
      bytesOut: 7, forwardedCount: 3, accountedBytes: 1 << 40, idleMs: 77, fetcher: 2,
      unsent: [1, 2, 3], received: [UInt8](repeating: 9, count: 100_000)),
    ConnectionState(
      listener: "", peer: "[::1]:1", clientId: "", requests: 0, bytesIn: 0, bytesOut: 0,
      forwardedCount: 0, accountedBytes: 0, idleMs: 0, fetcher: 0,
      unsent: [], received: []),
  ]

  private func file(_ states: [ConnectionState]) throws -> [UInt8] {
    let file = try HandOverFile.write(count: states.count) { states[$0] }
    let read = try HandOverFile.read(file)
    #expect(read == states)
    let size = Int(try File.status(file).size)
    let mapping = try Mapping(file, count: size, writable: false)
    return [UInt8](mapping.bytes)
  }

  @Test func whatIsWrittenIsRead() throws {
    _ = try file([])
    _ = try file(Self.states)
    let many = (0..<1000).map { _ in Self.states[1] }
    _ = try file(many)
  }

  @discardableResult
  private func decode(_ bytes: [UInt8]) throws -> [ConnectionState] {
    try bytes.withRawBytes { raw throws(MessageError) in try HandOverFile.decode(raw) }
  }

  @Test func everyTruncationIsRefused() throws {
    let whole = try file([Self.states[1], Self.states[1]])
    for count in 0..<whole.count {
      #expect(throws: MessageError.self) { try decode(Array(whole[..<count])) }
    }
    #expect(throws: MessageError.self) { try decode(whole + [0]) }
  }

  @Test func randomBytesDoNoHarm() throws {
    var seed = Seed()
    let whole = try file(Self.states)
    for _ in 0..<2000 {
      var bytes = whole
      for _ in 0..<Int.random(in: 1...4, using: &seed) {
        let place = Int.random(in: 0..<min(bytes.count, 200), using: &seed)
        bytes[place] = .random(in: 0...255, using: &seed)
      }
      _ = try? decode(bytes)
      _ = try? decode(seed.bytes(Int.random(in: 0...100, using: &seed)))
    }
  }
}
