// The first datagram of every connection, from the side that connects: which edge this is, in which
// version, and who speaks. Nothing else is read from a peer before its hello was accepted; one that
// does not fit ends the connection with a log line at the side that listens.

import Linux
import Model

/// Which job a process does.
public enum Role: UInt8, Sendable, CaseIterable, CustomStringConvertible {
  case frontend = 1
  case logwriter = 2
  case fetcher = 3
  case coordinator = 4
  case admin = 5
  case cleaner = 6
  case codec = 7

  public var description: String {
    switch self {
    case .frontend: "frontend"
    case .logwriter: "logwriter"
    case .fetcher: "fetcher"
    case .coordinator: "coordinator"
    case .admin: "admin"
    case .cleaner: "cleaner"
    case .codec: "codec"
    }
  }
}

/// One directed edge of the process graph: who connects to whom.
public struct Edge: Hashable, Sendable, CustomStringConvertible {
  public let from: Role
  public let to: Role
  /// Raised with every change of the edge's messages. Both ends must agree.
  public let version: UInt16

  public static let frontendToLogWriter = Edge(from: .frontend, to: .logwriter, version: 3)
  public static let frontendToFetcher = Edge(from: .frontend, to: .fetcher, version: 2)
  public static let frontendToCoordinator = Edge(from: .frontend, to: .coordinator, version: 6)
  public static let frontendToCodec = Edge(from: .frontend, to: .codec, version: 1)
  public static let fetcherToLogWriter = Edge(from: .fetcher, to: .logwriter, version: 3)
  public static let fetcherToCoordinator = Edge(from: .fetcher, to: .coordinator, version: 6)
  public static let coordinatorToLogWriter = Edge(from: .coordinator, to: .logwriter, version: 8)
  public static let cleanerToLogWriter = Edge(from: .cleaner, to: .logwriter, version: 2)
  public static let adminToCoordinator = Edge(from: .admin, to: .coordinator, version: 3)

  public static let all: [Edge] = [
    .frontendToLogWriter, .frontendToFetcher, .frontendToCoordinator, .frontendToCodec,
    .fetcherToLogWriter, .fetcherToCoordinator, .coordinatorToLogWriter, .cleanerToLogWriter,
    .adminToCoordinator,
  ]

  public var description: String { "\(from)→\(to) v\(version)" }
}

/// The greeting: 4 bytes "SLUI", from, to (u8 each), version (u16), instance (u32).
public struct Hello: Equatable, Sendable {
  public let edge: Edge
  /// Number of the speaking process among those of its role, from 1.
  public let instance: UInt32

  public static let size = 12
  private static let magic: UInt32 = 0x4955_4C53

  public init(edge: Edge, instance: UInt32) {
    self.edge = edge
    self.instance = instance
  }

  public func encoded() -> [UInt8] {
    var writer = MessageWriter()
    writer.put(Self.magic)
    writer.put(edge.from.rawValue)
    writer.put(edge.to.rawValue)
    writer.put(edge.version)
    writer.put(instance)
    return writer.bytes
  }

  /// Decodes a greeting meant for `role`: the edge must exist and have our version.
  public init(decoding bytes: UnsafeRawBufferPointer, at role: Role) throws(MessageError) {
    var reader = MessageReader(bytes)
    guard try reader.integer(UInt32.self) == Self.magic else {
      throw MessageError("the first datagram is no greeting")
    }
    let from = try reader.integer(UInt8.self)
    let to = try reader.integer(UInt8.self)
    let version = try reader.integer(UInt16.self)
    instance = try reader.integer()
    try reader.end()
    guard
      let known = Edge.all.first(where: { $0.from.rawValue == from && $0.to.rawValue == to }),
      known.to == role
    else { throw MessageError("role \(from) does not connect to role \(to) at a \(role)") }
    guard known.version == version else {
      throw MessageError("\(known.from) speaks version \(version), this \(role) \(known.version)")
    }
    edge = known
  }
}
