// The loop: stale events, timers, signals; and links and listeners that live in it.
import Foundation
import Glibc
import IPC
import Linux
import Logging
import Testing

@testable import Service

/// Does what a test tells it to.
private final class Script: EventHandler {
  var onReady: (Int, Readiness) -> Void = { _, _ in }
  var onExpired: (Int) -> Void = { _ in }
  var onRoundEnded: () -> Void = {}
  var onStop: () -> Void = {}
  var onReload: () -> Void = {}

  func ready(_ source: Int, _ readiness: Readiness) { onReady(source, readiness) }
  func expired(_ source: Int) { onExpired(source) }
  func roundEnded() { onRoundEnded() }
  func stopRequested() { onStop() }
  func reloadRequested() { onReload() }
}

private typealias Loop = EventLoop<Script>

/// Stops a loop that would otherwise hang a failing test.
private let patienceMs: Int64 = 20_000

/// One at a time: loops share the process's signals.
@Suite(.serialized) struct EventLoopTests {
  @Test func aStaleEventIsDropped() throws {
    let loop = try Loop()
    let script = Script()
    let first = try EventFD()
    let second = try EventFD()
    var watches: [Watch] = []
    var delivered: [Int] = []
    watches.append(try loop.watch(first.descriptor.rawValue, .readable, 0))
    watches.append(try loop.watch(second.descriptor.rawValue, .readable, 1))
    first.signal()
    second.signal()
    // Whichever comes first ends the watch of the other, and takes its slot over.
    let extra = try EventFD()
    script.onReady = { source, _ in
      delivered.append(source)
      guard source < 2, delivered.count == 1 else { return }
      do {
        try loop.unwatch(watches[1 - source])
        _ = try loop.watch(extra.descriptor.rawValue, .readable, 9)
      } catch { Issue.record(error) }
    }
    script.onRoundEnded = { loop.stop() }
    try loop.run(script)
    #expect(delivered.count == 1)
  }

  @Test func timersComeDueAndCanBeTakenBack() throws {
    let loop = try Loop()
    let script = Script()
    var due: [Int] = []
    loop.schedule(afterMs: 20, 2)
    loop.schedule(afterMs: 1, 1)
    let cancelled = loop.schedule(afterMs: 5, 3)
    loop.cancel(cancelled)
    script.onExpired = { source in
      due.append(source)
      if source == 2 { loop.schedule(afterMs: 0, 4) }
      if source == 4 { loop.stop() }
    }
    try loop.run(script)
    #expect(due == [1, 2, 4])
  }

  @Test func signalsArrive() throws {
    let loop = try Loop()
    let script = Script()
    var heard: [String] = []
    script.onReload = {
      heard.append("reload")
      pthread_kill(pthread_self(), SIGTERM)
    }
    script.onStop = {
      heard.append("stop")
      loop.stop()
    }
    loop.schedule(afterMs: patienceMs, 0)
    script.onExpired = { _ in loop.stop() }
    pthread_kill(pthread_self(), SIGHUP)
    try loop.run(script)
    #expect(heard == ["reload", "stop"])
  }

  @Test func slotsAreUsedAgain() throws {
    let loop = try Loop()
    let event = try EventFD()
    for _ in 0..<1000 {
      let watch = try loop.watch(event.descriptor.rawValue, .readable, 1)
      try loop.change(watch, [.readable, .writable])
      try loop.unwatch(watch)
    }
    #expect(loop.slots.count == 1)
  }
}

/// A listener and a link in one loop: greeting, messages both ways, loss and return.
@Suite(.serialized) struct SiblingTests {
  private typealias Link = SiblingLink<FetcherToCoordinator, CoordinatorToFetcher, Script>
  private typealias Server = LoopChannel<CoordinatorToFetcher, FetcherToCoordinator, Script>

  private enum Source {
    static let link = 1
    static let retry = 2
    static let listener = 3
    static let server = 4
    static let patience = 5
    static let greeting = 100
  }

