// What the tests of the frontend share: random input that can be had again, requests and batches, and
// a frontend with fake siblings and clients, all driven from the test's one thread.
import Foundation
import Glibc
import IPC
import KafkaProtocol
import Linux
import Logging
import Model
import Records
import Service
import Testing

@testable import Frontend

/// Random input. `SLUICE_TEST_SEED=<number>` in the environment repeats a run.
struct Seed: RandomNumberGenerator, CustomStringConvertible {
  let value: UInt64
  private var state: UInt64

  init() {
    let given = ProcessInfo.processInfo.environment["SLUICE_TEST_SEED"].flatMap { UInt64($0) }
    value = given ?? UInt64.random(in: 0 ... .max)
    state = value
  }

  var description: String { "SLUICE_TEST_SEED=\(value)" }

  /// SplitMix64.
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
  }
}

struct TestFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

enum Requests {
  /// One batch with one record.
  static func batch(_ value: [UInt8] = [1, 2, 3], producerId: Int64 = -1, sequence: Int32 = 0)
    -> [UInt8]
  {
    var builder = RecordBatchBuilder()
    if producerId >= 0 { builder.setProducer(id: producerId, epoch: 0, baseSequence: sequence) }
    builder.append(timestamp: Clock.wallMs(), key: nil, value: value)
    return builder.build()
  }

  static func frame<Request: WireRequest>(
    _ request: Request, version: Int16, correlationId: Int32, clientId: String? = "test"
  ) throws -> [UInt8] {
    var writer = WireWriter()
    try writer.writeRequest(
      request, version: version, correlationId: correlationId, clientId: clientId)
    return writer.bytes
  }

  static func produce(
    _ batches: [(partition: Int32, bytes: [UInt8])], topic: String = "t", id: UUID128 = .zero,
    acks: Int16 = 1, version: Int16 = 9, correlationId: Int32 = 1, clientId: String? = "test",
    timeoutMs: Int32 = 30_000
  ) throws -> [UInt8] {
    let request = ProduceRequest(
      acks: acks, timeoutMs: timeoutMs,
      topicData: [
        .init(
          name: topic, topicId: id,
          partitionData: batches.map { .init(index: $0.partition, records: .inline($0.bytes)) })
      ])
    return try frame(request, version: version, correlationId: correlationId, clientId: clientId)
  }

  /// The first four bytes after the length.
  static func correlationId(_ frame: [UInt8]) -> Int32 {
    frame[0..<4].reduce(0) { $0 << 8 | Int32($1) }
  }

  static func response<Response: WireResponse>(
    _ type: Response.Type, _ frame: [UInt8], version: Int16
  ) throws -> Response {
    let header = Response.apiKey.responseHeaderVersion(version) >= 1 ? 5 : 4
    return try Response(decoding: Array(frame[header...]), version: version)
  }
}

/// A connection as a client has it.
final class TestClient {
  let socket: OwnedFD
  private(set) var received: [UInt8] = []
  private(set) var isClosed = false
  private var unsent: [UInt8] = []

  init(_ address: SocketAddress) throws { socket = try TCPSocket.connect(address) }

  func send(_ bytes: [UInt8]) throws {
    unsent += bytes
    try step()
  }

  /// Sends and receives what is possible now.
  func step(reading: Bool = true) throws {
    if !unsent.isEmpty {
      do {
        let outcome = try unsent.withRawBytes { raw throws(Errno) in
          try TCPSocket.send(socket, raw)
        }
        if case .bytes(let count) = outcome { unsent.removeFirst(count) }
      } catch {
        isClosed = true
        unsent = []
      }
    }
    guard reading, !isClosed else { return }
    var buffer = [UInt8](repeating: 0, count: 256 << 10)
    do {
      let number = socket.rawValue
      let count = recv(number, &buffer, buffer.count, 0)
      if count > 0 { received += buffer[..<count] }
      if count == 0 || count < 0 && errno == ECONNRESET { isClosed = true }
    }
  }

