// Kinds of events that an operator may look for, or have something done about. Each has a MESSAGE_ID
// of its own in the journal, which never changes, and an entry in systemd/sluice.catalog that says
// what it means and what to do (`journalctl -x`). What a client or a failing disk can cause again
// and again has a limit (`EventLimiter`).

import Logging

public enum EventKind: String, CaseIterable, Sendable {
  /// A process serves.
  case ready
  /// A process has been asked to stop.
  case stopping
  /// What a process did in a while, in fields SLUICE_STAT_….
  case statistics
  /// The configuration was read again.
  case configurationReloaded
  /// The configuration was read again and is wrong: the old one stays.
  case reloadRefused
  /// The configuration or the command line is wrong.
  case configurationRefused
  /// The system refuses something without which a process cannot go on.
  case systemRefused
  /// The system refuses something, and the process goes on without it for now.
  case systemTrouble
  /// A process of the family broke the rules between processes.
  case siblingViolation
  /// A process of the family was disconnected, because it broke the rules or does not read.
  case siblingDropped
  /// Someone connected who is no sibling.
  case peerRefused
  /// Another process of the family is gone; its socket brings it back.
  case siblingLost
  /// A client's connection or request was refused. SLUICE_RULE says why.
  case clientRefused
  /// A frontend that ends left its client connections to the next one, or one that starts has them.
  case connectionsKept
  /// A frontend that ends, or starts, had to close client connections.
  case connectionsNotKept
  /// A topic was created, found, given more partitions or other configurations.
  case topicCreated
  case topicChanged
  case topicDeleted
  /// Configurations of topics or of the broker were changed by a client.
  case configsChanged
  /// Segments were deleted because of `retention.ms`, `retention.bytes` or DeleteRecords.
  case segmentsDeleted
  /// A log was found that belongs to no topic.
  case strayLog
  /// A partition was not closed cleanly and has lost what was half written.
  case partitionRecovered
  /// A partition cannot be read or written.
  case partitionOffline
  /// A segment of a partition cannot be read just now.
  case partitionUnreadable
  /// A partition's directory could not be made, removed or closed.
  case partitionChangeFailed
  /// A log directory has so little room that producers are refused.
  case logDirLow
  /// It has enough again.
  case logDirEnough
  /// A directory of `log.dirs` was new and was made a log directory.
  case logDirFormatted
  /// A log directory cannot be used, with all its partitions.
  case logDirFailed
  /// The disk does not take records.
  case appendRefused
  /// The coordinator cannot record what was decided about topics.
  case metadataRefused
  /// The records of consumer groups cannot be written or read.
  case groupsUnavailable
  /// A partition could not be compacted; it is tried again.
  case cleaningFailed

  /// MESSAGE_ID=, 128 bits in hexadecimal.
  public var messageId: String {
    switch self {
    case .ready: "818e53e7f9854832bcc782098494dad8"
    case .stopping: "54a4588ade584db59058b79247810371"
    case .statistics: "c769472850604dba98fb7ad4a6dd94ae"
    case .configurationReloaded: "67eda54ca7f14e53a66810c30d3114b3"
    case .reloadRefused: "8d33f102e0a548f193518cba4f569e0f"
    case .configurationRefused: "f312142e66d8447daefb8adfa923f729"
    case .systemRefused: "d2bf9ca7b4b642eeb2b58680d0b45da8"
    case .systemTrouble: "a80bdb789d40418c85dccd2fe63a0ef6"
    case .siblingViolation: "c7ea5ef94cf24fa9a11cf4cae75f6812"
    case .siblingDropped: "04bc84698278445ead8a83d147c950de"
    case .peerRefused: "9dfb51bc20994648ba98c89489331a58"
    case .siblingLost: "b6eb8f20054f4b2194ce530dfed93d9a"
    case .clientRefused: "604e1180fbe041719127a6b865caa4a2"
    case .connectionsKept: "5617b8dfd50545bc90bd4c3e40dcb97d"
    case .connectionsNotKept: "15964fba0f3a4e1695f8d9b8697608bc"
    case .topicCreated: "88e96f56e02c4067bb59d5ca7c89f700"
    case .topicChanged: "26c57015a4b6481890c8e5895c0438bb"
    case .topicDeleted: "da8d6b2819714d35b8e3195beb4c61e3"
    case .configsChanged: "643ee922040f479f8ad96638e5535ea9"
    case .segmentsDeleted: "a1ead352280c4d639bb5191a44b3f352"
    case .strayLog: "e435a0c5db2042cb8074877a5e8ea8e5"
    case .partitionRecovered: "220883b2aac34d569121527e264f2c88"
    case .partitionOffline: "fc89b1a9f8ba4c4bafba76619588d2f9"
    case .partitionUnreadable: "d4f970d8ea4444d8be87b3c90967d06c"
    case .partitionChangeFailed: "f90e1f8246ea469fa967a6da989e308e"
    case .logDirLow: "0f9e5eacb6dc468c87984c92c801a568"
    case .logDirEnough: "38b7e2c394994615a0b4e10547163de8"
    case .logDirFormatted: "6a4be1d05c974ef28b3f2f0f6d1e9a57"
    case .logDirFailed: "f0c93397325b414aa64732b9c0e8caec"
    case .appendRefused: "f27153f749f649aea46618ab99f5bc78"
    case .metadataRefused: "31aa78a3d1c143a6af748c3ff14cd046"
    case .groupsUnavailable: "44482e1682f24fcf9a491c8fb584cb8a"
    case .cleaningFailed: "3c0d4d9e7f1c4e6b9a52c1f0a7c6e8d4"
    }
  }

