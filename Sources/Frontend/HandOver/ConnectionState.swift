// What the process that comes after a frontend has to know of a connection to go on with it.

struct ConnectionState: Equatable {
  /// The name of the listener that it came in by.
  var listener: String
  /// The client's address, as the kernel must confirm it.
  var peer: String
  /// What the client calls itself, empty when it has not said.
  var clientId: String
  /// The work so far, as `sluice top` shows it.
  var requests: UInt64
  var bytesIn: UInt64
  var bytesOut: UInt64
  /// Requests that were forwarded to a coordinator so far.
  var forwardedCount: UInt64
  /// All bytes that ever went into the socket; see `Lending`.
  var accountedBytes: UInt64
  /// How long nothing has moved, ms.
  var idleMs: UInt64
  /// Instance of the fetcher that knows its sessions, 0 when there is none.
  var fetcher: UInt32
  /// Response bytes that the socket has not taken yet.
  var unsent: [UInt8]
  /// As they came from the client: first the requests without an answer, whole, to be served again;
  /// then what was received and not begun, the last frame perhaps in part.
  var received: [UInt8]
}
