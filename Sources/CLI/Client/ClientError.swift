// What can go wrong between this command and a broker, as one line for its user.

import KafkaProtocol
import Linux
import Model

enum ClientError: Error, CustomStringConvertible {
  case connection(address: String, Errno)
  case noSuchHost(String)
  /// Nobody speaks for the broker on this machine.
  case noBroker(directory: String, String)
  case badAddress(String)
  case closed(address: String)
  case timedOut(address: String, afterMs: Int64)
  /// Ctrl-C while a broker was being waited for.
  case interrupted
  /// Standard input or a signal descriptor cannot be read.
  case input(String)
  /// The broker's bytes are no response.
  case undecodable(WireError)
  /// The broker serves no version of the API that this command speaks.
  case unsupported(ApiKey)
  /// The broker refused; `about` is the topic, group or partition concerned.
  case refused(ErrorCode, about: String, message: String?)

  var description: String {
    switch self {
    case .connection(let address, let error): "no connection to \(address): \(error.reason)"
    case .noSuchHost(let host): "no host is called '\(host)'"
    case .noBroker(let directory, let why): "no broker answers in \(directory): \(why)"
    case .badAddress(let text): "'\(text)' is not HOST:PORT"
    case .closed(let address): "\(address) closed the connection"
    case .timedOut(let address, let ms): "\(address) did not answer within \(ms) ms"
    case .interrupted: "interrupted"
    case .input(let line): line
    case .undecodable(let error): "the broker's answer cannot be read: \(error)"
    case .unsupported(let key): "the broker does not serve \(key)"
    case .refused(let code, let about, let message):
      (message ?? Self.hint(code)).map { "\(about): \($0) (\(code))" } ?? "\(about): \(code)"
    }
  }

  var exitStatus: ExitStatus {
    switch self {
    case .badAddress: .usage
    case .connection, .noSuchHost, .noBroker, .closed, .timedOut, .input, .interrupted: .system
    case .undecodable, .unsupported, .refused: .refused
    }
  }

  /// The way to the broker is gone, which a new connection may mend.
  var isTransport: Bool {
    switch self {
    case .connection, .closed, .timedOut: true
    default: false
    }
  }

  var code: ErrorCode? {
    if case .refused(let code, _, _) = self { return code }
    return nil
  }

  /// What the commonest codes mean to someone at a terminal.
  private static func hint(_ code: ErrorCode) -> String? {
    switch code {
    case .unknownTopicOrPartition: "no such topic or partition"
    case .topicAlreadyExists: "the topic exists already"
    case .messageTooLarge: "larger than the topic's max.message.bytes"
    case .invalidTopicException: "not a name for a topic"
    case .leaderNotAvailable: "no leader at the moment"
    default: nil
    }
  }
}

extension Errno {
  /// What the kernel said, without the call: `Connection refused`.
  var reason: String {
    let text = description
    return text.range(ofLast: ": ").map { String(text[$0.upperBound...]) } ?? text
  }
}

extension String {
  fileprivate func range(ofLast text: String) -> Range<String.Index>? { ranges(of: text).last }
}

extension ErrorCode {
  /// Throws unless this is NONE.
  func require(_ about: String, _ message: String? = nil) throws(ClientError) {
    if self != .none { throw .refused(self, about: about, message: message) }
  }

  /// The broker asks to try again soon: it is starting, or something has just been created.
  var isTransient: Bool {
    switch self {
    case .leaderNotAvailable, .notLeaderOrFollower, .coordinatorLoadInProgress,
      .coordinatorNotAvailable, .notCoordinator, .requestTimedOut, .networkException,
      .kafkaStorageError, .notEnoughReplicas, .notEnoughReplicasAfterAppend:
      true
    default: false
    }
  }
}
