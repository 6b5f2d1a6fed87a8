// frontend → fetcher: Fetch requests and the sockets that their responses go to.
//
// With `fetch` the frontend lends the fetcher the right to write to the client's socket, until every
// fetch of that connection has been answered by `served`. Meanwhile the frontend writes nothing
// there. The frontend stays the owner: it alone closes the connection.

import Model

public enum FrontendToFetcher: Message {
  /// A whole Fetch request. The first one of a connection carries its socket. (0 or 1 descriptor)
  case fetch(LentFetch)
  /// The connection is gone: forget its socket, its parked requests and its sessions.
  case forget(connection: UInt64)
}

public enum FetcherToFrontend: Message {
  /// The oldest unanswered fetch of the connection was answered with so many bytes, all of them in
  /// the socket.
  case served(connection: UInt64, bytes: UInt64)
  /// The client broke the protocol or its socket broke: close the connection and say why.
  case refused(connection: UInt64, reason: String)
  /// This fetcher is about to stop: what it has is answered, nothing new is begun.
  case draining
}

/// One Fetch request on its way.
public struct LentFetch: Equatable, Sendable {
  /// The frontend's number of the connection, never used again.
  public var connection: UInt64
  /// The client's socket comes along.
  public var carriesSocket: Bool
  /// Who sent it: `127.0.0.1:40912`, for log lines.
  public var peer: String
  /// The request from its header on, without the 4 bytes of length.
  public var frame: [UInt8]

  public init(connection: UInt64, carriesSocket: Bool, peer: String, frame: [UInt8]) {
    self.connection = connection
    self.carriesSocket = carriesSocket
    self.peer = peer
    self.frame = frame
  }
}

extension FrontendToFetcher {
  public var kind: UInt16 {
    switch self {
    case .fetch: 1
    case .forget: 2
    }
  }

  public var descriptorCount: Int {
    if case .fetch(let fetch) = self { fetch.carriesSocket ? 1 : 0 } else { 0 }
  }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .fetch(let fetch):
      writer.put(fetch.connection)
      writer.put(fetch.carriesSocket)
      writer.put(fetch.peer)
      writer.put(bytes: fetch.frame)
    case .forget(let connection): writer.put(connection)
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    switch kind {
    case 1:
      self = .fetch(
        LentFetch(
          connection: try reader.integer(), carriesSocket: try reader.bool(),
          peer: try reader.string(), frame: try reader.byteString()))
    case 2: self = .forget(connection: try reader.integer())
    default: throw MessageError("frontend→fetcher has no message \(kind)")
    }
  }
}

extension FetcherToFrontend {
  public var kind: UInt16 {
    switch self {
    case .served: 1
    case .refused: 2
    case .draining: 3
    }
  }

  public var descriptorCount: Int { 0 }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .served(let connection, let bytes):
      writer.put(connection)
      writer.put(bytes)
    case .refused(let connection, let reason):
      writer.put(connection)
      writer.put(reason)
    case .draining: break
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    switch kind {
    case 1: self = .served(connection: try reader.integer(), bytes: try reader.integer())
    case 2: self = .refused(connection: try reader.integer(), reason: try reader.string())
    case 3: self = .draining
    default: throw MessageError("fetcher→frontend has no message \(kind)")
    }
  }
}
