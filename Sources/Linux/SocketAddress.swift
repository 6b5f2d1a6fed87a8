// TCP addresses as text and as the kernel's structures.

import CLinux
import Glibc

/// An IPv4 or IPv6 address with a port.
public struct SocketAddress: Hashable, Sendable, CustomStringConvertible {
  /// The numeric address, such as `127.0.0.1` or `::1`.
  public let host: String
  public let port: UInt16
  public let isIPv6: Bool

  /// `127.0.0.1:9092` or `[::1]:9092`.
  public var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }

  /// Every address that `host` names (getaddrinfo(3)); the empty host means all interfaces.
  public static func resolve(host: String, port: UInt16) throws(Errno) -> [SocketAddress] {
    if host.isEmpty { return [SocketAddress(host: "::", port: port, isIPv6: true)] }
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, nil, &hints, &list) == 0 else {
      throw Errno(EADDRNOTAVAIL, "getaddrinfo", host)
    }
    defer { freeaddrinfo(list) }
    var found: [SocketAddress] = []
    var next = list
    while let entry = next {
      if let address = SocketAddress(entry.pointee.ai_addr) {
        found.append(SocketAddress(host: address.host, port: port, isIPv6: address.isIPv6))
      }
      next = entry.pointee.ai_next
    }
    return found
  }

  public init(host: String, port: UInt16, isIPv6: Bool) {
    self.host = host
    self.port = port
    self.isIPv6 = isIPv6
  }

  init?(_ raw: UnsafePointer<sockaddr>?) {
    guard let raw else { return nil }
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    switch Int32(raw.pointee.sa_family) {
    case AF_INET:
      var v4 = UnsafeRawPointer(raw).loadUnaligned(as: sockaddr_in.self)
      guard inet_ntop(AF_INET, &v4.sin_addr, &text, socklen_t(text.count)) != nil else {
        return nil
      }
      port = UInt16(bigEndian: v4.sin_port)
      isIPv6 = false
    case AF_INET6:
      var v6 = UnsafeRawPointer(raw).loadUnaligned(as: sockaddr_in6.self)
      guard inet_ntop(AF_INET6, &v6.sin6_addr, &text, socklen_t(text.count)) != nil else {
        return nil
      }
      port = UInt16(bigEndian: v6.sin6_port)
      isIPv6 = true
    default:
      return nil
    }
    let whole = String(
      decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    // A dual-stack socket reports IPv4 peers as ::ffff:a.b.c.d; people know them as a.b.c.d.
    host = whole.hasPrefix("::ffff:") && whole.contains(".") ? String(whole.dropFirst(7)) : whole
  }

  /// Calls `body` with the address as the kernel wants it.
  func withSockaddr<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    if isIPv6 {
      var v6 = sockaddr_in6()
      v6.sin6_family = sa_family_t(AF_INET6)
      v6.sin6_port = port.bigEndian
      _ = inet_pton(AF_INET6, host, &v6.sin6_addr)
      return withUnsafeBytes(of: &v6) { raw in
        body(
          raw.assumingMemoryBound(to: sockaddr.self).baseAddress.unsafelyUnwrapped,
          socklen_t(raw.count))
      }
    }
    var v4 = sockaddr_in()
    v4.sin_family = sa_family_t(AF_INET)
    v4.sin_port = port.bigEndian
    _ = inet_pton(AF_INET, host, &v4.sin_addr)
    return withUnsafeBytes(of: &v4) { raw in
      body(
        raw.assumingMemoryBound(to: sockaddr.self).baseAddress.unsafelyUnwrapped,
        socklen_t(raw.count))
    }
  }
}