  /// Takes the oldest whole response, without its length.
  func next() -> [UInt8]? {
    guard received.count >= 4 else { return nil }
    let size = Int(received[0..<4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
    guard received.count >= 4 + size else { return nil }
    defer { received.removeFirst(4 + size) }
    return Array(received[4..<4 + size])
  }

  func endSending() { _ = shutdown(socket.rawValue, Int32(SHUT_WR)) }

  func abort() throws { try TCPSocket.setAbortOnClose(socket) }
}

/// A frontend with its siblings.
final class Harness {
  let directory: String
  private(set) var loop: EventLoop<Frontend>
  private(set) var frontend: Frontend
  let store = FakeStore()
  let logwriter: FakeLogWriter
  let coordinator: FakeCoordinator
  var fetchers: [FakeFetcher] = []
  var codecs: [FakeCodec] = []
  var clients: [TestClient] = []
  let address: SocketAddress
  private let listeningSocket: OwnedFD
  let status = Box("")

  final class Box<Value> {
    var value: Value
    init(_ value: Value) { self.value = value }
  }

  init(limits: FrontendLimits = Harness.limits(), fetchers count: Int = 1, serves: Bool = true)
    throws
  {
    let directory = NSTemporaryDirectory() + "frontend-\(UInt64.random(in: 0 ... .max))"
    self.directory = directory
    try File.makeDirectory(directory)
    logwriter = try FakeLogWriter(directory)
    coordinator = try FakeCoordinator(directory)
    for number in 0..<count { fetchers.append(try FakeFetcher(directory, UInt32(number + 1))) }
    let any = SocketAddress(host: "127.0.0.1", port: 0, isIPv6: false)
    let listening = try TCPSocket.listen(any, backlog: 64)
    guard let bound = try TCPSocket.localAddress(listening) else { throw TestFailure("no address") }
    address = bound
    listeningSocket = listening
    loop = try EventLoop<Frontend>()
    frontend = try Frontend(
      Self.environment(directory, limits, status, store), loop: loop)
    try frontend.add(listener: "PLAINTEXT", try listeningSocket.duplicate())
    try frontend.start()
    if serves {
      try until("it serves") { self.status.value != "" }
      try until("fetchers") { self.fetchers.allSatisfy { $0.isConnected } }
    }
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }

  private static func environment(
    _ directory: String, _ limits: FrontendLimits, _ status: Box<String>, _ store: FakeStore
  ) -> FrontendEnvironment {
    FrontendEnvironment(
      instance: 1, runtimeDirectory: directory,
      log: .standardError(processName: "frontend-test", level: .critical), limits: limits,
      statistics: { counters in
        ProcessStatistics(
          role: .frontend, instance: 1, pid: 1, startedMs: 1, residentBytes: 1,
          cpuMicroseconds: 1, counters: counters)
      }, ready: { status.value = $0 }, stopping: {}, reload: { _ in }, store: store.store)
  }

  /// Has the frontend stop with a hand-over, and another one take its place.
  /// - Parameter stopped: between the two.
  func restart(
    limits: FrontendLimits = Harness.limits(), listener: String = "PLAINTEXT",
    stopped: () throws -> Void = {}
  ) throws {
    if frontend.handOver == nil { frontend.stopRequested() }
    try until("everything is in the parcel") { self.frontend.handOver?.phase == .done }
    loop = try EventLoop<Frontend>()
    status.value = ""
    frontend = try Frontend(Self.environment(directory, limits, status, store), loop: loop)
    try stopped()
    try frontend.add(listener: listener, try listeningSocket.duplicate())
    if let stored = store.take() { frontend.adopt(stored) }
    try frontend.start()
    try until("it serves") { self.status.value != "" }
    try until("fetchers") { self.fetchers.allSatisfy { $0.isConnected } }
  }

  static func limits() -> FrontendLimits {
    var limits = FrontendLimits()
    limits.slabBytes = 16 << 20
    limits.requestMaxBytes = 4 << 20
    return limits
  }

  func client() throws -> TestClient {
    let client = try TestClient(address)
    clients.append(client)
    return client
  }

  /// One round of everybody.
  func round() throws {
    try loop.round(frontend, timeoutMs: 0)
    try logwriter.step()
    try coordinator.step()
    for fetcher in fetchers { try fetcher.step() }
    for codec in codecs { try codec.step() }
    for client in clients { try client.step() }
  }

  /// Rounds until something holds. The limit is only there for failing tests.
  func until(_ what: String, _ condition: () throws -> Bool) throws {
    let begin = Clock.monotonicNs()
    while Clock.monotonicNs() - begin < 20_000_000_000 {
      try round()
      if try condition() { return }
    }
    throw TestFailure("it never came to: \(what)")
  }

  /// Rounds that should change nothing.
  func rounds(_ count: Int) throws { for _ in 0..<count { try round() } }

  /// Sends one request and waits for its response, without its length.
  func exchange(_ client: TestClient, _ bytes: [UInt8]) throws -> [UInt8] {
    try client.send(bytes)
    var response: [UInt8]?
    try until("a response") {
      response = client.next()
      return response != nil || client.isClosed
    }
    guard let response else { throw TestFailure("the connection was closed") }
    return response
  }

  func exchangeProduce(_ client: TestClient, _ bytes: [UInt8], version: Int16 = 9) throws
    -> ProduceResponse
  {
    try Requests.response(ProduceResponse.self, try exchange(client, bytes), version: version)
  }
}
