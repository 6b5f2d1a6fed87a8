// The real process, killed while it appends: what it had acknowledged is there afterwards, once and
// in order, and a retry of an idempotent producer is recognised.

import Foundation
import Glibc
import IPC
import Linux
import Model
import Records
import Testing

@testable import Storage

@Suite(.serialized) struct KillTests {
  /// A process of our own, started as `sluice up` starts it.
  final class Running {
    let child: ChildBox
    let path: String
    private var isReaped = false

    final class ChildBox {
      let process: ChildProcess
      init(_ process: consuming ChildProcess) { self.process = process }
    }

    init(_ directory: String, _ listener: borrowing OwnedFD) throws {
      path = "\(directory)/\(SocketName.logwriter)"
      let executable = try #require(
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
      let program =
        URL(fileURLWithPath: executable).deletingLastPathComponent().path + "/sluice-logwriter"
      let candidates = [program, ".build/debug/sluice-logwriter"]
      let found = try #require(
        candidates.first { FileManager.default.isExecutableFile(atPath: $0) })
      child = ChildBox(
        try ChildProcess(
          path: found,
          arguments: [
            "--runtime-directory", directory, "--override", "log.dirs=\(directory)/data",
          ], environment: [], sockets: [("logwriter", listener.rawValue)]))
    }

    deinit { stop(SIGKILL) }

    /// Ends it and waits until it has.
    func stop(_ signal: Int32) {
      if isReaped { return }
      isReaped = true
      child.process.send(signal: signal)
      _ = Poll.wait(child.process.descriptor, .readable, timeoutMs: -1)
      _ = try? child.process.reap()
    }
  }

  /// A sibling over a blocking channel: waits for each message.
  final class Peer<Out: Message, In: Message> {
    private var channel: Channel<Out, In>
    private var received: [In] = []
    private var descriptors: [OwnedDescriptor] = []

    init(_ path: String, _ edge: Edge) throws {
      channel = Channel(try Greeting.connect(path: path, edge: edge, instance: 1))
    }

    func send(_ message: Out, descriptors: [Int32] = []) throws {
      try channel.send(message, descriptors: descriptors)
    }

    /// The next message, or nil when the other end is gone.
    func next() throws -> In? {
      while received.isEmpty {
        let isReady = Poll.waitAny([channel.descriptor], .readable, timeoutMs: 20_000) != nil
        try #require(isReady, "no answer in 20 s")
        do {
          try channel.receive { message, list throws(MessageError) in
            received.append(message)
            while let next = list.take() { descriptors.append(OwnedDescriptor(next)) }
          }
        } catch { return nil }
      }
      return received.removeFirst()
    }
  }

  private func partition(_ path: String) throws -> PartitionState? {
    let coordinator = try Peer<CoordinatorToLogWriter, LogWriterToCoordinator>(
      path, .coordinatorToLogWriter)
    let name = PartitionName(topic: "t", partition: 0, topicId: CoordinatorSide.topicId)
    var config = LogConfig()
    config.segmentBytes = 200_000
    try coordinator.send(
      .createPartitions(
        token: 1, [PartitionSpec(name: name, config: config, leaderEpoch: 0, creation: .new)]))
    while let message = try coordinator.next() {
      switch message {
      case .partitionsCreated(_, let states) where states[0].error == .none: return states[0]
      // Its recovery is not finished; it will be told.
      case .partitionChanged(let state) where state.error == .none: return state
      default: continue
      }
    }
    return nil
  }

  @Test func whatWasAcknowledgedIsThere() throws {
    let temporary = try TemporaryDirectory()
    let listener = try UnixSocket.listen(
      path: "\(temporary.path)/\(SocketName.logwriter)", backlog: 16)
    var acknowledged: [Int64: UInt8] = [:]
    var sequence: Int32 = 0
    var toSend: [Int32] = []
    for round in 0..<4 {
      let running = try Running(temporary.path, listener)
      let state = try #require(try partition(running.path))
      let frontend = try Peer<FrontendToLogWriter, LogWriterToFrontend>(
        running.path, .frontendToLogWriter)
      let slab = try Slab(size: 1 << 20)
      try frontend.send(
        .attachSlab(size: 1 << 20), descriptors: [slab.descriptor.rawValue])
      _ = try frontend.next()
      // Retries first, as the protocol between them says; then new records. Five are in
      // flight: of more the logwriter would not know all again.
      var unanswered: [Int32] = []
      var answers = 0
      let killAfter = 40 * (round + 1)
      while true {
        while unanswered.count < 5 {
          let next = toSend.isEmpty ? sequence : toSend.removeFirst()
          if next == sequence { sequence += 1 }
          let bytes = batch(
            payload: 1_000, producerId: 9, sequence: next, fill: UInt8(truncatingIfNeeded: next))
          let place = Int(next % 16) * 4_096
          slab.bytes[place...].copyBytes(from: bytes)
          let entry = AppendEntry(
            cookie: UInt64(next), slot: state.slot, generation: state.generation,
            offset: UInt64(place), length: UInt32(bytes.count), acks: 1)
          unanswered.append(next)
          do { try frontend.send(.append([entry])) } catch { break }
        }
        if answers >= killAfter { running.child.process.send(signal: SIGKILL) }
        guard case .appended(let entries)? = try frontend.next() else { break }
        for entry in entries {
          #expect(entry.error == .none)
          #expect(acknowledged[entry.baseOffset] == nil)
          acknowledged[entry.baseOffset] = UInt8(truncatingIfNeeded: entry.cookie)
          unanswered.removeAll { UInt64($0) == entry.cookie }
          answers += 1
        }
      }
      toSend = unanswered + toSend
    }
    // One producer, every sequence number once: the offset is the sequence number.
    let running = try Running(temporary.path, listener)
    _ = try partition(running.path)
    running.stop(SIGTERM)
    try check(temporary.path, acknowledged)
  }

  private func check(_ path: String, _ acknowledged: [Int64: UInt8]) throws {
    #expect(acknowledged.count > 300)
    #expect(File.exists("\(path)/data/.kafka_cleanshutdown"))
    let directory = "\(path)/data/t-0"
    let names = try File.names(in: directory)
    #expect(!names.contains { $0.hasSuffix(".tmp") })
    var found: [RecordBatchHeader] = []
    var fills: [UInt8] = []
    for name in names.filter({ $0.hasSuffix(".log") }).sorted() {
      let bytes = try File.contents("\(directory)/\(name)")
      var position = 0
      for header in try headers(bytes) {
        fills.append(bytes[position + RecordBatchHeader.size])
        position += header.sizeInBytes
        found.append(header)
      }
    }
    for (index, header) in found.enumerated() {
      #expect(header.baseOffset == Int64(index))
      #expect(header.baseSequence == Int32(index))
      #expect(fills[index] == UInt8(truncatingIfNeeded: index))
    }
    for (offset, fill) in acknowledged {
      try #require(offset < Int64(found.count))
      #expect(fills[Int(offset)] == fill)
    }
  }
}
