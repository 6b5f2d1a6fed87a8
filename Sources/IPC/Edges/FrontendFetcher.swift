// frontend → fetcher: Fetch requests and the sockets that their responses go to.
//
// With `fetch` the frontend lends the fetcher the right to write to the client's socket, until every
// fetch of that connection has been answered by `served`. Meanwhile the frontend writes nothing
// there. The frontend stays the owner: it alone closes the connection.
//
// A frontend that is about to make way for the process after it asks for all sockets with `giveBack`
// and sends no fetch after that. The fetcher answers every connection with open fetches: with `served`
// for what it has finished, then with one `returned`. After that it writes nothing there, and keeps
// the connections' sessions for whoever fetches with them next.

import Model

public enum FrontendToFetcher: Message {
  /// A whole Fetch request. The first one of a connection carries its socket. (0 or 1 descriptor)
  case fetch(LentFetch)
  /// The connection is gone: forget its socket, its parked requests and its sessions.
  case forget(connection: UInt64)
  /// Everything that was lent is wanted back, answered or not.
  case giveBack
}

public enum FetcherToFrontend: Message {
  /// The oldest unanswered fetch of the connection was answered with so many bytes, all of them in
  /// the socket.
  case served(connection: UInt64, bytes: UInt64)
  /// The client broke the protocol or its socket broke: close the connection and say why.
  case refused(connection: UInt64, reason: String)
  /// This fetcher is about to stop: what it has is answered, nothing new is begun.
  case draining
  /// The answer to `giveBack` for a connection with open fetches.
  case returned(ReturnedSocket)
}

/// A socket that was lent and is given back with fetches open.
public struct ReturnedSocket: Equatable, Sendable {
  public var connection: UInt64
  /// Fetches, the newest ones, that were not begun.
  public var unanswered: UInt32
  /// Of the response to the oldest fetch: bytes that are in the socket, and the bytes that have to
  /// follow them. Both are 0 when no response was begun.
  public var sent: UInt64
  public var rest: [UInt8]

  /// The most bytes that have to follow.
  public static let restMax = ChannelLimits.bodyMax - 4096

  public init(connection: UInt64, unanswered: UInt32, sent: UInt64 = 0, rest: [UInt8] = []) {
    self.connection = connection
    self.unanswered = unanswered
    self.sent = sent
    self.rest = rest
  }
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
    case .giveBack: 3
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
    case .giveBack: break
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
    case 3: self = .giveBack
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
    case .returned: 4
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
    case .returned(let socket):
      writer.put(socket.connection)
      writer.put(socket.unanswered)
      writer.put(socket.sent)
      writer.put(bytes: socket.rest)
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    switch kind {
    case 1: self = .served(connection: try reader.integer(), bytes: try reader.integer())
    case 2: self = .refused(connection: try reader.integer(), reason: try reader.string())
    case 3: self = .draining
    case 4:
      self = .returned(
        ReturnedSocket(
          connection: try reader.integer(), unanswered: try reader.integer(),
          sent: try reader.integer(), rest: try reader.byteString()))
    default: throw MessageError("fetcher→frontend has no message \(kind)")
    }
  }
}
