// A fetcher among fakes: a logwriter with segments in a directory, a coordinator with an image, and
// a frontend that lends TCP connections. The fetcher runs on a thread of its own and meets them over
// real sockets, as it would in a family of processes.
import Foundation
import Glibc
import IPC
import KafkaProtocol
import Linux
import Logging
import Model
import Service

@testable import Fetcher

struct TestFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// Waits until a descriptor is readable.
func waitReadable(_ descriptor: Int32, ms: Int32 = 20_000) throws {
  var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
  guard Glibc.poll(&poll, 1, ms) == 1 else { throw TestFailure("nothing came") }
}

/// A channel that a test reads with patience.
final class TestChannel<Out: Message, In: Message> {
  let channel: Channel<Out, In>

  init(_ channel: Channel<Out, In>) { self.channel = channel }

  func send(_ message: Out, descriptors: [Int32] = []) throws {
    try channel.send(message, descriptors: descriptors)
  }

  func next() throws -> In {
    while true {
      var got: In?
      _ = try channel.receive(limit: 1) { message, _ throws(Never) in got = message }
      if let got { return got }
      try waitReadable(channel.descriptor)
    }
  }

  /// What is there now, if anything.
  func poll() throws -> In? {
    var got: In?
    _ = try channel.receive(limit: 1) { message, _ throws(Never) in got = message }
    return got
  }
}

/// One end of a TCP connection that a frontend would own, and the client's end.
final class TestConnection {
  let server: OwnedFD
  let client: OwnedFD
  let number: UInt64
  private var isLent = false

  init(_ number: UInt64, sendBuffer: Int32? = nil, receiveBuffer: Int32? = nil) throws {
    self.number = number
    let listener = try TCPSocket.listen(
      SocketAddress(host: "127.0.0.1", port: 0, isIPv6: false), backlog: 4)
    guard let address = try TCPSocket.localAddress(listener) else {
      throw TestFailure("no address")
    }
    let client = try TCPSocket.connect(address)
    if let receiveBuffer { try TCPSocket.setBuffers(client, send: nil, receive: receiveBuffer) }
    self.client = client
    try waitReadable(listener.rawValue)
    guard let accepted = try TCPSocket.accept(listener) else { throw TestFailure("no connection") }
    server = accepted.takeSocket()
    if let sendBuffer { try TCPSocket.setBuffers(server, send: sendBuffer, receive: nil) }
  }

  /// Whether the socket goes along: only the first time.
  func carriesSocket() -> Bool {
    defer { isLent = true }
    return !isLent
  }

  /// Another process has it now, which has lent it to nobody.
  func changeHands() { isLent = false }

  /// Exactly `count` bytes of what the fetcher wrote.
  func read(_ count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let outcome = try bytes.withUnsafeMutableBytes { raw in
        try TCPSocket.receive(client, into: UnsafeMutableRawBufferPointer(rebasing: raw[done...]))
      }
      switch outcome {
      case .bytes(0): throw TestFailure("the connection ended after \(done) bytes")
      case .bytes(let more): done += more
      case .wouldBlock: try waitReadable(client.rawValue)
      }
    }
    return bytes
  }

  /// One response frame without its length.
  func readFrame() throws -> [UInt8] {
    let length = try read(4).reduce(0) { $0 << 8 | Int($1) }
    return try read(length)
  }
}

final class Family: @unchecked Sendable {
  typealias LogWriterEnd = TestChannel<LogWriterToFetcher, FetcherToLogWriter>
  typealias CoordinatorEnd = TestChannel<CoordinatorToFetcher, FetcherToCoordinator>
  typealias FrontendEnd = TestChannel<FrontendToFetcher, FetcherToFrontend>

  /// Who listens, for connections that come.
  final class Listening {
    let socket: OwnedFD
    init(_ path: String) throws { socket = try UnixSocket.listen(path: path, backlog: 16) }

