// Where a child says READY=1 and STATUS=… (sd_notify(3)).

import Linux

final class NotifySocket {
  let path: String
  private let socket: OwnedFD

  init(path: String) throws(Errno) {
    self.path = path
    socket = try UnixSocket.bindDatagram(path: path)
  }

  var descriptor: Int32 { socket.rawValue }

  /// The next datagram's text, or nil when none waits.
  func next() -> String? {
    withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
      guard case .bytes(let count) = try? TCPSocket.receive(socket, into: buffer), count > 0 else {
        return nil
      }
      return String(decoding: buffer[..<count], as: UTF8.self)
    }
  }
}
