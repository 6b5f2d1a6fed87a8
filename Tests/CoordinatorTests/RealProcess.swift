// A real coordinator process between siblings that the test plays, all in the test's own thread:
// the sockets, the greetings and the shared memory are real, the logwriter's logs are not.

import Foundation
import IPC
import KafkaProtocol
import Linux
import Model
import Testing

@testable import Coordinator

struct TestFailure: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// A frontend as the coordinator sees it.
final class TestFrontend {
  let channel: Channel<FrontendToCoordinator, CoordinatorToFrontend>
  private(set) var topics = TopicTable()
  private(set) var responses: [UInt64: [UInt8]] = [:]
  /// The image's epoch when a response came.
  private(set) var epochs: [UInt64: UInt64] = [:]
  private(set) var refused: [UInt64: String] = [:]
  private(set) var isClosed = false
  private var lastRequest: UInt64 = 0

  init(_ path: String) throws {
    channel = Channel(
      try Greeting.connect(path: path, edge: .frontendToCoordinator, instance: 1))
  }

  func send<Request: WireRequest>(_ request: Request, version: Int16) throws -> UInt64 {
    var writer = WireWriter()
    try writer.writeRequest(request, version: version, correlationId: 1, clientId: "c")
    lastRequest += 1
    try channel.send(
      .request(
        ClientRequest(
          connection: 1, request: lastRequest, listener: "PLAINTEXT", peer: "127.0.0.1:1",
          localHost: "127.0.0.1", localPort: 9092, principal: "User:ANONYMOUS",
          frame: Array(writer.bytes.dropFirst(4)))))
    return lastRequest
  }

  func answer<Response: WireResponse>(
    _ type: Response.Type, to request: UInt64, version: Int16
  ) throws -> Response? {
    guard let frame = responses[request] else { return nil }
    let header = Response.apiKey.responseHeaderVersion(version) >= 1 ? 9 : 8
    return try Response(decoding: Array(frame[header...]), version: version)
  }

  /// What was said to be set at run time.
  private(set) var configured: [DynamicBrokerConfigs] = []

  func step() throws {
    do throws(ReceiveError<MessageError>) {
      try channel.receive { message, _ throws(MessageError) in
        switch message {
        case .response(_, let request, let frame):
          responses[request] = frame
          epochs[request] = topics.epoch
        case .refused(_, let request, let reason): refused[request] = reason
        case .image(let update): topics.apply(update)
        case .configureBroker(let dynamic): configured.append(dynamic)
        case .reportStatistics:
          let statistics = ProcessStatistics(
            role: .frontend, instance: 1, pid: 1, startedMs: 0, residentBytes: 0,
            cpuMicroseconds: 0, counters: [])
          do { try self.channel.send(.statistics([statistics])) } catch {
            throw MessageError("\(error)")
          }
        }
      }
    } catch {
      guard case .channel = error else { throw TestFailure("\(error)") }
      isClosed = true
    }
  }
}

final class RealProcess {
  let directory: String
  let logWriter = FakeLogWriter()
  private let coordinatorSocket: OwnedFD
  private let logWriterSocket: OwnedFD
  private let scoreboard: ScoreboardWriter
  private var logWriterChannel: Channel<LogWriterToCoordinator, CoordinatorToLogWriter>?
  private var child: ChildProcess?
  private let overrides: [String]
  var frontends: [TestFrontend] = []
  /// The logwriter answers.
  var serves = true

  init(_ overrides: [String] = []) throws {
    directory = "/tmp/sc-\(UUID().uuidString.prefix(12))"
    self.overrides = overrides
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    coordinatorSocket = try UnixSocket.listen(
      path: "\(directory)/\(SocketName.coordinator)", backlog: 64)
    logWriterSocket = try UnixSocket.listen(
      path: "\(directory)/\(SocketName.logwriter)", backlog: 64)
    scoreboard = try ScoreboardWriter()
  }

  deinit {
    _ = try? end(SIGKILL)
    try? FileManager.default.removeItem(atPath: directory)
  }

  var socketPath: String { "\(directory)/\(SocketName.coordinator)" }
  var pid: Int32 { child?.pid ?? 0 }

