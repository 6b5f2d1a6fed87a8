// A logwriter in this process, driven round by round, with siblings at the other ends of real
// sockets: everything that goes between them is what goes between processes.

import Foundation
import IPC
import Linux
import Model
import Records
import Testing

@testable import LogWriter
@testable import Service
@testable import Storage

/// A directory that goes away with its owner; in memory where that can be had.
final class TemporaryDirectory {
  let path: String

  init() throws {
    let memory = "/dev/shm"
    let parent =
      FileManager.default.isWritableFile(atPath: memory) ? memory : NSTemporaryDirectory()
    path = "\(parent)/sluice-lw-\(UUID().uuidString.prefix(8))"
    try File.makeDirectory(path)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// The logwriter and its data.
final class Broker {
  let temporary: TemporaryDirectory
  private(set) var writer: LogWriter

  private let device: LogDevice
  private let overrides: [String]

  /// - Parameter moreLogDirs: behind the one of its own in `log.dirs`.
  init(
    device: LogDevice = LogDevice(), overrides: [String] = [], moreLogDirs: [String] = []
  ) throws {
    temporary = try TemporaryDirectory()
    self.device = device
    let all = ["\(temporary.path)/data"] + moreLogDirs
    self.overrides =
      overrides + (moreLogDirs.isEmpty ? [] : ["log.dirs=\(all.joined(separator: ","))"])
    writer = try Self.start(temporary.path, device, self.overrides)
  }

  private static func start(_ path: String, _ device: LogDevice, _ overrides: [String]) throws
    -> LogWriter
  {
    var options = ServiceOptions()
    options.runtimeDirectory = path
    options.overrides = ["log.dirs=\(path)/data", "sluice.log.dir.ballast.bytes=0"] + overrides
    let context = try ServiceContext(role: .logwriter, options: options)
    let store = try LogStore(
      configuration: context.configuration, descriptorsMax: 1024, device: device, log: context.log)
    let socket = try UnixSocket.listen(path: context.socketPath(SocketName.logwriter), backlog: 16)
    let writer = try LogWriter(context: context, socket: socket, store: store)
    writer.begin()
    return writer
  }

  var socketPath: String { "\(temporary.path)/\(SocketName.logwriter)" }
  var logPath: String { "\(temporary.path)/data" }

  /// Rounds of the loop until `isDone`, for a minute at most in case it never is.
  func run(until isDone: () throws -> Bool) throws {
    let deadlineNs = Clock.monotonicNs() + 60_000_000_000
    while Clock.monotonicNs() < deadlineNs {
      try writer.loop.round(writer, timeoutMs: 1)
      if try isDone() { return }
    }
    Issue.record("nothing came of it in a minute")
  }

  func rounds(_ count: Int = 5) throws {
    for _ in 0..<count { try writer.loop.round(writer, timeoutMs: 0) }
  }

  /// Closes cleanly and starts again, after `meanwhile`.
  func restart(_ meanwhile: () throws -> Void = {}) throws {
    writer.store.close()
    try crash(meanwhile)
  }

  /// Starts again on the files as they are, after `meanwhile`.
  func crash(_ meanwhile: () throws -> Void = {}) throws {
    // The old store holds the lock of the directory: it must go before the new one comes.
    let elsewhere = try TemporaryDirectory()
    writer = try Self.start(elsewhere.path, device, [])
    try meanwhile()
    writer = try Self.start(temporary.path, device, overrides)
  }
}

/// One sibling's end of an edge.
final class Sibling<Out: Message, In: Message> {
  private let broker: Broker
  private var channel: Channel<Out, In>
  private(set) var received: [In] = []
  /// Descriptors that came, in order.
  private(set) var descriptors: [OwnedDescriptor] = []
  private(set) var isClosed = false

  init(_ broker: Broker, _ edge: Edge) throws {
    self.broker = broker
    channel = Channel(
      try Greeting.connect(path: broker.socketPath, edge: edge, instance: 1))
  }

  func send(_ message: Out, descriptors: [Int32] = []) throws {
    try channel.send(message, descriptors: descriptors)
  }

  /// Takes in what has come.
  func poll() {
    do {
      try channel.receive { message, list throws(MessageError) in
        received.append(message)
        while let next = list.take() { descriptors.append(OwnedDescriptor(next)) }
      }
    } catch { isClosed = true }
  }

  /// Runs the broker until the next message is there, and takes it.
  func next() throws -> In {
    try broker.run {
      poll()
      return !received.isEmpty || isClosed
    }
    try #require(!received.isEmpty, "the channel was closed")
    return received.removeFirst()
  }

  func takeDescriptor() throws -> OwnedDescriptor {
    try #require(!descriptors.isEmpty)
    return descriptors.removeFirst()
  }

  /// Runs the broker until it has closed the connection.
  func expectClosed() throws {
    try broker.run {
      poll()
      return isClosed
    }
  }
}

final class OwnedDescriptor {
  let fd: OwnedFD
  init(_ fd: consuming OwnedFD) { self.fd = fd }

  func contents() throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Int(try File.status(fd).size))
    let count = try bytes.withUnsafeMutableBytes { raw in
      Result<Int, Errno> { () throws(Errno) in try File.read(fd, into: raw, at: 0) }
    }.get()
    #expect(count == bytes.count)
    return bytes
  }
}

