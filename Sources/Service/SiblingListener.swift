// The listening side of the edges: accepts siblings, checks who they are, reads their greeting, and
// hands the greeted socket over. A connection that greets wrongly is closed with a log line.
//
// Nobody can keep it busy or full: when the system refuses a connection (EMFILE), it rests before it
// tries again; who has connected and says nothing is closed after a while, or when too many do so.
// A timer runs only while one of the two is the case.

import CLinux
import Glibc
import IPC
import Linux
import Logging

public final class SiblingListener<Handler: EventHandler> {
  private let socket: OwnedFD
  private let role: Role
  private let peers: PeerPolicy
  private let loop: EventLoop<Handler>
  private let log: Log
  private let limits: SiblingListenerLimits
  private let source: Handler.Source
  private let greetingSource: (Int) -> Handler.Source
  private let acceptNext: (borrowing OwnedFD) throws(Errno) -> OwnedFD?
  /// nil while it rests.
  private var watch: Watch?
  private var restMs: Int64
  private var restEndsNs: UInt64 = 0
  /// By number; a smaller number has waited longer.
  private var waiting: [Int: Waiting] = [:]
  private var nextNumber = 0
  private var timer: TimerID?

  private final class Waiting {
    private var socket: OwnedFD?
    let deadlineNs: UInt64
    var watch: Watch?

    init(_ socket: consuming OwnedFD, deadlineNs: UInt64) {
      self.socket = consume socket
      self.deadlineNs = deadlineNs
    }

    var descriptor: Int32? { socket?.rawValue }

    func take() -> OwnedFD? { socket.take() }
  }

  /// - Parameters:
  ///   - peers: who may connect.
  ///   - source: delivered when siblings wait to be accepted: call `accept`; and when time has
  ///     passed: call `expired`.
  ///   - greetingSource: delivered when connection number N may have greeted: call `greeted(N)`.
  ///   - acceptNext: accepts one connection, nil when there is none.
  public init(
    _ socket: consuming OwnedFD, role: Role, peers: PeerPolicy = PeerPolicy(),
    limits: SiblingListenerLimits = SiblingListenerLimits(), loop: EventLoop<Handler>, log: Log,
    source: Handler.Source, greetingSource: @escaping (Int) -> Handler.Source,
    acceptNext: @escaping (borrowing OwnedFD) throws(Errno) -> OwnedFD? = UnixSocket.accept
  ) throws(Errno) {
    try Socket.setNonBlocking(socket)
    self.socket = socket
    self.role = role
    self.peers = peers
    self.limits = limits
    self.loop = loop
    self.log = log
    self.source = source
    self.greetingSource = greetingSource
    self.acceptNext = acceptNext
    restMs = limits.restMsMin
    watch = try loop.watch(self.socket.rawValue, .readable, source)
  }

  /// Accepts whoever waits and calls `take` for each one that has greeted already, as all do.
  public func accept(_ take: (Hello, consuming OwnedFD) -> Void) {
    while watch != nil {
      do throws(Errno) {
        guard let accepted = try acceptNext(socket) else { return }
        restMs = limits.restMsMin
        admit(accepted, take)
      } catch {
        log.event(.systemTrouble, "cannot accept a sibling: \(error)")
        return rest()
      }
    }
  }

  /// Looks at connection `number` again.
  public func greeted(_ number: Int, _ take: (Hello, consuming OwnedFD) -> Void) {
    guard let accepted = endWaiting(number) else { return }
    admit(accepted, take)
  }

  /// Time has passed.
  public func expired() {
    timer = nil
    if watch == nil, loop.nowNs >= restEndsNs {
      do throws(Errno) {
        watch = try loop.watch(socket.rawValue, .readable, source)
      } catch {
        log.event(.systemTrouble, "cannot watch for siblings: \(error)")
        return rest()
      }
    }
    for (number, entry) in waiting where entry.deadlineNs <= loop.nowNs {
      giveUp(number, "no greeting within \(limits.greetingMs) ms")
    }
    scheduleNext()
  }

