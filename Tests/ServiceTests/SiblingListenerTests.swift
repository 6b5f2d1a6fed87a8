// Who connects and says nothing, and a system that refuses connections: neither keeps a process busy.

import Foundation
import Glibc
import IPC
import Linux
import Logging
import Testing

@testable import Service

@Suite(.serialized) struct SiblingListenerTests {
  private typealias Loop = EventLoop<Handler>

  private final class Handler: EventHandler {
    var onReady: (Int) -> Void = { _ in }
    var onExpired: (Int) -> Void = { _ in }
    var onRound: () -> Void = {}
    var rounds = 0

    func ready(_ source: Int, _ readiness: Readiness) { onReady(source) }
    func expired(_ source: Int) { onExpired(source) }
    func roundEnded() {
      rounds += 1
      onRound()
    }
    func stopRequested() {}
    func reloadRequested() {}
  }

  private enum Source {
    static let patience = -1
    static let listener = 0
    static let greeting = 1
  }

  /// What a listener at a socket of its own does until `isDone`, or for 20 s.
  private func run(
    _ limits: SiblingListenerLimits,
    acceptNext: @escaping (borrowing OwnedFD) throws(Errno) -> OwnedFD? = UnixSocket.accept,
    connect: (String) throws -> Void, isDone: @escaping ([UInt32]) -> Bool
  ) throws -> (admitted: [UInt32], rounds: Int, inTime: Bool) {
    let directory = NSTemporaryDirectory() + "sluice-\(UUID().uuidString)"
    try File.makeDirectory(directory)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let loop = try Loop()
    let handler = Handler()
    let listener = try SiblingListener(
      try UnixSocket.listen(path: directory + "/l.sock", backlog: 256), role: .coordinator,
      limits: limits, loop: loop, log: .standardError(processName: "test", level: .critical),
      source: Source.listener, greetingSource: { Source.greeting + $0 }, acceptNext: acceptNext)
    try connect(directory + "/l.sock")
    var admitted: [UInt32] = []
    var inTime = true
    func take(_ hello: Hello, _ socket: consuming OwnedFD) { admitted.append(hello.instance) }
    handler.onReady = { source in
      if source == Source.listener {
        listener.accept(take)
      } else {
        listener.greeted(source - Source.greeting, take)
      }
    }
    handler.onExpired = { source in
      if source == Source.listener { return listener.expired() }
      inTime = false
      loop.stop()
    }
    handler.onRound = { if isDone(admitted) { loop.stop() } }
    loop.schedule(afterMs: 20_000, Source.patience)
    try loop.run(handler)
    return (admitted, handler.rounds, inTime)
  }

  private func isClosed(_ socket: borrowing OwnedFD) -> Bool {
    withUnsafeTemporaryAllocation(byteCount: 8, alignment: 8) { buffer in
      guard case .closed? = try? UnixSocket.receive(socket, into: buffer) else { return false }
      return true
    }
  }

  /// Sockets of clients, for closures.
  private final class Clients {
    var sockets: [Box] = []

    final class Box {
      let socket: OwnedFD
      init(_ socket: consuming OwnedFD) { self.socket = socket }
    }

    func silent(_ path: String) throws { sockets.append(Box(try UnixSocket.connect(path: path))) }

    func greeting(_ path: String, _ instance: UInt32) throws {
      sockets.append(
        Box(try Greeting.connect(path: path, edge: .adminToCoordinator, instance: instance)))
    }
  }

  @Test func whoSaysNothingIsClosed() throws {
    var limits = SiblingListenerLimits()
    limits.greetingMs = 30
    let clients = Clients()
    let outcome = try run(limits) { path in
      try clients.silent(path)
      try clients.greeting(path, 3)
    } isDone: { _ in
      isClosed(clients.sockets[0].socket)
    }
    #expect(outcome.inTime && outcome.admitted == [3])
    // Accepted, timed out: nothing in between wakes the process.
    #expect(outcome.rounds < 10)
  }

  @Test func tooManyWhoSayNothingMakeRoom() throws {
    var limits = SiblingListenerLimits()
    limits.waitingMax = 4
    let clients = Clients()
    var closed: [Bool] = []
    let outcome = try run(limits) { path in
      for _ in 0..<6 { try clients.silent(path) }
      try clients.greeting(path, 9)
    } isDone: { admitted in
      closed = clients.sockets.prefix(6).map { isClosed($0.socket) }
      return admitted == [9]
    }
    #expect(outcome.inTime)
    #expect(closed == [true, true, false, false, false, false])
  }

  @Test func itRestsWhenTheSystemRefuses() throws {
    var limits = SiblingListenerLimits()
    limits.restMsMin = 5
    limits.restMsMax = 20
    let clients = Clients()
    var refusals = 0
    let outcome = try run(
      limits,
      acceptNext: { socket throws(Errno) in
        if refusals < 8 {
          refusals += 1
          throw Errno(EMFILE, "accept4")
        }
        return try UnixSocket.accept(socket)
      }, connect: { path in try clients.greeting(path, 1) }, isDone: { $0 == [1] })
    #expect(outcome.inTime && refusals == 8)
    // One round for the refusal and one for the end of each rest; a spinning loop has thousands.
    #expect(outcome.rounds <= 2 * 8 + 6)
  }
}