/// A coordinator and the partitions it made.
final class CoordinatorSide {
  let sibling: Sibling<CoordinatorToLogWriter, LogWriterToCoordinator>
  let inventory: [PartitionState]
  let scoreboard: ScoreboardReader
  let clusterId: String
  static let topicId = UUID128(high: 7, low: 8)

  init(_ broker: Broker) throws {
    let sibling = try Sibling<CoordinatorToLogWriter, LogWriterToCoordinator>(
      broker, .coordinatorToLogWriter)
    self.sibling = sibling
    guard case .scoreboard(let clusterId) = try sibling.next() else { throw Unexpected() }
    self.clusterId = clusterId
    scoreboard = try ScoreboardReader(try sibling.takeDescriptor().fd)
    var states: [PartitionState] = []
    while true {
      guard case .inventory(let part, let isLast) = try sibling.next() else { throw Unexpected() }
      states += part
      if isLast { break }
    }
    inventory = states
  }

  func spec(
    _ partition: Int32, topic: String = "t", topicId: UUID128 = topicId,
    _ configure: (inout LogConfig) -> Void = { _ in }
  ) -> PartitionSpec {
    var config = LogConfig()
    configure(&config)
    return PartitionSpec(
      name: PartitionName(topic: topic, partition: partition, topicId: topicId), config: config,
      leaderEpoch: 2, creation: .new)
  }

  func create(_ specs: [PartitionSpec]) throws -> [PartitionState] {
    try sibling.send(.createPartitions(token: 5, specs))
    guard case .partitionsCreated(5, let states) = try sibling.next() else { throw Unexpected() }
    return states
  }

  /// Creates partitions of topic `t` from 0 on.
  func create(_ count: Int32, _ configure: (inout LogConfig) -> Void = { _ in }) throws
    -> [PartitionState]
  {
    let states = try create((0..<count).map { spec($0, configure) })
    for state in states { try #require(state.error == .none, "\(state.detail)") }
    return states
  }

  func entry(_ state: PartitionState) -> ScoreboardEntry? {
    scoreboard.entry(state.slot, generation: state.generation)
  }
}

/// A frontend with its slab.
final class FrontendSide {
  let sibling: Sibling<FrontendToLogWriter, LogWriterToFrontend>
  let slab: SlabBox
  private var end = 0
  static let slabSize = 4 << 20

  final class SlabBox {
    let slab: Slab
    init() throws { slab = try Slab(size: FrontendSide.slabSize) }
  }

  init(_ broker: Broker) throws {
    sibling = try Sibling(broker, .frontendToLogWriter)
    slab = try SlabBox()
    try sibling.send(
      .attachSlab(size: UInt64(Self.slabSize)), descriptors: [slab.slab.descriptor.rawValue])
    guard case .scoreboard = try sibling.next() else { throw Unexpected() }
  }

