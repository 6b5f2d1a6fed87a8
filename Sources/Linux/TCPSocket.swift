// TCP: listening, accepting, and moving bytes on non-blocking sockets.

import CLinux
import Glibc

public enum TCPSocket {
  /// A non-blocking listening socket. IPv6 wildcard sockets accept IPv4 as well.
  /// - Parameter backlog: connections the kernel may hold for us before `accept`.
  public static func listen(_ address: SocketAddress, backlog: Int32) throws(Errno) -> OwnedFD {
    let family = address.isIPv6 ? AF_INET6 : AF_INET
    let subject = address.description
    let socket = try open(family, subject)
    let number = socket.rawValue
    try setOption(socket, SOL_SOCKET, SO_REUSEADDR, 1)
    if address.isIPv6 { try setOption(socket, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
    _ = try retrying("bind", subject) {
      address.withSockaddr { pointer, length in bind(number, pointer, length) }
    }
    _ = try retrying("listen", subject) { Glibc.listen(number, backlog) }
    return socket
  }

  /// Begins to connect; the socket turns writable when `connectError` can tell the outcome.
  public static func connect(_ address: SocketAddress) throws(Errno) -> OwnedFD {
    let subject = address.description
    let socket = try open(address.isIPv6 ? AF_INET6 : AF_INET, subject)
    let number = socket.rawValue
    do {
      _ = try retrying("connect", subject) {
        address.withSockaddr { pointer, length in Glibc.connect(number, pointer, length) }
      }
    } catch {
      if error.code != EINPROGRESS { throw error }
    }
    return socket
  }

  /// The outcome of a pending connect: nil when it succeeded (SO_ERROR).
  public static func connectError(_ fd: borrowing OwnedFD) throws(Errno) -> Errno? {
    var code: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    let number = fd.rawValue
    _ = try retrying("getsockopt(SO_ERROR)") {
      getsockopt(number, SOL_SOCKET, SO_ERROR, &code, &length)
    }
    return code == 0 ? nil : Errno(code, "connect")
  }

  /// The next waiting connection as a non-blocking socket, or nil when there is none.
  /// A connection that its client gave up before we took it is skipped.
  /// - Throws: `EMFILE` or `ENFILE` when descriptors have run out: pause accepting.
  public static func accept(_ listener: borrowing OwnedFD) throws(Errno) -> Accepted? {
    let number = listener.rawValue
    while true {
      var storage = sockaddr_storage()
      var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
      let fd = withUnsafeMutableBytes(of: &storage) { raw in
        clinux_accept4(
          number, raw.assumingMemoryBound(to: sockaddr.self).baseAddress, &length,
          Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue))
      }
      if fd >= 0 {
        let peer = withUnsafeBytes(of: &storage) { raw in
          SocketAddress(raw.assumingMemoryBound(to: sockaddr.self).baseAddress)
        }
        return Accepted(socket: OwnedFD(taking: fd), peer: peer)
      }
      switch errno {
      case EINTR, ECONNABORTED, EPROTO, ENETDOWN, EHOSTDOWN, EHOSTUNREACH, ENETUNREACH: continue
      case EAGAIN: return nil
      case let code: throw failure(code, "accept4", "")
      }
    }
  }

  /// A connection as `accept` gives it.
  public struct Accepted: ~Copyable {
    public let socket: OwnedFD
    /// nil when the peer's address is neither IPv4 nor IPv6.
    public let peer: SocketAddress?

    public consuming func takeSocket() -> OwnedFD { socket }
  }

  /// The address at our end (getsockname(2)).
  public static func localAddress(_ fd: borrowing OwnedFD) throws(Errno) -> SocketAddress? {
    let number = fd.rawValue
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    _ = try retrying("getsockname") {
      withUnsafeMutableBytes(of: &storage) { raw in
        getsockname(number, raw.assumingMemoryBound(to: sockaddr.self).baseAddress, &length)
      }
    }
    return withUnsafeBytes(of: &storage) { raw in
      SocketAddress(raw.assumingMemoryBound(to: sockaddr.self).baseAddress)
    }
  }

  /// The address at the other end (getpeername(2)); nil for a socket that is no TCP connection, or
  /// whose peer has gone.
  public static func peerAddress(_ fd: borrowing OwnedFD) -> SocketAddress? {
    let number = fd.rawValue
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutableBytes(of: &storage) { raw in
      let address = raw.assumingMemoryBound(to: sockaddr.self).baseAddress
      guard getpeername(number, address, &length) == 0 else { return nil }
      return SocketAddress(address)
    }
  }

  /// TCP_NODELAY: responses are whole messages, there is nothing to wait for.
  public static func setNoDelay(_ fd: borrowing OwnedFD) throws(Errno) {
    try setOption(fd, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
  }

  /// SO_KEEPALIVE: a peer that vanished without a word is noticed in the end.
  public static func setKeepAlive(_ fd: borrowing OwnedFD) throws(Errno) {
    try setOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1)
  }

  /// TCP_CORK: while it is set, only full segments leave; taking it off sends what is there.
  public static func setCork(_ fd: borrowing OwnedFD, _ isOn: Bool) throws(Errno) {
    try setOption(fd, Int32(IPPROTO_TCP), TCP_CORK, isOn ? 1 : 0)
  }

  /// SO_SNDBUF and SO_RCVBUF in bytes; nil leaves the kernel's automatic size.
  public static func setBuffers(_ fd: borrowing OwnedFD, send: Int32?, receive: Int32?)
    throws(Errno)
  {
    if let send { try setOption(fd, SOL_SOCKET, SO_SNDBUF, send) }
    if let receive { try setOption(fd, SOL_SOCKET, SO_RCVBUF, receive) }
  }

  /// SO_LINGER with time 0: closing sends RST and frees the socket at once.
  public static func setAbortOnClose(_ fd: borrowing OwnedFD) throws(Errno) {
    var value = linger(l_onoff: 1, l_linger: 0)
    let number = fd.rawValue
    _ = try retrying("setsockopt") {
      setsockopt(number, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
    }
  }

  /// Bytes in the send queue that the peer has not acknowledged (SIOCOUTQ, tcp(7)).
  public static func unacknowledgedBytes(_ fd: borrowing OwnedFD) throws(Errno) -> Int {
    var count: Int32 = 0
    let number = fd.rawValue
    _ = try retrying("ioctl(SIOCOUTQ)") {
      clinux_ioctl_int(number, clinux_siocoutq, &count)
    }
    return Int(count)
  }

  /// Bytes that the peer has acknowledged since the connection began (TCP_INFO, tcp(7)).
  public static func acknowledgedBytes(_ fd: borrowing OwnedFD) throws(Errno) -> UInt64 {
    // tcpi_bytes_acked is the 64-bit field at offset 120 of struct tcp_info (linux/tcp.h).
    var info = (
      UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0),
      UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0), UInt64(0)
    )
    var length = socklen_t(MemoryLayout.size(ofValue: info))
    let number = fd.rawValue
    _ = try retrying("getsockopt(TCP_INFO)") {
      getsockopt(number, Int32(IPPROTO_TCP), TCP_INFO, &info, &length)
    }
    return info.15
  }