    func accept<Out: Message, In: Message>(_ role: Role, _ type: TestChannel<Out, In>.Type) throws
      -> TestChannel<Out, In>
    {
      try waitReadable(socket.rawValue)
      guard let accepted = try UnixSocket.accept(socket) else { throw TestFailure("nobody came") }
      try waitReadable(accepted.rawValue)
      guard case .hello = Greeting.read(accepted, at: role) else {
        throw TestFailure("no greeting")
      }
      return TestChannel(Channel(accepted))
    }
  }

  let directory: TemporaryDirectory
  let logwriterListening: Listening
  let coordinatorListening: Listening
  var scoreboard: SharedWriter
  var logwriter: LogWriterEnd
  var coordinator: CoordinatorEnd
  var frontend: FrontendEnd
  var waitBoard: SharedBoard
  private var thread = pthread_t()
  private let ended = DispatchSemaphore(value: 0)
  private var failure: String?
  private let report = Report()
  private var connections: UInt64 = 0

  final class Report: @unchecked Sendable {
    let ready = DispatchSemaphore(value: 0)
  }

  final class SharedWriter {
    let writer: ScoreboardWriter
    init() throws { writer = try ScoreboardWriter() }
  }

  final class SharedBoard {
    let board: WaitBoard
    init(_ file: consuming OwnedFD) throws { board = try WaitBoard(received: file) }
  }

  init(sessions: Int = 1000, fetchMaxBytes: Int = 55 << 20, descriptors: Int = 4096) throws {
    directory = try TemporaryDirectory()
    let path = directory.path
    let logwriterListening = try Listening(path + "/logwriter.sock")
    let coordinatorListening = try Listening(path + "/coordinator.sock")
    self.logwriterListening = logwriterListening
    self.coordinatorListening = coordinatorListening
    let number = try UnixSocket.listen(path: path + "/fetcher-1.sock", backlog: 16).release()
    let settings = FetcherSettings(
      instance: 1, logwriterPath: path + "/logwriter.sock",
      coordinatorPath: path + "/coordinator.sock", descriptorsMax: descriptors,
      fetchMaxBytes: fetchMaxBytes, sessionsMax: sessions)
    let started = DispatchSemaphore(value: 0)
    let ended = ended
    let report = report
    nonisolated(unsafe) var thread = pthread_t()
    Thread.detachNewThread {
      thread = pthread_self()
      do {
        let process = try FetcherProcess(
          settings, listening: OwnedFD(taking: number),
          .standardError(processName: "fetcher-test", level: .critical),
          FetcherReports(
            ready: { report.ready.signal() }, stopping: {},
            statistics: { counters in
              ProcessStatistics(
                role: .fetcher, instance: 1, pid: 1, startedMs: 1, residentBytes: 1,
                cpuMicroseconds: 1, counters: counters)
            }))
        started.signal()
        try process.run()
      } catch { print("the fetcher failed: \(error)") }
      ended.signal()
    }
    started.wait()
    scoreboard = try SharedWriter()
    coordinator = try coordinatorListening.accept(.coordinator, CoordinatorEnd.self)
    (logwriter, waitBoard) = try Self.acceptFetcher(logwriterListening)
    frontend = TestChannel(
      Channel(
        try Greeting.connect(
          path: path + "/fetcher-1.sock", edge: .frontendToFetcher, instance: 1)))
    self.thread = thread
    try sendScoreboard()
  }

  private static func acceptFetcher(_ listening: Listening) throws -> (LogWriterEnd, SharedBoard) {
    let end = try listening.accept(.logwriter, LogWriterEnd.self)
    var board: SharedBoard?
    while board == nil {
      _ = try end.channel.receive(limit: 1) { _, descriptors in
        if let file = descriptors.take() { board = try SharedBoard(file) }
      }
      if board == nil { try waitReadable(end.channel.descriptor) }
    }
    guard let board else { throw TestFailure("no wait board") }
    return (end, board)
  }

