// The configuration of the broker: a file in Kafka's server.properties syntax and overrides from
// the command line, checked as a whole. Every process loads it at its start and keeps what it
// needs: looking a value up takes a dictionary.

import Model

/// What the broker is configured to do.
public struct BrokerConfiguration: Sendable {
  let values: BrokerValues

  public let listeners: Listeners
  public let nodeId: Int32
  /// At least one, in the order given; none twice.
  public let logDirs: [String]

  /// Reads and checks a configuration.
  ///
  /// - Parameters:
  ///   - file: the name, for messages, and the text of a properties file. Of a name that is there
  ///     twice the last line counts.
  ///   - overrides: `name=value` each, which win over the file; the last of a name counts.
  public static func load(
    file: (name: String, text: String)?, overrides: [String] = []
  ) throws(ConfigurationError) -> BrokerConfiguration {
    var values = BrokerValues()
    if let file {
      for property in try Properties.parse(file.text, file: file.name) {
        try values.add(
          property.name, property.value, source: .file(file.name, line: property.line))
      }
    }
    for override in overrides {
      guard let equals = override.firstIndex(of: "=") else {
        throw ConfigurationError(
          source: .override, key: nil, value: nil, reason: "'\(override)' is not name=value")
      }
      let name = String(override[..<equals]).trimmingWhitespace()
      try values.add(
        name, String(override[override.index(after: equals)...]), source: .override)
    }
    return try BrokerConfiguration(values)
  }

  init(_ values: BrokerValues) throws(ConfigurationError) {
    self.values = values
    listeners = try Listeners.resolve(values)
    nodeId = try Self.nodeId(values)
    logDirs = try Self.logDirs(values)
    try Self.checkTogether(values)
  }

  private static func nodeId(_ values: BrokerValues) throws(ConfigurationError) -> Int32 {
    let older = values.integer("broker.id").flatMap { $0 < 0 ? nil : Int32($0) }
    guard let id = values.integer("node.id").map({ Int32($0) }) else { return older ?? 1 }
    guard older == nil || older == id else {
      throw values.error("broker.id", "it differs from node.id=\(id); one of them is enough")
    }
    return id
  }

  private static func logDirs(_ values: BrokerValues) throws(ConfigurationError) -> [String] {
    let key = values.isSet("log.dirs") ? "log.dirs" : "log.dir"
    let text = values.string(key) ?? ""
    let dirs = text.split(separator: ",").map { String($0).trimmingWhitespace() }
      .filter { !$0.isEmpty }
    guard !dirs.isEmpty else { throw values.error(key, "there is no directory in it") }
    guard Set(dirs).count == dirs.count else {
      throw values.error(key, "a directory is there twice")
    }
    return dirs
  }

  private static func checkTogether(_ values: BrokerValues) throws(ConfigurationError) {
    func require(_ low: String, notAbove high: String) throws(ConfigurationError) {
      guard let a = values.integer(low), let b = values.integer(high), a > b else { return }
      throw values.error(values.isSet(low) ? low : high, "\(low) (\(a)) is above \(high) (\(b))")
    }
    try require("group.min.session.timeout.ms", notAbove: "group.max.session.timeout.ms")
    try require(
      "log.cleaner.min.compaction.lag.ms", notAbove: "log.cleaner.max.compaction.lag.ms")
    if let queued = values.integer("queued.max.request.bytes"), queued >= 0 {
      try require("socket.request.max.bytes", notAbove: "queued.max.request.bytes")
    }
    if values.integer("max.connections.per.ip") == 0,
      values.string("max.connections.per.ip.overrides") == ""
    {
      throw values.error(
        "max.connections.per.ip", "0 lets nobody in without max.connections.per.ip.overrides")
    }
  }
}

extension BrokerConfiguration {
  /// What was set and has no effect, in one line for the log; nil when there is nothing of that
  /// kind.
  public var notice: String? {
    let groups = AcceptedReason.allCases.compactMap { reason -> String? in
      let names = values.accepted.filter { $0.reason == reason }.map(\.name)
      return names.isEmpty ? nil : "\(names.joined(separator: ", ")) (\(reason.rawValue))"
    }
    return groups.isEmpty
      ? nil : "configurations without effect: \(groups.joined(separator: "; "))"
  }

  /// The names that were set and have no effect, with the reason.
  public var accepted: [(name: String, reason: AcceptedReason)] { values.accepted }

  /// What was set as `name` and counts, or nil when nothing was.
  public func setValue(of name: String) -> SetValue? { values.effective(name) }

  /// The text of `name` as DescribeConfigs shows it: what was set, or Kafka's default, nil for null.
  public func text(of name: String) -> String? {
    guard let key = BrokerKeys.named(name) else {
      return values.effective(name)?.text.trimmingWhitespace()
    }
    return values.effective(name).map { $0.value.text } ?? key.defaultText
  }
}
