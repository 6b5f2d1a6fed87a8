// The rules that listeners obey together (Kafka's `SocketServerConfigs` and `KafkaConfig`): their
// names are in the protocol map, nothing is listened on twice, and what is advertised exists.

/// What a broker listens on and what it tells clients.
public struct Listeners: Hashable, Sendable {
  /// What to listen on; at least one.
  public var open: [Listener]
  /// What to tell the clients of each listener, by its name. A listener that is not in here
  /// advertises the address that the client came in on.
  public var advertised: [String: Listener]
  /// Listeners of Kafka's controllers, which are not opened.
  public var ofControllers: [Listener]
}

extension Listeners {
  /// Sluice is not open to the network unless it is told to be.
  static let standard = Listener(name: "PLAINTEXT", host: "127.0.0.1", port: 9_092)

  static func resolve(_ values: BrokerValues) throws(ConfigurationError) -> Listeners {
    let controllerNames = Set(
      values.string("controller.listener.names")
        .map { items(of: $0).map { $0.uppercased() } } ?? [])
    var protocols = try protocolMap(values)
    for name in controllerNames where protocols[name] == nil { protocols[name] = "PLAINTEXT" }

    let all =
      values.isSet("listeners") ? try parse("listeners", values) : [standard]
    let open = all.filter { !controllerNames.contains($0.name) }
    guard !open.isEmpty else {
      throw values.error(
        "listeners", "there must be a listener besides those of controller.listener.names")
    }
    for listener in open { try checkProtocol(of: listener, in: protocols, values) }
    try checkUnique(all, values)

    var advertised: [String: Listener] = [:]
    if values.isSet("advertised.listeners") {
      for listener in try parse("advertised.listeners", values)
      where !controllerNames.contains(listener.name) {
        try checkAdvertised(listener, open: open, values)
        guard advertised.updateValue(listener, forKey: listener.name) == nil else {
          throw values.error("advertised.listeners", "the listener \(listener.name) is there twice")
        }
      }
      guard !advertised.isEmpty else {
        throw values.error("advertised.listeners", "no listener of clients is advertised")
      }
    }
    return Listeners(
      open: open, advertised: advertised,
      ofControllers: all.filter { controllerNames.contains($0.name) })
  }

  private static func items(of text: String) -> [String] {
    text.split(separator: ",").map { String($0).trimmingWhitespace() }.filter { !$0.isEmpty }
  }

  private static func parse(
    _ key: String, _ values: BrokerValues
  ) throws(ConfigurationError) -> [Listener] {
    var listeners: [Listener] = []
    for item in items(of: values.string(key) ?? "") {
      guard let listener = Listener(item) else {
        throw values.error(
          key, "'\(item)' is not NAME://host:port with a port up to 65535; IPv6 takes brackets")
      }
      listeners.append(listener)
    }
    guard !listeners.isEmpty else { throw values.error(key, "there is no listener in it") }
    return listeners
  }

  private static func protocolMap(
    _ values: BrokerValues
  ) throws(ConfigurationError) -> [String: String] {
    let key = "listener.security.protocol.map"
    var map: [String: String] = [:]
    for item in items(of: values.string(key) ?? "") {
      let parts = item.split(separator: ":", omittingEmptySubsequences: false)
        .map { String($0).trimmingWhitespace() }
      let known = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
      guard parts.count == 2, !parts[0].isEmpty, known.contains(parts[1].uppercased()) else {
        throw values.error(
          key, "'\(item)' is not NAME:PROTOCOL with one of \(known.joined(separator: ", "))")
      }
      guard map.updateValue(parts[1].uppercased(), forKey: parts[0].uppercased()) == nil else {
        throw values.error(key, "the listener \(parts[0]) is there twice")
      }
    }
    return map
  }

  private static func checkProtocol(
    of listener: Listener, in protocols: [String: String], _ values: BrokerValues
  ) throws(ConfigurationError) {
    guard let name = protocols[listener.name] else {
      throw values.error(
        "listeners",
        "no security protocol is given for \(listener.name) in listener.security.protocol.map")
    }
    guard name == "PLAINTEXT" else {
      throw values.error(
        "listeners", "\(listener) needs \(name), which is not served yet; only PLAINTEXT is")
    }
  }

  private static func checkUnique(
    _ listeners: [Listener], _ values: BrokerValues
  ) throws(ConfigurationError) {
    for (i, listener) in listeners.enumerated() {
      for other in listeners[..<i] {
        guard listener.name != other.name else {
          throw values.error("listeners", "each listener must have a name of its own: \(listener)")
        }
        // One port may serve an IPv4 and an IPv6 address.
        let mixed =
          isIPv4(listener.host) && other.host.contains(":")
          || listener.host.contains(":") && isIPv4(other.host)
        guard listener.port != other.port || listener.port == 0 || mixed else {
          throw values.error("listeners", "each listener must have a port of its own: \(listener)")
        }
      }
    }
  }

  private static func isIPv4(_ host: String) -> Bool {
    let parts = host.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
  }

  private static func checkAdvertised(
    _ listener: Listener, open: [Listener], _ values: BrokerValues
  ) throws(ConfigurationError) {
    let key = "advertised.listeners"
    guard !listener.isWildcard else {
      throw values.error(key, "clients cannot connect to '\(listener.host)' (\(listener))")
    }
    guard listener.port != 0 else {
      throw values.error(key, "clients cannot connect to port 0 (\(listener))")
    }
    guard open.contains(where: { $0.name == listener.name }) else {
      throw values.error(key, "there is no listener \(listener.name) in listeners")
    }
  }
}
