// When a request may begin. Kafka serves one request of a connection at a time; here produce requests
// of one connection run side by side, and so do fetches, because each of these paths keeps their
// order. Everything else waits until the connection's earlier requests are answered.

import KafkaProtocol

/// How a request is served.
enum RequestKind: Equatable {
  case produce
  case fetch
  case coordinator
  /// Answered here.
  case local

  init(_ apiKey: ApiKey) {
    switch apiKey {
    case .produce: self = .produce
    case .fetch: self = .fetch
    case .apiVersions: self = .local
    default: self = .coordinator
    }
  }
}

/// What of a connection is under way.
struct Turn {
  /// Produce requests of one connection that may be under way, and the bytes of their frames. One
  /// request may always begin, however large.
  static let producesMax = 1024
  static let produceBytesMax = 16 << 20
  /// Fetches of one connection that may be under way, and the bytes of their frames, which are kept
  /// for another fetcher; again one may always begin.
  static let fetchesMax = 64
  static let fetchBytesMax = 1 << 20

  var produces = 0
  var produceBytes = 0
  /// The coordinator, or this process, has not answered yet.
  var isAwaitingResponse = false
  /// Fetches that a fetcher has.
  var fetches = 0
  var fetchBytes = 0

  var isIdle: Bool { produces == 0 && fetches == 0 && !isAwaitingResponse }

  /// Whether a request may begin now.
  /// - Parameter unsentBytes: of earlier responses that wait for the socket.
  func mayBegin(_ kind: RequestKind, frameBytes: Int, unsentBytes: Int) -> Bool {
    if isAwaitingResponse || unsentBytes > Outgoing.unsentMax { return false }
    switch kind {
    case .produce:
      return fetches == 0
        && (produces == 0
          || produces < Self.producesMax && produceBytes + frameBytes <= Self.produceBytesMax)
    case .fetch:
      return produces == 0 && unsentBytes == 0
        && (fetches == 0
          || fetches < Self.fetchesMax && fetchBytes + frameBytes <= Self.fetchBytesMax)
    case .coordinator, .local: return produces == 0 && fetches == 0
    }
  }
}
