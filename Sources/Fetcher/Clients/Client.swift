// A client's connection as a frontend lent it: its socket, which the frontend owns too, and its
// requests, served one after the other.

import DequeModule
import Linux
import Service

final class Client {
  /// Place in the process's table.
  let number: Int32
  /// Place of the frontend that lent it.
  let frontend: Int
  /// The frontend's number of the connection.
  let connection: UInt64
  /// For log lines.
  let peer: String
  let socket: OwnedFD
  /// Set once the socket was full for the first time.
  var watch: Watch?
  /// Frames that wait for the one before them.
  var waiting: Deque<[UInt8]> = []
  /// The request being served, until its response is complete.
  var fetch: ActiveFetch?
  /// The response while the socket does not take all of it.
  var outgoing: Outgoing?
  /// The session that this client used last.
  var session: FetchSession?

  init(
    number: Int32, frontend: Int, connection: UInt64, peer: String, socket: consuming OwnedFD
  ) {
    self.number = number
    self.frontend = frontend
    self.connection = connection
    self.peer = peer
    self.socket = socket
  }

  var isIdle: Bool { fetch == nil && outgoing == nil && waiting.isEmpty }
}