  private func admit(_ accepted: consuming OwnedFD, _ take: (Hello, consuming OwnedFD) -> Void) {
    do throws(Errno) {
      let peer = try UnixSocket.peerCredentials(accepted)
      // Nothing is read from a user who has no business here.
      guard peers.allows(user: peer.uid, at: role) else {
        return refused(peer, "this user may not connect to a \(role)")
      }
      switch Greeting.read(accepted, at: role) {
      case .hello(let hello):
        guard peers.allows(user: peer.uid, as: hello.edge.from) else {
          return refused(peer, "this user may not speak as a \(hello.edge.from)")
        }
        take(hello, accepted)
      case .refused(let why): refused(peer, why)
      case .waiting: try wait(for: accepted)
      }
    } catch { log.event(.systemTrouble, "cannot admit a sibling: \(error)") }
  }

  private func wait(for accepted: consuming OwnedFD) throws(Errno) {
    if waiting.count >= limits.waitingMax, let longest = waiting.keys.min() {
      giveUp(longest, "no greeting, and \(limits.waitingMax) others wait too")
    }
    let number = nextNumber
    nextNumber += 1
    let entry = Waiting(
      accepted, deadlineNs: loop.nowNs + UInt64(limits.greetingMs) * 1_000_000)
    guard let descriptor = entry.descriptor else { return }
    entry.watch = try loop.watch(descriptor, .readable, greetingSource(number))
    waiting[number] = entry
    scheduleNext()
  }

  private func endWaiting(_ number: Int) -> OwnedFD? {
    guard let entry = waiting.removeValue(forKey: number), let watch = entry.watch else {
      return nil
    }
    do throws(Errno) { try loop.unwatch(watch) } catch {
      log.event(.systemTrouble, "cannot admit a sibling: \(error)")
      return nil
    }
    return entry.take()
  }

  private func giveUp(_ number: Int, _ why: String) {
    guard let socket = endWaiting(number) else { return }
    do throws(Errno) { refused(try UnixSocket.peerCredentials(socket), why) } catch {
      log.event(.peerRefused, "refused a connection: \(why)")
    }
  }

  /// What the system refuses now it refuses again at once: those who wait to be accepted wait.
  private func rest() {
    restEndsNs = loop.nowNs + UInt64(restMs) * 1_000_000
    restMs = min(restMs * 2, limits.restMsMax)
    if let watch {
      self.watch = nil
      do throws(Errno) { try loop.unwatch(watch) } catch {
        log.event(.systemTrouble, "cannot rest: \(error)")
      }
    }
    scheduleNext()
  }

  private func scheduleNext() {
    if let timer { loop.cancel(timer) }
    timer = nil
    var due = waiting.values.lazy.map(\.deadlineNs).min()
    if watch == nil { due = min(due ?? .max, restEndsNs) }
    guard let due else { return }
    let ms = due > loop.nowNs ? Int64((due - loop.nowNs + 999_999) / 1_000_000) : 0
    timer = loop.schedule(afterMs: ms, source)
  }

  private func refused(_ peer: PeerCredentials, _ why: String) {
    log.event(
      .peerRefused,
      "refused a connection: \(why)",
      metadata: ["peerPid": "\(peer.pid)", "peerUid": "\(peer.uid)"])
  }
}

/// How patient a listener is.
public struct SiblingListenerLimits: Sendable {
  /// A sibling greets as soon as it has connected: what takes longer is none, or is stopped.
  public var greetingMs: Int64 = 5_000
  /// Connections that have not greeted yet. There are fewer processes in a family.
  public var waitingMax = 64
  /// From the first refusal by the system to the next try, and at most.
  public var restMsMin: Int64 = 50
  public var restMsMax: Int64 = 1_000

  public init() {}
}
