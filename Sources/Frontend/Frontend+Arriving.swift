// Going on with the connections of the process that was here before. They are taken over before the
// first client is accepted, and served as soon as anyone is.

import IPC
import Linux
import Logging
import Service

extension Frontend {
  /// Takes over the connections in what the store had.
  func adopt(_ stored: consuming OwnedFD) {
    // From here on a crash of this process does not meet the same connections again.
    environment.store.drop()
    let parcel: OpenedParcel
    let states: [ConnectionState]
    do throws(MessageError) {
      parcel = try OpenedParcel(stored)
      states = try readStates(parcel)
    } catch {
      log.event(
        .connectionsNotKept,
        "the client connections of the process before cannot be taken over and are closed: \(error)"
      )
      return
    }
    var adopted = 0
    for state in states {
      guard let socket = parcel.takeSocket() else { break }
      if adopt(socket, state) { adopted += 1 }
    }
    log.event(
      .connectionsKept,
      "went on with \(adopted) of \(states.count) client connections of the process before")
    if adopted > 0 { scheduleIdleCheck() }
  }

  private func readStates(_ parcel: OpenedParcel) throws(MessageError) -> [ConnectionState] {
    guard let file = parcel.takeState() else { throw MessageError("there is no state") }
    let states = try HandOverFile.read(file)
    guard states.count == parcel.count else {
      throw MessageError("it describes \(states.count) connections, \(parcel.count) came")
    }
    return states
  }

  /// - Returns: false when the connection is at its end.
  private func adopt(_ socket: consuming OwnedFD, _ state: ConnectionState) -> Bool {
    // Its client may have gone meanwhile.
    guard let peer = TCPSocket.peerAddress(socket) else { return false }
    guard peer.description == state.peer else {
      note(.system, "closed \(peer): the process before described \(state.peer)")
      return false
    }
    guard let listener = listeners.firstIndex(where: { $0.name == state.listener }) else {
      log.event(
        .connectionsNotKept, "closed \(peer): there is no listener \(state.listener) any more")
      return false
    }
    if refuses(peer, listener) { return false }
    let idleNs = min(
      state.idleMs.multipliedReportingOverflow(by: 1_000_000).partialValue, loop.nowNs)
    let connection = Connection(
      number: connections.nextNumber(), socket: socket, peer: peer, listener: listener,
      nowNs: loop.nowNs - idleNs)
    connection.clientId = state.clientId.isEmpty ? nil : state.clientId
    connection.requests = state.requests
    connection.bytesIn = state.bytesIn
    connection.bytesOut = state.bytesOut
    connection.requestCount = state.forwardedCount
    connection.lending = Lending(
      accountedBytes: state.accountedBytes, preferredInstance: state.fetcher)
    connection.outgoing.append(state.unsent)
    connection.inherited = InheritedBytes(state.received)
    do throws(Errno) {
      try Socket.setNonBlocking(connection.socket)
      connection.interest = []
      connection.watch = try loop.watch(
        connection.socket.rawValue, [],
        .client(UInt32(Connection.slot(of: connection.number))))
    } catch {
      note(.system, "closed \(peer): \(error)")
      return false
    }
    connections.insert(connection)
    return true
  }

  /// Lets those that were taken over go on.
  func resumeAdopted() {
    for connection in connections.all { mark(connection) }
  }
}
