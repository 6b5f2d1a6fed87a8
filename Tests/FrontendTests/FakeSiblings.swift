// Siblings that do what a test tells them, in the test's own thread.
import Glibc
import IPC
import Linux
import Model

/// The listening side of an edge with at most one peer.
final class FakeListener<Out: Message, In: Message> {
  let path: String
  private var socket: OwnedFD?
  private(set) var channel: Channel<Out, In>?
  private let role: Role

  init(_ path: String, _ role: Role) throws {
    self.path = path
    self.role = role
    socket = try UnixSocket.listen(path: path, backlog: 16)
  }

  /// Dies as a process does: its connection ends, its listening socket lives on.
  func die() { channel = nil }

  func receive(_ handle: (In, inout DescriptorList) throws -> Void) throws -> Bool {
    var isNew = false
    if channel == nil { isNew = try accept() }
    guard let channel else { return false }
    var failure: (any Error)?
    do {
      _ = try channel.receive { message, descriptors throws(MessageError) in
        do { try handle(message, &descriptors) } catch { failure = error }
      }
    } catch ReceiveError.channel(.closed) { self.channel = nil }
    if let failure { throw failure }
    return isNew
  }

  private func accept() throws -> Bool {
    guard let listening = socket?.rawValue else { return false }
    let borrowed = try OwnedFD.duplicate(of: listening)
    guard let accepted = try UnixSocket.accept(borrowed) else { return false }
    while true {
      switch Greeting.read(accepted, at: role) {
      case .hello:
        channel = Channel(accepted)
        return true
      case .waiting: continue
      case .refused(let why): throw TestFailure(why)
      }
    }
  }
}

final class FakeLogWriter {
  let listener: FakeListener<LogWriterToFrontend, FrontendToLogWriter>
  private var scoreboard: ScoreboardWriter
  private var slab: SlabView?
  /// What was asked for, with the batches' bytes.
  private(set) var entries: [(entry: AppendEntry, batch: [UInt8])] = []
  /// How many of them are answered.
  private(set) var answered = 0
  /// Messages with entries.
  private(set) var messages = 0
  var answersAtOnce = true
  /// The next error to answer with.
  var error: ErrorCode = .none
  var nextOffset: Int64 = 0

  init(_ directory: String) throws {
    listener = try FakeListener("\(directory)/\(SocketName.logwriter)", .logwriter)
    scoreboard = try ScoreboardWriter()
  }

  func publish(_ slot: UInt32, generation: UInt32) {
    scoreboard.publish(
      slot,
      ScoreboardEntry(
        generation: generation, logStartOffset: 0, logEndOffset: 0, highWatermark: 0,
        lastStableOffset: 0, leaderEpoch: 0, isOffline: false, segmentBaseOffset: 0,
        segmentPosition: 0))
  }

  /// Another logwriter in its place, with a new scoreboard.
  func restart() throws {
    listener.die()
    slab = nil
    scoreboard = try ScoreboardWriter()
    entries = []
    answered = 0
  }

  func step() throws {
    _ = try listener.receive { message, descriptors in
      switch message {
      case .attachSlab(let size):
        guard let memory = descriptors.take() else { throw TestFailure("no slab") }
        slab = try SlabView(memory, size: size)
        try listener.channel?.send(.scoreboard, descriptors: [scoreboard.descriptor.rawValue])
      case .append(let new):
        messages += 1
        for entry in new {
          let bytes = slab?.bytes(offset: entry.offset, length: entry.length)
          entries.append((entry, bytes.map { [UInt8]($0) } ?? []))
        }
      }
    }
    if answersAtOnce { try answer(entries.count - answered) }
  }

  /// The frontend is gone, and with it whoever waited for answers.
  func forgetUnanswered() { entries.removeSubrange(answered...) }

  /// Answers the oldest open entries.
  func answer(_ count: Int) throws {
    guard count > 0, let channel = listener.channel else { return }
    var answers: [AppendedEntry] = []
    for item in entries[answered..<answered + count] {
      answers.append(
        AppendedEntry(
          cookie: item.entry.cookie, error: error, baseOffset: error == .none ? nextOffset : -1,
          logStartOffset: 0))
      if error == .none { nextOffset += 1 }
    }
    answered += count
    try channel.send(.appended(answers))
  }
}

final class FakeCoordinator {
  let listener: FakeListener<CoordinatorToFrontend, FrontendToCoordinator>
  private(set) var requests: [ClientRequest] = []
  private(set) var statistics: [ProcessStatistics] = []
  var snapshot: ImageUpdate? = ImageUpdate(epoch: 1, isSnapshot: true, topics: [], removed: [])

  init(_ directory: String) throws {
    listener = try FakeListener("\(directory)/\(SocketName.coordinator)", .coordinator)
  }

  func step() throws {
    let isNew = try listener.receive { message, _ in
      switch message {
      case .request(let request): requests.append(request)
      case .statistics(let numbers): statistics += numbers
      }
    }
    if isNew, let snapshot { try listener.channel?.send(.image(snapshot)) }
  }