  public var level: Logger.Level {
    switch self {
    case .ready, .stopping, .statistics, .connectionsKept, .topicCreated, .topicChanged,
      .topicDeleted, .segmentsDeleted:
      .info
    case .siblingLost, .configurationReloaded, .configsChanged, .logDirEnough, .logDirFormatted:
      .notice
    case .configurationRefused, .systemRefused, .siblingViolation, .logDirFailed: .critical
    case .peerRefused, .clientRefused, .connectionsNotKept, .strayLog, .partitionRecovered,
      .cleaningFailed:
      .warning
    case .reloadRefused, .systemTrouble, .siblingDropped, .partitionOffline, .partitionUnreadable,
      .partitionChangeFailed, .logDirLow, .appendRefused, .metadataRefused, .groupsUnavailable:
      .error
    }
  }

  /// How many of a kind are written one by one; nil where nobody outside can cause them at will.
  var limit: EventLimit? {
    switch self {
    case .ready, .stopping, .statistics, .configurationReloaded, .reloadRefused,
      .configurationRefused, .systemRefused, .siblingViolation, .connectionsKept, .logDirFailed:
      nil
    case .clientRefused: EventLimit(burst: 1, windowMs: 1_000)
    case .peerRefused, .connectionsNotKept, .systemTrouble, .appendRefused, .partitionUnreadable,
      .siblingDropped,
      .partitionChangeFailed, .logDirLow, .logDirEnough, .metadataRefused, .groupsUnavailable:
      EventLimit(burst: 3, windowMs: 2_000)
    case .siblingLost: EventLimit(burst: 20, windowMs: 10_000)
    // An operator wants each of these by name; a disk that dies under a hundred thousand does not.
    case .topicCreated, .topicChanged, .topicDeleted, .configsChanged, .segmentsDeleted, .strayLog,
      .partitionRecovered, .partitionOffline, .cleaningFailed, .logDirFormatted:
      EventLimit(burst: 100, windowMs: 10_000)
    }
  }

  /// What several of them are, for the line that says how many were left out.
  var plural: String {
    switch self {
    case .ready, .stopping: "starts and stops"
    case .statistics: "statistics"
    case .configurationReloaded, .reloadRefused, .configurationRefused: "configurations"
    case .systemRefused, .systemTrouble: "refusals of the system"
    case .siblingViolation, .siblingDropped: "processes that broke the rules"
    case .peerRefused: "connections of strangers"
    case .siblingLost: "processes that are gone"
    case .clientRefused: "clients that were refused"
    case .connectionsKept, .connectionsNotKept: "hand-overs of connections"
    case .topicCreated: "topics that were created"
    case .topicChanged: "topics that were changed"
    case .topicDeleted: "topics that were deleted"
    case .configsChanged: "changes of configurations"
    case .segmentsDeleted: "deletions of old segments"
    case .strayLog: "logs that belong to no topic"
    case .partitionRecovered: "partitions that were recovered"
    case .partitionOffline: "partitions that are offline"
    case .partitionUnreadable: "segments that cannot be read"
    case .partitionChangeFailed: "directories of partitions that cannot be changed"
    case .logDirLow, .logDirEnough: "changes of the room in log directories"
    case .logDirFormatted: "new log directories"
    case .logDirFailed: "log directories that failed"
    case .appendRefused: "appends that the disk refused"
    case .metadataRefused: "decisions that cannot be recorded"
    case .cleaningFailed: "partitions that cannot be compacted"
    case .groupsUnavailable: "records of groups that cannot be written or read"
    }
  }
}
