// Which processes a broker is made of, and which sockets each is given: what the units in systemd/
// say, for `sluice up`.

import Configuration
import Glibc
import IPC
import Linux
import Service

/// One process of the family, as it is to be started.
final class Member {
  let role: Role
  let instance: UInt32
  let arguments: [String]
  /// Listening sockets it is given, by their names. They stay open here, so that a restart is a
  /// short wait for its peers.
  let sockets: [NamedSocket]
  /// It is started by the first connection to its socket.
  let startsOnDemand: Bool

  init(
    role: Role, instance: UInt32, arguments: [String], sockets: [NamedSocket],
    startsOnDemand: Bool = false
  ) {
    self.role = role
    self.instance = instance
    self.arguments = arguments
    self.sockets = sockets
    self.startsOnDemand = startsOnDemand
  }

  /// `sluice-fetcher@2`, as the unit would be called.
  var name: String { "sluice-\(role)@\(instance)" }
  var program: String { "sluice-\(role)" }
}

/// A listening socket kept open by its owner.
final class NamedSocket {
  let name: String
  let socket: OwnedFD

  init(_ name: String, _ socket: consuming OwnedFD) {
    self.name = name
    self.socket = socket
  }

  /// Where a TCP listener can be reached: `127.0.0.1:9092 (PLAINTEXT)`.
  var endpoint: String {
    let address = (try? TCPSocket.localAddress(socket))?.description ?? "?"
    return "\(address) (\(name))"
  }
}

struct Family {
  /// In the order of starting; stopping goes the other way.
  let members: [Member]
  /// What the TCP listeners are bound to, such as `PLAINTEXT://127.0.0.1:9092`.
  let endpoints: [String]
}

extension Family {
  /// Binds every socket and lays the family out: the log first, the network last, so that stopping
  /// in the other order loses nothing that was begun.
  init(
    configuration: BrokerConfiguration, arguments: [String], directory: RuntimeDirectory,
    fetchers: Int, frontends: Int, codecs: Int, cleaners: Int
  ) throws(ServiceFailure) {
    func member(_ role: Role, _ instance: Int, _ sockets: [NamedSocket]) -> Member {
      Member(
        role: role, instance: UInt32(instance),
        arguments: arguments + ["--instance", "\(instance)"], sockets: sockets)
    }
    do throws(Errno) {
      let backlog: Int32 = 128
      let logwriter = try UnixSocket.listen(
        path: directory.socketPath(SocketName.logwriter), backlog: backlog)
      let coordinator = try UnixSocket.listen(
        path: directory.socketPath(SocketName.coordinator), backlog: backlog)
      var members = [
        member(.logwriter, 1, [NamedSocket("logwriter", logwriter)]),
        member(.coordinator, 1, [NamedSocket("coordinator", coordinator)]),
      ]
      // Nobody connects to a cleaner: it has no socket.
      for instance in 0..<cleaners { members.append(member(.cleaner, instance + 1, [])) }
      for instance in 1...fetchers {
        let socket = try UnixSocket.listen(
          path: directory.socketPath(SocketName.fetcher(UInt32(instance))), backlog: backlog)
        members.append(member(.fetcher, instance, [NamedSocket("fetcher", socket)]))
      }
      for instance in 1...codecs {
        let socket = try UnixSocket.listen(
          path: directory.socketPath(SocketName.codec(UInt32(instance))), backlog: backlog)
        members.append(
          Member(
            role: .codec, instance: UInt32(instance),
            arguments: arguments + ["--instance", "\(instance)"],
            sockets: [NamedSocket("codec", socket)], startsOnDemand: true))
      }
      let listeners = try Self.listen(configuration)
      for instance in 1...frontends { members.append(member(.frontend, instance, listeners)) }
      self.init(members: members, endpoints: listeners.map(\.endpoint))
    } catch { throw ServiceFailure(error) }
  }

  /// Binds the TCP listeners. All frontends share them.
  private static func listen(_ configuration: BrokerConfiguration) throws(Errno) -> [NamedSocket] {
    var sockets: [NamedSocket] = []
    let backlog = Int32(clamping: configuration.socketListenBacklogSize)
    for listener in configuration.listeners.open {
      sockets.append(NamedSocket(listener.name, try bind(listener, backlog: backlog)))
    }
    return sockets
  }

  /// All interfaces are IPv6 and IPv4 in one socket, or IPv4 alone where the kernel has no IPv6.
  private static func bind(_ listener: Listener, backlog: Int32) throws(Errno) -> OwnedFD {
    var last = Errno(EADDRNOTAVAIL, "bind", listener.description)
    var addresses = try SocketAddress.resolve(host: listener.host, port: listener.port)
    if listener.host.isEmpty {
      addresses.append(SocketAddress(host: "0.0.0.0", port: listener.port, isIPv6: false))
    }
    for address in addresses {
      do { return try TCPSocket.listen(address, backlog: backlog) } catch {
        last = error
        if error.code != EAFNOSUPPORT && error.code != EADDRNOTAVAIL { break }
      }
    }
    throw last
  }
}
