// Unix SEQPACKET sockets: whole datagrams in order, and descriptors over SCM_RIGHTS (unix(7)).
//
// A received descriptor is close-on-exec from the start. Truncated data or control data is an error,
// and whatever came with it is closed.

import CLinux
import Glibc

/// What one datagram brought.
public struct ReceivedDatagram: ~Copyable {
  /// Length in bytes.
  public let count: Int
  public var descriptors: DescriptorList
}

/// Received descriptors in order. Those that nobody takes are closed.
public struct DescriptorList: ~Copyable {
  private var numbers: [Int32]
  private var next = 0

  public init() { numbers = [] }

  init(taking numbers: [Int32]) { self.numbers = numbers }

  deinit { for number in numbers[next...] { _ = Glibc.close(number) } }

  /// How many have not been taken yet.
  public var count: Int { numbers.count - next }

  /// Takes the next one over, or nil when none is left.
  public mutating func take() -> OwnedFD? {
    guard next < numbers.count else { return nil }
    next += 1
    return OwnedFD(taking: numbers[next - 1])
  }
}

/// The process at the other end (SO_PEERCRED), as it was when it connected.
public struct PeerCredentials: Sendable {
  public let pid: Int32
  public let uid: UInt32
  public let gid: UInt32
}

public enum DatagramOutcome: ~Copyable {
  case datagram(ReceivedDatagram)
  case wouldBlock
  case closed
}

public enum UnixSocket {
  /// The most descriptors in one datagram: the kernel's SCM_MAX_FD.
  public static let descriptorsMax = 253

  /// A non-blocking listening socket at `path`; a socket left there by a crash is replaced.
  public static func listen(path: String, backlog: Int32, permissions: UInt32 = 0o660)
    throws(Errno) -> OwnedFD
  {
    let socket = try open(path)
    let number = socket.rawValue
    try File.remove(path)
    try withAddress(path) { pointer, length throws(Errno) in
      _ = try retrying("bind", path) { bind(number, pointer, length) }
    }
    _ = try retrying("chmod", path) { chmod(path, permissions) }
    _ = try retrying("listen", path) { Glibc.listen(number, backlog) }
    return socket
  }

  /// A connected non-blocking socket. A listener with a full backlog gives EAGAIN as an error.
  public static func connect(path: String) throws(Errno) -> OwnedFD {
    let socket = try open(path)
    let number = socket.rawValue
    try withAddress(path) { pointer, length throws(Errno) in
      _ = try retrying("connect", path) { Glibc.connect(number, pointer, length) }
    }
    return socket
  }

  /// A non-blocking SOCK_DGRAM socket that receives at `path`, as sd_notify(3) wants it.
  public static func bindDatagram(path: String) throws(Errno) -> OwnedFD {
    let kind = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let datagrams = OwnedFD(taking: try retrying("socket", path) { socket(AF_UNIX, kind, 0) })
    let number = datagrams.rawValue
    try File.remove(path)
    try withAddress(path) { pointer, length throws(Errno) in
      _ = try retrying("bind", path) { bind(number, pointer, length) }
    }
    return datagrams
  }

  /// Two connected non-blocking sockets.
  public struct Pair: ~Copyable {
    public let first: OwnedFD
    public let second: OwnedFD

    /// Gives both ends away.
    public consuming func split(_ body: (consuming OwnedFD, consuming OwnedFD) -> Void) {
      body(first, second)
    }
  }

  public static func pair() throws(Errno) -> Pair {
    var numbers: (Int32, Int32) = (-1, -1)
    _ = try retrying("socketpair") {
      withUnsafeMutableBytes(of: &numbers) { raw in
        socketpair(AF_UNIX, type, 0, raw.assumingMemoryBound(to: Int32.self).baseAddress)
      }
    }
    return Pair(first: OwnedFD(taking: numbers.0), second: OwnedFD(taking: numbers.1))
  }

  /// The next waiting connection, or nil when there is none.
  public static func accept(_ listener: borrowing OwnedFD) throws(Errno) -> OwnedFD? {
    let number = listener.rawValue
    while true {
      let fd = clinux_accept4(
        number, nil, nil, Int32(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue))
      if fd >= 0 { return OwnedFD(taking: fd) }
      switch errno {
      case EINTR, ECONNABORTED: continue
      case EAGAIN: return nil
      case let code: throw failure(code, "accept4", "")
      }
    }
  }

  public static func peerCredentials(_ fd: borrowing OwnedFD) throws(Errno) -> PeerCredentials {
    var peer = clinux_peer()
    let number = fd.rawValue
    _ = try retrying("getsockopt(SO_PEERCRED)") { clinux_peer_credentials(number, &peer) }
    return PeerCredentials(pid: peer.pid, uid: peer.uid, gid: peer.gid)
  }

