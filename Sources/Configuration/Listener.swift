// Where to listen and what to advertise: `NAME://host:port`, as in `listeners` and
// `advertised.listeners`.

/// A listener's address.
public struct Listener: Hashable, Sendable, CustomStringConvertible {
  /// The name in capitals, as Kafka keeps it.
  public var name: String
  /// A host name, an IPv4 address or an IPv6 address without brackets. Empty is all interfaces.
  public var host: String
  /// 0 lets the system choose.
  public var port: UInt16

  public init(name: String, host: String, port: UInt16) {
    self.name = name
    self.host = host
    self.port = port
  }

  public var description: String {
    host.contains(":") ? "\(name)://[\(host)]:\(port)" : "\(name)://\(host):\(port)"
  }

  /// The listener that `text` names, or nil when it is not of that form.
  public init?(_ text: String) {
    guard let scheme = Self.range(of: "://", in: text) else { return nil }
    let name = text[..<scheme.lowerBound]
    var rest = text[scheme.upperBound...]
    guard !name.isEmpty, name.utf8.allSatisfy(Self.isNameCharacter) else { return nil }
    let host: Substring
    if rest.hasPrefix("[") {
      guard let close = rest.firstIndex(of: "]") else { return nil }
      host = rest[rest.index(after: rest.startIndex)..<close]
      guard host.contains(":") else { return nil }
      rest = rest[rest.index(after: close)...]
    } else {
      guard let colon = rest.lastIndex(of: ":") else { return nil }
      host = rest[..<colon]
      guard !host.contains(":") else { return nil }
      rest = rest[colon...]
    }
    let digits = rest.dropFirst()
    guard rest.first == ":", digits.utf8.allSatisfy({ (48...57).contains($0) }),
      let port = UInt16(digits), host.utf8.allSatisfy(Self.isHostCharacter)
    else { return nil }
    self.init(name: name.uppercased(), host: String(host), port: port)
  }

  /// Kafka's characters of hosts, with `_`, which names inside of containers have.
  private static func isHostCharacter(_ byte: UInt8) -> Bool {
    isNameCharacter(byte) || [0x25, 0x2E, 0x3A].contains(byte)
  }

  private static func isNameCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x5F: true
    default: false
    }
  }

  private static func range(of pattern: String, in text: String) -> Range<String.Index>? {
    var start = text.startIndex
    while start < text.endIndex {
      if text[start...].hasPrefix(pattern) {
        return start..<text.index(start, offsetBy: pattern.count)
      }
      start = text.index(after: start)
    }
    return nil
  }

  /// Whether the host is one that only a server can use: every interface.
  var isWildcard: Bool { host.isEmpty || host == "0.0.0.0" || host == "::" }
}