  func sendScoreboard() throws {
    try logwriter.send(.scoreboard, descriptors: [scoreboard.writer.descriptor.rawValue])
  }

  /// The logwriter dies and a new one takes its place, with a scoreboard of its own.
  func replaceLogWriter() throws {
    logwriter = LogWriterEnd(Channel(try UnixSocket.pairEnd()))
    scoreboard = try SharedWriter()
    (logwriter, waitBoard) = try Self.acceptFetcher(logwriterListening)
    try sendScoreboard()
  }

  func waitReady() throws {
    guard report.ready.wait(timeout: .now() + 20) == .success else {
      throw TestFailure("never ready")
    }
  }

  /// The frontend dies and another one takes its place.
  func replaceFrontend() throws {
    frontend = FrontendEnd(
      Channel(
        try Greeting.connect(
          path: directory.path + "/fetcher-1.sock", edge: .frontendToFetcher, instance: 1)))
  }

  /// Waits for sockets that the fetcher gives back.
  func nextReturned() throws -> ReturnedSocket {
    guard case .returned(let socket) = try frontend.next() else {
      throw TestFailure("not returned")
    }
    return socket
  }

  func publish(_ topics: [TopicImage], snapshot: Bool = true, removed: [UUID128] = []) throws {
    try coordinator.send(
      .image(ImageUpdate(epoch: 1, isSnapshot: snapshot, topics: topics, removed: removed)))
  }

  /// Publishes where a partition ends, and wakes whoever waits for it, as a logwriter does.
  func publish(
    slot: UInt32, generation: UInt32 = 1, start: Int64 = 0, _ segment: TestSegment,
    leaderEpoch: Int32 = 5, offline: Bool = false, stable: Int64? = nil
  ) throws {
    stableOffset = stable ?? segment.nextOffset
    let end = segment.nextOffset
    scoreboard.writer.publish(
      slot,
      ScoreboardEntry(
        generation: generation, logStartOffset: start, logEndOffset: end, highWatermark: end,
        lastStableOffset: stable ?? end, leaderEpoch: leaderEpoch, isOffline: offline,
        segmentBaseOffset: segment.baseOffset, segmentPosition: segment.size,
        abortedTransactionsEdition: edition))
    SharedWord.fence()
    if waitBoard.board.takeMark(slot) { try logwriter.send(.advanced(slots: [slot])) }
  }

  /// Of the transaction indexes, as published and told with every segment from now on.
  var edition: UInt32 = 0
  private var stableOffset: Int64 = 0

  /// Answers the next question for a segment with the one that holds its offset.
  @discardableResult
  func answerOpen(_ segments: [TestSegment]) throws -> SegmentQuery {
    guard case .openSegment(let query) = try logwriter.next() else {
      throw TestFailure("not a question for a segment")
    }
    guard let index = segments.lastIndex(where: { $0.baseOffset <= query.offset }) else {
      try logwriter.send(
        .segmentUnavailable(
          SegmentRefusal(
            token: query.token, slot: query.slot, generation: query.generation,
            error: .offsetOutOfRange)))
      return query
    }
    let segment = segments[index]
    let start = segment.batches.last { $0.baseOffset <= query.offset }?.position ?? 0
    let log = try segment.openLog()
    let indexFile = try segment.openIndex()
    var description = segment.description(
      token: query.token, slot: query.slot, generation: query.generation,
      next: index + 1 < segments.count ? segments[index + 1].baseOffset : .max, start: start)
    description.transactions = SegmentTransactions(
      carriesIndex: !segment.aborted.isEmpty,
      nextBaseOffset: segments[(index + 1)...].first { !$0.aborted.isEmpty }?.baseOffset ?? .max,
      lastStableOffset: stableOffset, edition: edition)
    if segment.aborted.isEmpty {
      try logwriter.send(
        .segment(description), descriptors: [log.rawValue, indexFile.rawValue])
    } else {
      let transactions = try segment.openTransactions()
      try logwriter.send(
        .segment(description),
        descriptors: [log.rawValue, indexFile.rawValue, transactions.rawValue])
    }
    return query
  }

