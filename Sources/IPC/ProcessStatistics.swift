// What a process tells about itself when the coordinator asks: `sluice status` shows it.

/// One process and its work so far.
public struct ProcessStatistics: Equatable, Sendable {
  public var role: Role
  public var instance: UInt32
  public var pid: Int32
  /// When the process began, ms since 1970.
  public var startedMs: Int64
  public var residentBytes: UInt64
  /// CPU time used so far in microseconds.
  public var cpuMicroseconds: UInt64
  /// Counters of work done, by name, such as `produce_requests`; in the order to show them.
  public var counters: [Counter]
  /// Empty unless they were asked for.
  public var topics: [TopicWork]
  public var connections: [ConnectionWork]

  public struct Counter: Equatable, Sendable {
    public var name: String
    public var value: UInt64
    /// It is a number of things that there are now, which goes up and down; else a total since the
    /// process began.
    public var isLevel: Bool

    public init(_ name: String, _ value: UInt64, isLevel: Bool = false) {
      self.name = name
      self.value = value
      self.isLevel = isLevel
    }

    public static func level(_ name: String, _ value: Int) -> Counter {
      Counter(name, UInt64(max(0, value)), isLevel: true)
    }
  }

  static let minimumSize = 1 + 4 + 4 + 8 + 8 + 8 + 3 * 4

  public init(
    role: Role, instance: UInt32, pid: Int32, startedMs: Int64, residentBytes: UInt64,
    cpuMicroseconds: UInt64, counters: [Counter], topics: [TopicWork] = [],
    connections: [ConnectionWork] = []
  ) {
    self.role = role
    self.instance = instance
    self.pid = pid
    self.startedMs = startedMs
    self.residentBytes = residentBytes
    self.cpuMicroseconds = cpuMicroseconds
    self.counters = counters
    self.topics = topics
    self.connections = connections
  }

  func encode(into writer: inout MessageWriter) {
    writer.put(role.rawValue)
    writer.put(instance)
    writer.put(pid)
    writer.put(startedMs)
    writer.put(residentBytes)
    writer.put(cpuMicroseconds)
    writer.put(list: counters) { counter, writer in
      writer.put(counter.name)
      writer.put(counter.value)
      writer.put(counter.isLevel)
    }
    writer.put(list: topics) { topic, writer in topic.encode(into: &writer) }
    writer.put(list: connections) { connection, writer in connection.encode(into: &writer) }
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    let number = try reader.integer(UInt8.self)
    guard let role = Role(rawValue: number) else {
      throw MessageError("there is no role \(number)")
    }
    self.init(
      role: role, instance: try reader.integer(), pid: try reader.integer(),
      startedMs: try reader.integer(), residentBytes: try reader.integer(),
      cpuMicroseconds: try reader.integer(),
      counters: try reader.list(minimumSize: 11) { reader throws(MessageError) in
        Counter(
          try reader.string(), try reader.integer(), isLevel: try reader.bool())
      },
      topics: try reader.list(minimumSize: TopicWork.minimumSize) {
        reader throws(MessageError) in try TopicWork(from: &reader)
      },
      connections: try reader.list(minimumSize: ConnectionWork.minimumSize) {
        reader throws(MessageError) in try ConnectionWork(from: &reader)
      })
  }
}