  func start() throws {
    let tests = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path
    var arguments = ["--runtime-directory", directory, "--override", "log.dirs=\(directory)/data"]
    for override in overrides { arguments += ["--override", override] }
    child = try ChildProcess(
      path: "\(tests)/sluice-coordinator", arguments: arguments,
      environment: ["SWIFT_BACKTRACE=enable=no"],
      sockets: [(name: "coordinator", coordinatorSocket.rawValue)])
  }

  /// Sends a signal and waits for the end.
  func end(_ signal: Int32) throws -> ChildProcess.Ending {
    if child == nil { throw TestFailure("nothing runs") }
    child?.send(signal: signal)
    logWriterChannel = nil
    while true {
      guard let ending = try child?.reap() else {
        try wait()
        continue
      }
      child = nil
      frontends = []
      return ending
    }
  }

  func connectFrontend() throws -> TestFrontend {
    let frontend = try TestFrontend(socketPath)
    frontends.append(frontend)
    return frontend
  }

  /// Plays everyone's part until `isDone`, for a minute at most: the machine may be busy.
  func run(until isDone: () throws -> Bool) throws {
    let deadline = Clock.monotonicNs() + 60_000_000_000
    while true {
      try stepLogWriter()
      for frontend in frontends where !frontend.isClosed { try frontend.step() }
      if try isDone() { return }
      guard Clock.monotonicNs() < deadline else { throw TestFailure("nothing happens") }
      try wait()
    }
  }

  func ask<Request: WireRequest>(
    _ request: Request, version: Int16, of frontend: TestFrontend
  ) throws -> Request.Response {
    let number = try frontend.send(request, version: version)
    var answer: Request.Response?
    try run {
      answer = try frontend.answer(Request.Response.self, to: number, version: version)
      return answer != nil
    }
    return try #require(answer)
  }

  /// Waits until a socket has something, or a moment.
  private func wait() throws {
    let epoll = try Epoll()
    try epoll.add(logWriterSocket.rawValue, .readable, token: 0)
    if let logWriterChannel {
      try epoll.add(logWriterChannel.descriptor, .readable, token: 1)
    }
    for frontend in frontends where !frontend.isClosed {
      try epoll.add(frontend.channel.descriptor, .readable, token: 2)
    }
    _ = try epoll.wait(timeoutMs: 20)
  }

  private func stepLogWriter() throws {
    if logWriterChannel == nil, let accepted = try UnixSocket.accept(logWriterSocket) {
      try greet(accepted)
    }
    guard serves, let channel = logWriterChannel else { return }
    do {
      try channel.receive { message, _ in
        for (answer, file) in self.logWriter.handle(message) {
          self.publish()
          try channel.send(answer, descriptors: file.map { [$0.descriptor.rawValue] } ?? [])
        }
        if case .reportStatistics = message {
          let statistics = ProcessStatistics(
            role: .logwriter, instance: 1, pid: 1, startedMs: 0, residentBytes: 0,
            cpuMicroseconds: 0, counters: [])
          try channel.send(.statistics([statistics]))
        }
      }
    } catch { logWriterChannel = nil }
  }

  private func greet(_ accepted: consuming OwnedFD) throws {
    reading: while true {
      switch Greeting.read(accepted, at: .logwriter) {
      case .hello(let hello):
        guard hello.edge == .coordinatorToLogWriter else { throw TestFailure("\(hello.edge)") }
        break reading
      case .waiting: continue
      // A coordinator that was killed while it waited.
      case .refused: return
      }
    }
    let channel = Channel<LogWriterToCoordinator, CoordinatorToLogWriter>(accepted)
    publish()
    try channel.send(
      .scoreboard(clusterId: "MkU3OEVBNTcwNTJENDM2Qg"),
      descriptors: [scoreboard.descriptor.rawValue])
    try channel.send(.inventory(logWriter.inventory, isLast: true))
    logWriterChannel = channel
  }

  /// The link breaks, and a new logwriter with the same logs is about to come.
  func loseLogWriter() {
    logWriterChannel = nil
    logWriter.restart()
  }

  private func publish() {
    for slot in logWriter.logs.keys {
      guard
        let entry = logWriter.entry(SlotRef(slot: slot, generation: logWriter.generation))
      else { continue }
      scoreboard.publish(slot, entry)
    }
  }
}
