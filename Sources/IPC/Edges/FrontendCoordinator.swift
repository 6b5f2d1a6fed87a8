// frontend → coordinator: every request that is neither Produce nor Fetch, and the metadata image.
//
// The coordinator sends an image before any response that tells of the same change, on the same
// channel. A frontend that meets a topic it does not know reads this channel before it answers.

import Model

public enum FrontendToCoordinator: Message {
  case request(ClientRequest)
  /// Answer to `reportStatistics`: this process and the codecs that it uses.
  case statistics([ProcessStatistics])
}

public enum CoordinatorToFrontend: Message {
  /// The response to a request: a whole frame with its 4 bytes of length, to be written as it is.
  /// Responses to one connection may come in any order; the frontend restores the order.
  case response(connection: UInt64, request: UInt64, frame: [UInt8])
  /// The request could not be understood: close the connection and say why.
  case refused(connection: UInt64, request: UInt64, reason: String)
  case image(ImageUpdate)
  /// Asks for `statistics`, with so many of the busiest topics and connections.
  case reportStatistics(busiest: UInt16)
  /// What was set for the broker at run time, whole. First message, and whenever it changes.
  case configureBroker(DynamicBrokerConfigs)
}

/// A client's request with what the coordinator must know of its origin.
public struct ClientRequest: Equatable, Sendable {
  /// The frontend's number of the connection, never used again.
  public var connection: UInt64
  /// The frontend's number of the request within the connection.
  public var request: UInt64
  /// Name of the listener that took the connection, such as `PLAINTEXT`.
  public var listener: String
  /// The client: `127.0.0.1:40912`.
  public var peer: String
  /// The address the client connected to; becomes the advertised one where none is configured.
  public var localHost: String
  public var localPort: UInt16
  /// Who the client is: `User:ANONYMOUS` on a listener without authentication.
  public var principal: String
  /// The request from its header on, without the 4 bytes of length.
  public var frame: [UInt8]

  public init(
    connection: UInt64, request: UInt64, listener: String, peer: String, localHost: String,
    localPort: UInt16, principal: String, frame: [UInt8]
  ) {
    self.connection = connection
    self.request = request
    self.listener = listener
    self.peer = peer
    self.localHost = localHost
    self.localPort = localPort
    self.principal = principal
    self.frame = frame
  }
}

extension FrontendToCoordinator {
  public var kind: UInt16 {
    switch self {
    case .request: 1
    case .statistics: 2
    }
  }

  public var descriptorCount: Int { 0 }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .request(let request):
      writer.put(request.connection)
      writer.put(request.request)
      writer.put(request.listener)
      writer.put(request.peer)
      writer.put(request.localHost)
      writer.put(request.localPort)
      writer.put(request.principal)
      writer.put(bytes: request.frame)
    case .statistics(let processes):
      writer.put(list: processes) { $0.encode(into: &$1) }
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    switch kind {
    case 1:
      self = .request(
        ClientRequest(
          connection: try reader.integer(), request: try reader.integer(),
          listener: try reader.string(), peer: try reader.string(),
          localHost: try reader.string(), localPort: try reader.integer(),
          principal: try reader.string(), frame: try reader.byteString()))
    case 2:
      self = .statistics(
        try reader.list(minimumSize: ProcessStatistics.minimumSize) {
          reader throws(MessageError) in try ProcessStatistics(from: &reader)
        })
    default: throw MessageError("frontend→coordinator has no message \(kind)")
    }
  }
}

extension CoordinatorToFrontend {
  public var kind: UInt16 {
    switch self {
    case .response: 1
    case .refused: 2
    case .image: 3
    case .reportStatistics: 4
    case .configureBroker: 5
    }
  }

  public var descriptorCount: Int { 0 }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .response(let connection, let request, let frame):
      writer.put(connection)
      writer.put(request)
      writer.put(bytes: frame)
    case .refused(let connection, let request, let reason):
      writer.put(connection)
      writer.put(request)
      writer.put(reason)
    case .image(let update): update.encode(into: &writer)
    case .reportStatistics(let busiest): writer.put(busiest)
    case .configureBroker(let dynamic): dynamic.encode(into: &writer)
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    switch kind {
    case 1:
      self = .response(
        connection: try reader.integer(), request: try reader.integer(),
        frame: try reader.byteString())
    case 2:
      self = .refused(
        connection: try reader.integer(), request: try reader.integer(),
        reason: try reader.string())
    case 3: self = .image(try ImageUpdate(from: &reader))
    case 4: self = .reportStatistics(busiest: try reader.busiest())
    case 5: self = .configureBroker(try DynamicBrokerConfigs(from: &reader))
    default: throw MessageError("coordinator→frontend has no message \(kind)")
    }
  }
}
