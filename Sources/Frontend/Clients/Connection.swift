// One client's connection: its socket, what was received and not served, what is under way, and what
// waits to be sent. Only data; the parts of `Frontend` move it.

import IPC
import Linux
import Service

final class Connection {
  /// Never used again: a count in the upper half, the place in the table in the lower one.
  let number: UInt64
  let socket: OwnedFD
  /// The client, as log lines and siblings are told.
  let peer: String
  let peerHost: String
  /// Place of its listener among the listeners.
  let listener: Int
  var watch: Watch?
  var interest: Readiness = .readable

  /// Bytes of the client that the process before had received, to be taken before those in the
  /// socket.
  var inherited = InheritedBytes()
  var buffer = ReceiveBuffer()
  var outgoing = Outgoing()
  var turn = Turn()
  var lending = Lending()

  /// Its Produce requests under way, oldest first, linked by `PendingProduce.next`.
  var firstProduce: PendingNumber = -1
  var lastProduce: PendingNumber = -1
  /// The request that the coordinator has.
  var forwarded: ForwardedRequest?
  var requestCount: UInt64 = 0
  /// A response that waits for the end of the round.
  var response: [UInt8]?
  /// Why it is to be closed at the end of the round.
  var closeReason: String?

  /// The first frame is whole and waits for its turn.
  var isWaiting = false
  /// It waits for memory.
  var isStarved = false
  /// It is on the list of connections to look at when the round ends.
  var isMarked = false
  /// The client sends nothing any more.
  var hasEnded = false
  var isClosed = false
  /// The work so far; `sluice top` shows it.
  var requests: UInt64 = 0
  var bytesIn: UInt64 = 0
  var bytesOut: UInt64 = 0
  /// `bytesIn` and `bytesOut` together when the busiest connections were last asked for.
  var bytesTold: UInt64 = 0
  /// What the client calls itself in its first request that says so.
  var clientId: String?
  /// When something moved last, ns of the monotonic clock.
  var lastActivityNs: UInt64
  /// `Lending.accountedBytes` when idleness was checked last.
  var writtenAtCheck: UInt64 = 0

  init(
    number: UInt64, socket: consuming OwnedFD, peer: SocketAddress?, listener: Int, nowNs: UInt64
  ) {
    self.number = number
    self.socket = socket
    self.peer = peer?.description ?? Self.unknownPeer
    peerHost = peer?.host ?? "unknown"
    self.listener = listener
    lastActivityNs = nowNs
  }

  /// Bytes of a client's name that are kept.
  static let clientIdMax = 128

  /// Stands for a peer's address where the kernel has none.
  static let unknownPeer = "unknown"

  static func slot(of number: UInt64) -> Int { Int(UInt32(truncatingIfNeeded: number)) }

  /// What was done for it, for `sluice top`.
  var work: ConnectionWork {
    ConnectionWork(
      number: number, peer: peer, clientId: clientId ?? "", requests: requests, bytesIn: bytesIn,
      bytesOut: bytesOut)
  }

  /// Nothing is under way, waits to begin or waits to be sent.
  var isQuiet: Bool {
    turn.isIdle && !isWaiting && outgoing.isEmpty && response == nil
  }
}

/// A request that was given to the coordinator, kept until its response: a new coordinator gets it
/// again, as it would from a client that tries again. One that kills coordinators is not sent for ever.
struct ForwardedRequest {
  let number: UInt64
  let frame: [UInt8]
  /// Coordinators that died while they had it.
  var losses = 0
}