  /// Sends one datagram with up to `descriptorsMax` descriptors, which stay the caller's.
  /// - Returns: false when the socket is full (EAGAIN).
  public static func send(
    _ fd: borrowing OwnedFD, _ bytes: UnsafeRawBufferPointer, descriptors: [Int32] = []
  ) throws(Errno) -> Bool {
    precondition(descriptors.count <= descriptorsMax, "too many descriptors for one datagram")
    let number = fd.rawValue
    if descriptors.isEmpty {
      let sent = try transferring("send") {
        Glibc.send(number, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
      }
      return sent != Transfer.wouldBlock
    }
    var vector = iovec(
      iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
    let space = clinux_cmsg_space(descriptors.count)
    let sent = try withUnsafeTemporaryAllocation(byteCount: space, alignment: 8) {
      control throws(Errno) in
      _ = memset(control.baseAddress.unsafelyUnwrapped, 0, space)
      return try withUnsafeMutablePointer(to: &vector) { vectors throws(Errno) in
        var message = msghdr()
        message.msg_iov = vectors
        message.msg_iovlen = 1
        message.msg_control = control.baseAddress
        message.msg_controllen = space
        descriptors.withUnsafeBufferPointer {
          clinux_cmsg_put_fds(&message, $0.baseAddress.unsafelyUnwrapped, $0.count)
        }
        return try transferring("sendmsg") {
          sendmsg(number, &message, Int32(MSG_NOSIGNAL))
        }
      }
    }
    return sent != Transfer.wouldBlock
  }

  /// Receives one datagram into `buffer`.
  /// - Throws: `EMSGSIZE` when the datagram or its control data did not fit.
  public static func receive(
    _ fd: borrowing OwnedFD, into buffer: UnsafeMutableRawBufferPointer
  ) throws(Errno) -> DatagramOutcome {
    let number = fd.rawValue
    var vector = iovec(iov_base: buffer.baseAddress, iov_len: buffer.count)
    let space = clinux_cmsg_space(descriptorsMax)
    return try withUnsafeTemporaryAllocation(byteCount: space, alignment: 8) {
      control throws(Errno) in
      try withUnsafeMutablePointer(to: &vector) { vectors throws(Errno) in
        var message = msghdr()
        message.msg_iov = vectors
        message.msg_iovlen = 1
        message.msg_control = control.baseAddress
        message.msg_controllen = space
        var outcome = Transfer.wouldBlock
        do throws(Errno) {
          outcome = try transferring("recvmsg") { receiveMessage(number, &message) }
        } catch {
          // A peer that died without reading everything leaves ECONNRESET in front of what it had
          // sent; reported once, it gives way to those datagrams and then to the end.
          guard error.code == ECONNRESET else { throw error }
          outcome = try transferring("recvmsg") { receiveMessage(number, &message) }
        }
        guard case .bytes(let count) = outcome else { return .wouldBlock }
        let descriptors = takeDescriptors(&message)
        let truncated = Int32(MSG_TRUNC) | Int32(MSG_CTRUNC)
        if message.msg_flags & truncated != 0 { throw Errno(EMSGSIZE, "recvmsg") }
        if count == 0 { return .closed }
        return DatagramOutcome.datagram(ReceivedDatagram(count: count, descriptors: descriptors))
      }
    }
  }

  private static func receiveMessage(_ fd: Int32, _ message: inout msghdr) -> Int {
    recvmsg(fd, &message, Int32(MSG_CMSG_CLOEXEC))
  }

  private static func takeDescriptors(_ message: UnsafeMutablePointer<msghdr>) -> DescriptorList {
    if message.pointee.msg_controllen == 0 { return DescriptorList() }
    return withUnsafeTemporaryAllocation(of: Int32.self, capacity: descriptorsMax) { numbers in
      let count = clinux_cmsg_take_fds(message, numbers.baseAddress, descriptorsMax)
      return DescriptorList(taking: Array(numbers.prefix(count)))
    }
  }

  private static let type = Int32(
    SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)

  private static func open(_ subject: String) throws(Errno) -> OwnedFD {
    OwnedFD(taking: try retrying("socket", subject) { socket(AF_UNIX, type, 0) })
  }

  private static func withAddress(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) throws(Errno) -> Void
  ) throws(Errno) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
      throw Errno(ENAMETOOLONG, "connect", path)
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    try withUnsafeBytes(of: &address) { raw throws(Errno) in
      try body(
        raw.assumingMemoryBound(to: sockaddr.self).baseAddress.unsafelyUnwrapped,
        socklen_t(raw.count))
    }
  }
}
