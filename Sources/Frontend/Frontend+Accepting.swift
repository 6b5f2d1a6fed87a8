// New connections: accepted in turn with other frontends, counted, refused over a limit.
//
// Of those who wait for a socket with EPOLLEXCLUSIVE the kernel wakes the one that has waited longest
// in the socket's own list, and leaves it where it is: the same frontend would get connection after
// connection. So each accepts one an event and goes to the end of the list by watching anew.

import Glibc
import Linux
import Logging
import Service

/// A listening socket that was passed in.
final class Listener {
  /// Such as `PLAINTEXT`.
  let name: String
  let socket: OwnedFD
  var watch: Watch?

  init(name: String, socket: consuming OwnedFD) {
    self.name = name
    self.socket = socket
  }
}

extension Frontend {
  func add(listener name: String, _ socket: consuming OwnedFD) throws(Errno) {
    try Socket.setNonBlocking(socket)
    listeners.append(Listener(name: name, socket: socket))
  }

  /// Says ready and accepts clients, once produce requests can be served.
  func serveIfReady() {
    guard !isServing, !isStopping, hasImage, scoreboard != nil else { return }
    isServing = true
    resumeAdopted()
    watchListeners()
    let names = listeners.map { listener in
      let address = try? TCPSocket.localAddress(listener.socket)
      return "\(listener.name) on \(address?.description ?? "?")"
    }
    let status = "serving \(names.joined(separator: ", "))"
    servingText = status
    environment.ready(status)
  }

  /// What `systemctl status` shows.
  func status(_ pace: Pace) -> String {
    let count = connections.count
    return "\(isServing ? servingText : "waiting for the logwriter and the coordinator"): "
      + "\(count) connection\(count == 1 ? "" : "s")"
      + pace.clause([
        ("requests", false, "requests"), ("bytes_in", true, "in"), ("bytes_out", true, "out"),
      ])
  }

  private func watchListeners() {
    for (index, listener) in listeners.enumerated() where listener.watch == nil {
      do throws(Errno) {
        listener.watch = try loop.watch(
          listener.socket.rawValue, [.readable, .exclusive], .listener(index))
      } catch { fail(ServiceFailure(error)) }
    }
  }

  func unwatchListeners() {
    for listener in listeners {
      guard let watch = listener.watch else { continue }
      listener.watch = nil
      do throws(Errno) { try loop.unwatch(watch) } catch { fail(ServiceFailure(error)) }
    }
  }

  func accept(from index: Int) {
    guard listeners[index].watch != nil else { return }
    do throws(Errno) {
      guard let accepted = try TCPSocket.accept(listeners[index].socket) else { return }
      let peer = accepted.peer
      try admit(accepted.takeSocket(), peer, index)
      try goToTheEnd(listeners[index], index)
    } catch {
      // Descriptors or memory have run out: let those that are there finish first.
      note(.cannotAccept, "cannot accept: \(error)")
      unwatchListeners()
      schedule(.acceptAgain, afterMs: 100, .acceptAgain)
    }
  }

  /// Lets the other frontends have the next connections.
  private func goToTheEnd(_ listener: Listener, _ index: Int) throws(Errno) {
    guard let watch = listener.watch else { return }
    listener.watch = nil
    try loop.unwatch(watch)
    listener.watch = try loop.watch(
      listener.socket.rawValue, [.readable, .exclusive], .listener(index))
  }

  func acceptAgain() {
    timers.remove(.acceptAgain)
    if isServing, !isStopping { watchListeners() }
  }

  private func admit(_ socket: consuming OwnedFD, _ peer: SocketAddress?, _ listener: Int)
    throws(Errno)
  {
    if refuses(peer, listener) { return }
    do throws(Errno) {
      try TCPSocket.setNoDelay(socket)
      try TCPSocket.setKeepAlive(socket)
      try TCPSocket.setBuffers(
        socket, send: limits.sendBufferBytes, receive: limits.receiveBufferBytes)
    } catch {
      // The client is gone already.
      return
    }
    let connection = Connection(
      number: connections.nextNumber(), socket: socket, peer: peer, listener: listener,
      nowNs: loop.nowNs)
    connection.watch = try loop.watch(
      connection.socket.rawValue, .readable,
      .client(UInt32(Connection.slot(of: connection.number))))
    connections.insert(connection)
    counters.accepted += 1
    scheduleIdleCheck()
  }

  /// Whether a connection over a limit is not let in, which is said.
  func refuses(_ peer: SocketAddress?, _ listener: Int) -> Bool {
    guard let (rule, limit) = refusal(peer) else { return false }
    counters.refused += 1
    let name = peer?.description ?? Connection.unknownPeer
    note(
      rule, "refused \(name): \(rule.rawValue) (\(limit))",
      metadata: ["peer": "\(name)", "listener": "\(listeners[listener].name)"])
    return true
  }

  /// The rule that lets a connection not in, and its limit.
  private func refusal(_ peer: SocketAddress?) -> (ClosingRule, Int)? {
    if connections.count >= limits.connectionsMax { return (.connections, limits.connectionsMax) }
    let host = peer?.host ?? Connection.unknownPeer
    if connections.count(from: host) >= limits.connectionsPerIpMax {
      return (.connectionsPerAddress, limits.connectionsPerIpMax)
    }
    return nil
  }
}