  /// Bytes that were written to the socket since the connection began, whether acknowledged or not.
  public static func writtenBytes(_ fd: borrowing OwnedFD) throws(Errno) -> UInt64 {
    var acknowledged = try acknowledgedBytes(fd)
    while true {
      let unacknowledged = try unacknowledgedBytes(fd)
      // The two numbers are of one moment only when no acknowledgement came in between.
      let again = try acknowledgedBytes(fd)
      if again == acknowledged { return acknowledged + UInt64(unacknowledged) }
      acknowledged = again
    }
  }

  /// recv(2).
  @inlinable public static func receive(
    _ fd: borrowing OwnedFD, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> Transfer {
    let number = fd.rawValue
    return try transferring("recv") { recv(number, buffer.baseAddress, buffer.count, 0) }
  }

  /// send(2) without SIGPIPE.
  /// - Parameter more: more follows at once, so the kernel may wait to fill a segment (MSG_MORE).
  @inlinable public static func send(
    _ fd: borrowing OwnedFD, _ bytes: UnsafeRawBufferPointer, more: Bool = false
  ) throws(Errno) -> Transfer {
    let number = fd.rawValue
    let flags = Int32(MSG_NOSIGNAL) | (more ? Int32(MSG_MORE) : 0)
    return try transferring("send") { Glibc.send(number, bytes.baseAddress, bytes.count, flags) }
  }

  /// sendfile(2): from `file` at `offset` into the socket.
  @inlinable public static func sendFile(
    _ fd: borrowing OwnedFD, from file: borrowing OwnedFD, offset: Int64, count: Int
  ) throws(Errno) -> Transfer {
    let socket = fd.rawValue
    let source = file.rawValue
    var position = off_t(offset)
    return try transferring("sendfile") { sendfile(socket, source, &position, count) }
  }

  private static func open(_ family: Int32, _ subject: String) throws(Errno) -> OwnedFD {
    let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    return OwnedFD(taking: try retrying("socket", subject) { socket(family, type, 0) })
  }

  private static func setOption(
    _ fd: borrowing OwnedFD, _ level: Int32, _ name: Int32, _ value: Int32
  ) throws(Errno) {
    var value = value
    let number = fd.rawValue
    _ = try retrying("setsockopt") {
      setsockopt(number, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
    }
  }
}