  /// - Parameters: small buffers make writes partial.
  func connect(sendBuffer: Int32? = nil, receiveBuffer: Int32? = nil) throws -> TestConnection {
    connections += 1
    return try TestConnection(connections, sendBuffer: sendBuffer, receiveBuffer: receiveBuffer)
  }

  /// Sends a request as its frontend would.
  func send(
    _ request: FetchRequest, version: Int16, correlationId: Int32 = 7, on connection: TestConnection
  )
    throws
  {
    var writer = WireWriter()
    try writer.writeRequest(request, version: version, correlationId: correlationId, clientId: "t")
    try send(Array(writer.bytes.dropFirst(4)), on: connection)
  }

  func send(_ frame: [UInt8], on connection: TestConnection) throws {
    let carries = connection.carriesSocket()
    try frontend.send(
      .fetch(
        LentFetch(
          connection: connection.number, carriesSocket: carries, peer: "127.0.0.1:1", frame: frame)),
      descriptors: carries ? [connection.server.rawValue] : [])
  }

  /// The next response on a connection, and what the fetcher told the frontend of it.
  func receive(version: Int16, on connection: TestConnection) throws -> TestResponse {
    let frame = try connection.readFrame()
    let response = try TestResponse(frame, version: version)
    guard case .served(let number, let bytes) = try frontend.next() else {
      throw TestFailure("not served")
    }
    guard number == connection.number, bytes == UInt64(frame.count + 4) else {
      throw TestFailure("served \(bytes) bytes of \(number), not \(frame.count + 4)")
    }
    return response
  }

  func fetch(_ request: FetchRequest, version: Int16, on connection: TestConnection) throws
    -> TestResponse
  {
    try send(request, version: version, on: connection)
    return try receive(version: version, on: connection)
  }

  func counter(_ name: String) throws -> UInt64 {
    try coordinator.send(.reportStatistics(busiest: 0))
    guard case .statistics(let statistics) = try coordinator.next() else {
      throw TestFailure("no statistics")
    }
    guard let counter = statistics.counters.first(where: { $0.name == name }) else {
      throw TestFailure("no counter \(name)")
    }
    return counter.value
  }

  /// Waits until a counter has a value: the fetcher has then done what leads to it.
  func await(_ name: String, _ value: UInt64) throws {
    let deadline = Date().addingTimeInterval(20)
    while try counter(name) != value {
      if Date() > deadline { throw TestFailure("\(name) never was \(value)") }
    }
  }

  func terminate() { pthread_kill(thread, SIGTERM) }

  /// Ends the fetcher and waits for it.
  func stop() throws {
    terminate()
    guard ended.wait(timeout: .now() + 20) == .success else { throw TestFailure("did not stop") }
  }
}

extension UnixSocket {
  /// One end of a pair whose other end is closed.
  static func pairEnd() throws -> OwnedFD {
    var end: Int32 = -1
    try pair().split { first, second in
      end = first.release()
      second.close()
    }
    return OwnedFD(taking: end)
  }
}

/// A response with its records.
struct TestResponse {
  let correlationId: Int32
  let message: FetchResponse
  private let frame: [UInt8]

  init(_ frame: [UInt8], version: Int16) throws {
    self.frame = frame
    var reader = WireReader(frame.span.bytes)
    correlationId = try reader.readInt32("correlationId")
    if version >= 12 { try reader.skipTaggedFields() }
    message = try FetchResponse(reading: &reader, version: version)
    try reader.finish()
  }

  /// The records of each partition, by topic (or its id) and partition.
  var partitions: [FetchResponse.PartitionData] { message.responses.flatMap(\.partitions) }

  func records(_ index: Int = 0) -> [UInt8] {
    guard let slice = partitions[index].records?.decoded else { return [] }
    return Array(frame[slice.range])
  }
}
