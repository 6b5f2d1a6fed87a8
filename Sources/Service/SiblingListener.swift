// The listening side of the edges: accepts siblings, checks who they are, reads their greeting, and
// hands the greeted socket over. A connection that greets wrongly is closed with a log line.

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
  private let greetingSource: (Int) -> Handler.Source
  private var waiting: [Int: Waiting] = [:]
  private var nextNumber = 0

  private final class Waiting {
    let socket: OwnedFD
    var watch: Watch?
    init(_ socket: consuming OwnedFD) { self.socket = socket }
  }

  /// - Parameters:
  ///   - peers: who may connect.
  ///   - source: delivered when siblings wait to be accepted: call `accept`.
  ///   - greetingSource: delivered when connection number N may have greeted: call `greeted(N)`.
  public init(
    _ socket: consuming OwnedFD, role: Role, peers: PeerPolicy = PeerPolicy(),
    loop: EventLoop<Handler>, log: Log, source: Handler.Source,
    greetingSource: @escaping (Int) -> Handler.Source
  ) throws(Errno) {
    try Socket.setNonBlocking(socket)
    self.socket = socket
    self.role = role
    self.peers = peers
    self.loop = loop
    self.log = log
    self.greetingSource = greetingSource
    _ = try loop.watch(self.socket.rawValue, .readable, source)
  }

  /// Accepts whoever waits and calls `take` for each one that has greeted already, as all do.
  public func accept(_ take: (Hello, consuming OwnedFD) -> Void) {
    while true {
      do throws(Errno) {
        guard let accepted = try UnixSocket.accept(socket) else { return }
        try admit(accepted, take)
      } catch {
        log.event(.systemTrouble, "cannot accept a sibling: \(error)")
        return
      }
    }
  }

  /// Looks at connection `number` again.
  public func greeted(_ number: Int, _ take: (Hello, consuming OwnedFD) -> Void) {
    guard let entry = waiting.removeValue(forKey: number), let watch = entry.watch else { return }
    do throws(Errno) {
      try loop.unwatch(watch)
      try admit(try entry.socket.duplicate(), take)
    } catch { log.event(.systemTrouble, "cannot admit a sibling: \(error)") }
  }

  private func admit(_ accepted: consuming OwnedFD, _ take: (Hello, consuming OwnedFD) -> Void)
    throws(Errno)
  {
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
    case .waiting:
      let number = nextNumber
      nextNumber += 1
      let entry = Waiting(accepted)
      entry.watch = try loop.watch(entry.socket.rawValue, .readable, greetingSource(number))
      waiting[number] = entry
    }
  }

  private func refused(_ peer: PeerCredentials, _ why: String) {
    log.event(
      .peerRefused,
      "refused a connection: \(why)",
      metadata: ["peerPid": "\(peer.pid)", "peerUid": "\(peer.uid)"])
  }
}
