// Where the sockets of the family are, and how both ends of a new connection greet.

import CLinux
import Glibc
import Linux

/// Names of the sockets in the runtime directory (`/run/sluice` under systemd).
public enum SocketName {
  public static let coordinator = "coordinator.sock"
  public static let logwriter = "logwriter.sock"

  public static func fetcher(_ instance: UInt32) -> String { "fetcher-\(instance).sock" }

  public static func codec(_ instance: UInt32) -> String { "codec-\(instance).sock" }

  /// The instance that `name` is the socket of, if it is a fetcher's.
  public static func fetcherInstance(_ name: String) -> UInt32? {
    instance(name, prefix: "fetcher-")
  }

  /// The instance that `name` is the socket of, if it is a codec's.
  public static func codecInstance(_ name: String) -> UInt32? { instance(name, prefix: "codec-") }

  private static func instance(_ name: String, prefix: String) -> UInt32? {
    guard name.hasPrefix(prefix), name.hasSuffix(".sock") else { return nil }
    return UInt32(name.dropFirst(prefix.count).dropLast(5))
  }
}

public enum Greeting {
  /// Connects to a sibling's socket and says hello. The sibling may not be running yet: its socket
  /// holds the connection until it accepts.
  public static func connect(path: String, edge: Edge, instance: UInt32) throws(Errno) -> OwnedFD {
    let socket = try UnixSocket.connect(path: path)
    let hello = Hello(edge: edge, instance: instance).encoded()
    let sent = try hello.withRawBytes { raw throws(Errno) in try UnixSocket.send(socket, raw) }
    guard sent else { throw Errno(EAGAIN, "send", path) }
    return socket
  }

  /// What a new connection says first.
  public enum Outcome: ~Copyable {
    case hello(Hello)
    /// It has not said anything yet: wait for the socket.
    case waiting
    /// It is gone or no sibling of ours; the text says why.
    case refused(String)
  }

  /// Reads the hello of an accepted connection at a process of `role`.
  public static func read(_ socket: borrowing OwnedFD, at role: Role) -> Outcome {
    withUnsafeTemporaryAllocation(byteCount: 64, alignment: 8) { buffer in
      do {
        switch try UnixSocket.receive(socket, into: buffer) {
        case .wouldBlock: return .waiting
        case .closed: return .refused("closed before its greeting")
        case .datagram(let received):
          guard received.descriptors.count == 0 else {
            return .refused("descriptors in a greeting")
          }
          return .hello(
            try Hello(
              decoding: UnsafeRawBufferPointer(rebasing: buffer[..<received.count]), at: role))
        }
      } catch { return .refused("\(error)") }
    }
  }
}
