// Responses that a client's socket has not taken yet. While there are none, responses go from the
// frontend's own buffer into the socket and nothing is kept per connection.

import Linux

struct Outgoing {
  /// With more than this unsent a connection's requests are not read any more, bytes.
  static let unsentMax = 1 << 20

  /// Sent bytes that may stay in front of the others, bytes.
  private static let sentMax = 256 << 10

  private var bytes: [UInt8] = []
  private var sent = 0

  var count: Int { bytes.count - sent }
  var isEmpty: Bool { count == 0 }

  /// Sends `response` behind what waits already, and keeps what the socket does not take.
  /// - Returns: bytes that went into the socket.
  mutating func send(_ response: UnsafeRawBufferPointer, to socket: borrowing OwnedFD)
    throws(Errno) -> Int
  {
    if !isEmpty {
      if sent > Self.sentMax {
        bytes.removeFirst(sent)
        sent = 0
      }
      bytes.append(contentsOf: response)
      return try flush(to: socket)
    }
    guard !response.isEmpty else { return 0 }
    var taken = 0
    if case .bytes(let count) = try TCPSocket.send(socket, response) { taken = count }
    if taken < response.count { bytes.append(contentsOf: response[taken...]) }
    return taken
  }

  /// Lets more wait, behind what waits already.
  mutating func append(_ more: [UInt8]) { bytes.append(contentsOf: more) }

  /// What the socket has not taken.
  var unsent: [UInt8] { Array(bytes[sent...]) }

  /// Sends what waits as far as the socket takes it.
  mutating func flush(to socket: borrowing OwnedFD) throws(Errno) -> Int {
    if isEmpty { return 0 }
    let already = sent
    let outcome = try bytes.withRawBytes { raw throws(Errno) in
      try TCPSocket.send(socket, UnsafeRawBufferPointer(rebasing: raw[already...]))
    }
    guard case .bytes(let count) = outcome else { return 0 }
    sent += count
    if sent == bytes.count {
      bytes = []
      sent = 0
    }
    return count
  }
}