  /// Puts batches into the slab and makes an entry for them.
  func entry(_ state: PartitionState, _ bytes: [UInt8], cookie: UInt64 = 0) -> AppendEntry {
    let offset = end
    slab.slab.bytes[offset...].copyBytes(from: bytes)
    end += bytes.count
    return AppendEntry(
      cookie: cookie, slot: state.slot, generation: state.generation, offset: UInt64(offset),
      length: UInt32(bytes.count), acks: 1)
  }

  func append(_ entries: [AppendEntry]) throws -> [AppendedEntry] {
    try sibling.send(.append(entries))
    var answers: [AppendedEntry] = []
    while answers.count < entries.count {
      guard case .appended(let part) = try sibling.next() else { throw Unexpected() }
      answers += part
    }
    return answers
  }

  func append(_ state: PartitionState, _ bytes: [UInt8]) throws -> AppendedEntry {
    try append([entry(state, bytes)])[0]
  }
}

/// A fetcher with its wait board.
final class FetcherSide {
  let sibling: Sibling<FetcherToLogWriter, LogWriterToFetcher>
  let board: BoardBox

  final class BoardBox {
    let board: WaitBoard
    init() throws { board = try WaitBoard() }
  }

  init(_ broker: Broker) throws {
    sibling = try Sibling(broker, .fetcherToLogWriter)
    board = try BoardBox()
    try sibling.send(.attachWaitBoard, descriptors: [board.board.descriptor.rawValue])
    guard case .scoreboard = try sibling.next() else { throw Unexpected() }
    _ = try sibling.takeDescriptor()
  }

  func open(_ state: PartitionState, at offset: Int64) throws -> LogWriterToFetcher {
    try sibling.send(
      .openSegment(
        SegmentQuery(
          token: 9, slot: state.slot, generation: state.generation, offset: offset)))
    return try sibling.next()
  }
}

struct Unexpected: Error {}

/// A record batch with a right checksum.
func batch(
  records: Int = 1, payload: Int = 100,
  timestamp: Int64 = Int64(Date().timeIntervalSince1970 * 1000),
  producerId: Int64 = -1, sequence: Int32 = -1, fill: UInt8 = 7
) -> [UInt8] {
  var header = RecordBatchHeader(
    lastOffsetDelta: Int32(records - 1), baseTimestamp: timestamp, maxTimestamp: timestamp,
    recordCount: Int32(records))
  header.batchLength = Int32(RecordBatchHeader.size - 12 + payload)
  header.producerId = producerId
  header.producerEpoch = producerId < 0 ? -1 : 0
  header.baseSequence = sequence
  var bytes = [UInt8](repeating: fill, count: RecordBatchHeader.size + payload)
  bytes.withUnsafeMutableBytes { raw in
    header.write(to: raw)
    header.crc = RecordBatchHeader.checksum(ofBatch: UnsafeRawBufferPointer(raw))
    header.write(to: raw)
  }
  return bytes
}

/// Headers of the batches in a .log file, checksums checked.
func headers(_ bytes: [UInt8]) throws -> [RecordBatchHeader] {
  var found: [RecordBatchHeader] = []
  try bytes.withUnsafeBytes { raw in
    var position = 0
    while position < raw.count {
      let rest = UnsafeRawBufferPointer(rebasing: raw[position...])
      let header = try #require(RecordBatchHeader(rest))
      try #require(header.sizeInBytes <= rest.count)
      #expect(
        header.checksumMatches(UnsafeRawBufferPointer(rebasing: rest[..<header.sizeInBytes])))
      found.append(header)
      position += header.sizeInBytes
    }
  }
  return found
}

/// Descriptors that this process has open.
func openDescriptors() -> Int {
  (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? -1
}

/// Files below a directory that this process has open.
func openFiles(below path: String) -> Int {
  let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
  return all.count {
    (try? File.target(ofLink: "/proc/self/fd/\($0)"))?.hasPrefix(path) == true
  }
}