  @Test func aLinkComesBackByItself() throws {
    let directory = NSTemporaryDirectory() + "sluice-\(UUID().uuidString)"
    try File.makeDirectory(directory)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let path = directory + "/c.sock"
    let loop = try Loop()
    let script = Script()
    let link = Link(
      path: path, edge: .fetcherToCoordinator, instance: 7, loop: loop, source: Source.link,
      retrySource: Source.retry)
    var listener: SiblingListener<Script>?
    var server: Server?
    var story: [String] = []

    func serve(_ hello: Hello, _ socket: consuming OwnedFD) {
      story.append("hello \(hello.instance)")
      do {
        let channel = try Server(socket, loop: loop, source: Source.server)
        server = channel
        try channel.send(.reportStatistics(busiest: 0))
      } catch { Issue.record(error) }
    }

    func linkReady(_ readiness: Readiness) {
      do throws(ChannelError) {
        try link.ready(readiness) { message, _ throws(MessageError) in
          if case .reportStatistics = message { story.append("asked") }
          // The first server dies, the second one ends the test.
          if story.count(where: { $0 == "asked" }) == 1 {
            server?.close()
            server = nil
          } else {
            loop.stop()
          }
        }
      } catch { story.append("\(error)") }
    }

    script.onReady = { source, readiness in
      switch source {
      case Source.link: linkReady(readiness)
      case Source.listener: listener?.accept(serve)
      default: listener?.greeted(source - Source.greeting, serve)
      }
    }
    script.onExpired = { source in
      guard source == Source.retry else { return loop.stop() }
      // The first try came too early: now there is a socket.
      if listener == nil {
        do {
          listener = try SiblingListener(
            try UnixSocket.listen(path: path, backlog: 8), role: .coordinator, loop: loop,
            log: .standardError(processName: "test", level: .critical), source: Source.listener,
            greetingSource: { Source.greeting + $0 })
        } catch { Issue.record(error) }
      }
      if let error = link.open() { story.append("\(error)") }
    }
    loop.schedule(afterMs: patienceMs, Source.patience)
    #expect(link.open() != nil)
    #expect(
      !link.send(
        .statistics(
          .init(
            role: .fetcher, instance: 1, pid: 1, startedMs: 1, residentBytes: 1, cpuMicroseconds: 1,
            counters: []))))
    try loop.run(script)
    link.close()
    server?.close()
    #expect(story == ["hello 7", "asked", "connection closed", "hello 7", "asked"])
  }

  @Test func aConnectionThatGreetsWronglyIsClosed() throws {
    let directory = NSTemporaryDirectory() + "sluice-\(UUID().uuidString)"
    try File.makeDirectory(directory)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let path = directory + "/c.sock"
    let loop = try Loop()
    let script = Script()
    let listener = try SiblingListener(
      try UnixSocket.listen(path: path, backlog: 8), role: .coordinator, loop: loop,
      log: .standardError(processName: "test", level: .critical), source: Source.listener,
      greetingSource: { Source.greeting + $0 })
    let wrong = try Greeting.connect(path: path, edge: .fetcherToLogWriter, instance: 1)
    let late = try UnixSocket.connect(path: path)
    var admitted: [UInt32] = []
    func take(_ hello: Hello, _ socket: consuming OwnedFD) {
      admitted.append(hello.instance)
      loop.stop()
    }
    script.onReady = { source, _ in
      if source == Source.listener {
        listener.accept(take)
        // It greets after it was accepted.
        let hello = Hello(edge: .adminToCoordinator, instance: 5).encoded()
        do {
          try hello.withRawBytes { raw throws(Errno) in _ = try UnixSocket.send(late, raw) }
        } catch { Issue.record(error) }
      } else {
        listener.greeted(source - Source.greeting, take)
      }
    }
    script.onExpired = { _ in loop.stop() }
    loop.schedule(afterMs: patienceMs, Source.patience)
    try loop.run(script)
    #expect(admitted == [5])
    var closed = false
    try withUnsafeTemporaryAllocation(byteCount: 8, alignment: 8) { buffer in
      if case .closed = try UnixSocket.receive(wrong, into: buffer) { closed = true }
    }
    #expect(closed)
  }
}