  func send(_ message: CoordinatorToFrontend) throws { try listener.channel?.send(message) }

  func publish(_ topics: [TopicImage], epoch: UInt64 = 2) throws {
    snapshot = ImageUpdate(epoch: epoch, isSnapshot: true, topics: topics, removed: [])
    if let snapshot { try send(.image(snapshot)) }
  }

  /// Answers a request with its correlation id and some bytes.
  func answer(_ request: ClientRequest, body: [UInt8] = [9]) throws {
    let frame = Array(request.frame[4..<8]) + body
    let length = UInt32(frame.count).bigEndian
    try send(
      .response(
        connection: request.connection, request: request.request,
        frame: withUnsafeBytes(of: length) { [UInt8]($0) } + frame))
  }
}

/// Opens batches by saying that they are sound, or as a test wants.
final class FakeCodec {
  let listener: FakeListener<CodecToFrontend, FrontendToCodec>
  private var slab: SlabView?
  /// What was asked for and not answered, with the batches' bytes.
  private(set) var entries: [(entry: OpenEntry, batch: [UInt8])] = []
  private(set) var answered = 0
  var answersAtOnce = true
  /// Makes the answer to an entry.
  var answer: (OpenEntry) -> OpenedEntry = {
    OpenedEntry(cookie: $0.cookie, verdict: .sound, maxTimestamp: 77)
  }

  init(_ directory: String, _ instance: UInt32 = 1) throws {
    listener = try FakeListener("\(directory)/\(SocketName.codec(instance))", .codec)
  }

  var isConnected: Bool { listener.channel != nil }

  func step() throws {
    _ = try listener.receive { message, descriptors in
      switch message {
      case .attachSlab(let size):
        guard let memory = descriptors.take() else { throw TestFailure("no slab") }
        slab = try SlabView(memory, size: size)
      case .open(let new):
        for entry in new {
          let bytes = slab?.bytes(offset: entry.offset, length: entry.length)
          entries.append((entry, bytes.map { [UInt8]($0) } ?? []))
        }
      case .reportStatistics:
        let statistics = ProcessStatistics(
          role: .codec, instance: 1, pid: 2, startedMs: 1, residentBytes: 1, cpuMicroseconds: 1,
          counters: [])
        try listener.channel?.send(.statistics(statistics))
      }
    }
    if answersAtOnce { try answer(entries.count) }
  }

  /// Answers the oldest open entries.
  func answer(_ count: Int) throws {
    guard count > 0, let channel = listener.channel else { return }
    for (entry, _) in entries.prefix(count) { try channel.send(.opened([answer(entry)])) }
    entries.removeFirst(count)
    answered += count
  }

  func say(_ message: CodecToFrontend) throws { try listener.channel?.send(message) }

  /// Dies with what it has.
  func die() {
    listener.die()
    slab = nil
    entries = []
  }
}

final class FakeFetcher {
  let listener: FakeListener<FetcherToFrontend, FrontendToFetcher>
  private(set) var fetches: [LentFetch] = []
  private(set) var forgotten: [UInt64] = []
  /// The frontend wants its sockets back.
  var wasAskedBack = false
  private var sockets: [UInt64: Int32] = [:]

  init(_ directory: String, _ instance: UInt32) throws {
    listener = try FakeListener("\(directory)/\(SocketName.fetcher(instance))", .fetcher)
  }

  deinit { closeSockets() }

  var isConnected: Bool { listener.channel != nil }

  func step() throws {
    _ = try listener.receive { message, descriptors in
      switch message {
      case .fetch(let fetch):
        fetches.append(fetch)
        if let socket = descriptors.take() { sockets[fetch.connection] = socket.release() }
      case .forget(let connection):
        forgotten.append(connection)
        if let socket = sockets.removeValue(forKey: connection) { close(socket) }
      case .giveBack: wasAskedBack = true
      }
    }
  }

  /// Writes to a lent socket, all of it.
  func write(_ connection: UInt64, _ bytes: [UInt8]) throws {
    guard let socket = sockets[connection] else { throw TestFailure("the socket is not here") }
    guard send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
      throw TestFailure("a short write")
    }
  }

  /// Answers the fetch with its correlation id.
  func serve(_ fetch: LentFetch, body: [UInt8] = [7]) throws {
    let frame = Array(fetch.frame[4..<8]) + body
    let length = UInt32(frame.count).bigEndian
    let bytes = withUnsafeBytes(of: length) { [UInt8]($0) } + frame
    try write(fetch.connection, bytes)
    try listener.channel?.send(.served(connection: fetch.connection, bytes: UInt64(bytes.count)))
  }

  func say(_ message: FetcherToFrontend) throws { try listener.channel?.send(message) }

  func die() {
    listener.die()
    closeSockets()
    fetches = []
  }

  private func closeSockets() {
    for socket in sockets.values { close(socket) }
    sockets = [:]
  }
}
