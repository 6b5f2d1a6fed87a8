// Kinds of events that an operator may look for, or have something done about. Each has a MESSAGE_ID
// of its own in the journal, which never changes, and an entry in systemd/sluice.catalog that says
// what it means and what to do (`journalctl -x`).

import Logging

public enum EventKind: String, CaseIterable, Sendable {
  /// A process serves.
  case ready
  /// A process has been asked to stop.
  case stopping
  /// The configuration or the command line is wrong.
  case configurationRefused
  /// The system refuses something without which a process cannot go on.
  case systemRefused
  /// A process of the family broke the rules between processes.
  case siblingViolation
  /// Someone connected who is no sibling.
  case peerRefused
  /// Another process of the family is gone; its socket brings it back.
  case siblingLost
  /// A client's connection or request was refused. SLUICE_RULE says why.
  case clientRefused
  /// A partition was not closed cleanly and has lost what was half written.
  case partitionRecovered
  /// A partition cannot be read or written.
  case partitionOffline
  /// The disk does not take records.
  case appendRefused

  /// MESSAGE_ID=, 128 bits in hexadecimal.
  public var messageId: String {
    switch self {
    case .ready: "818e53e7f9854832bcc782098494dad8"
    case .stopping: "54a4588ade584db59058b79247810371"
    case .configurationRefused: "f312142e66d8447daefb8adfa923f729"
    case .systemRefused: "d2bf9ca7b4b642eeb2b58680d0b45da8"
    case .siblingViolation: "c7ea5ef94cf24fa9a11cf4cae75f6812"
    case .peerRefused: "9dfb51bc20994648ba98c89489331a58"
    case .siblingLost: "b6eb8f20054f4b2194ce530dfed93d9a"
    case .clientRefused: "604e1180fbe041719127a6b865caa4a2"
    case .partitionRecovered: "220883b2aac34d569121527e264f2c88"
    case .partitionOffline: "fc89b1a9f8ba4c4bafba76619588d2f9"
    case .appendRefused: "f27153f749f649aea46618ab99f5bc78"
    }
  }

  public var level: Logger.Level {
    switch self {
    case .ready, .stopping: .info
    case .siblingLost: .notice
    case .configurationRefused, .systemRefused, .siblingViolation: .critical
    case .peerRefused, .clientRefused, .partitionRecovered: .warning
    case .partitionOffline, .appendRefused: .error
    }
  }

  /// Where an entry carries its kind, out of the way of what callers add.
  static let metadataKey = "@event"
}

extension Logger {
  /// Logs that something of a known kind happened.
  /// - Parameter metadata: in the journal, fields named SLUICE_ and the key in capitals: `clientId`
  ///   is SLUICE_CLIENT_ID.
  public func event(
    _ kind: EventKind, _ message: @autoclosure () -> Logger.Message,
    metadata: @autoclosure () -> Logger.Metadata = [:]
  ) {
    log(
      level: kind.level, message(),
      metadata: metadata().merging([EventKind.metadataKey: "\(kind.rawValue)"]) { $1 })
  }
}
