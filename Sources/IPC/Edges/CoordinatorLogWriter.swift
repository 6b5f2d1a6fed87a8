// coordinator → logwriter: which partitions exist, internal appends, and reading logs back.
//
// The coordinator decides which topics exist; the logwriter owns what is on disk. After the greeting
// the logwriter reports its inventory, then answers requests; each answer carries the request's token.

import Model

public enum CoordinatorToLogWriter: Message {
  /// Creates partitions, or takes up those that exist already with the same topic id. Answered when
  /// the names of new directories are on disk.
  case createPartitions(token: UInt64, [PartitionSpec])
  case deletePartitions(token: UInt64, [PartitionName])
  /// Replaces the settings of every partition of a topic.
  case configureTopic(topicId: UUID128, LogConfig)
  /// Appends record batches made by the coordinator itself. `acks` as in Produce.
  case append(token: UInt64, slot: UInt32, generation: UInt32, acks: Int16, batches: [UInt8])
  case openSegment(SegmentQuery)
  /// Asks for the segment and position from which to search for the first record at or after a time.
  /// Answered with `segment`, or `segmentUnavailable`: OFFSET_OUT_OF_RANGE when no record is that
  /// young.
  case lookUpTimestamp(token: UInt64, slot: UInt32, generation: UInt32, timestampMs: Int64)
  /// Asks for the record with the largest timestamp.
  case lookUpMaxTimestamp(token: UInt64, slot: UInt32, generation: UInt32)
  /// Asks for `statistics`, with so many of the busiest topics and connections.
  case reportStatistics(busiest: UInt16)
  /// Raises log start offsets for clients.
  case deleteRecords(token: UInt64, [RecordsToDelete])
  /// What was set for the broker at run time, whole. First message, and whenever it changes.
  case configureBroker(DynamicBrokerConfigs)
  /// Asks for the directories of `log.dirs`.
  case describeLogDirs(token: UInt64)
}

public enum LogWriterToCoordinator: Message {
  /// The scoreboard. First message, exactly once. `clusterId` is the one in `meta.properties` of
  /// `log.dirs`, which the coordinator takes over when its own store has none. (1 descriptor)
  case scoreboard(clusterId: String)
  /// Partitions found on disk, in as many messages as it takes.
  case inventory([PartitionState], isLast: Bool)
  case partitionsCreated(token: UInt64, [PartitionState])
  case partitionsDeleted(token: UInt64, [PartitionState])
  case appended(token: UInt64, AppendedEntry)
  /// (1 descriptor: the segment's .log; with an index 2: .log, .index)
  case segment(SegmentDescription)
  case segmentUnavailable(SegmentRefusal)
  /// Offset and time of the record with the largest timestamp; -1 and -1 for an empty partition.
  case maxTimestamp(token: UInt64, error: ErrorCode, offset: Int64, timestampMs: Int64)
  /// A partition went offline, came back, or finished its recovery.
  case partitionChanged(PartitionState)
  /// The logwriter itself and the cleaners that are connected to it, all in one answer.
  case statistics([ProcessStatistics])
  /// One answer for each `RecordsToDelete`, in their order. What is deleted stays so.
  case recordsDeleted(token: UInt64, [RecordsDeleted])
  case logDirs(token: UInt64, [LogDirState])
}

/// A partition to create or to take up.
public struct PartitionSpec: Equatable, Sendable {
  public var name: PartitionName
  public var config: LogConfig
  /// Epoch of the leader from now on; stamped into batches.
  public var leaderEpoch: Int32
  public var creation: Creation

  /// How far the creation of a partition has come, which says what it means that none of the log
  /// directories has it.
  public enum Creation: UInt8, Sendable {
    /// It was decided on just now: it is created.
    case new
    /// It may have been created before, but nobody was told: nothing is in it. It is created, unless
    /// it may be in a log directory that cannot be used at the moment.
    case begun
    /// It was there: it is lost or away, and not made anew.
    case done
  }

  public init(name: PartitionName, config: LogConfig, leaderEpoch: Int32, creation: Creation) {
    self.name = name
    self.config = config
    self.leaderEpoch = leaderEpoch
    self.creation = creation
  }
}

extension MessageReader {
  fileprivate mutating func creation() throws(MessageError) -> PartitionSpec.Creation {
    let value = try integer(UInt8.self)
    guard let creation = PartitionSpec.Creation(rawValue: value) else {
      throw MessageError("a creation is new, begun or done, not \(value)")
    }
    return creation
  }
}

/// A partition with the id of its topic: two topics of one name in a row are not confused.
public struct PartitionName: Hashable, Sendable {
  public var topic: String
  public var partition: Int32
  public var topicId: UUID128

  public init(topic: String, partition: Int32, topicId: UUID128) {
    self.topic = topic
    self.partition = partition
    self.topicId = topicId
  }

  func encode(into writer: inout MessageWriter) {
    writer.put(topic)
    writer.put(partition)
    writer.put(topicId)
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init(
      topic: try reader.string(), partition: try reader.integer(), topicId: try reader.uuid())
  }
}

/// Where a partition is to be found, or why not.
public struct PartitionState: Equatable, Sendable {
  public var name: PartitionName
  /// Slot on the scoreboard; `PartitionImage.noSlot` when the partition is not there.
  public var slot: UInt32
  public var generation: UInt32
  /// NONE, or why the partition cannot be used (KAFKA_STORAGE_ERROR, INCONSISTENT_TOPIC_ID, …).
  public var error: ErrorCode
  /// One line for people; empty without an error.
  public var detail: String

  public init(
    name: PartitionName, slot: UInt32, generation: UInt32, error: ErrorCode = .none,
    detail: String = ""
  ) {
    self.name = name
    self.slot = slot
    self.generation = generation
    self.error = error
    self.detail = detail
  }

  func encode(into writer: inout MessageWriter) {
    name.encode(into: &writer)
    writer.put(slot)
    writer.put(generation)
    writer.put(error.rawValue)
    writer.put(detail)
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init(
      name: try PartitionName(from: &reader), slot: try reader.integer(),
      generation: try reader.integer(), error: ErrorCode(rawValue: try reader.integer()),
      detail: try reader.string())
  }

  static let minimumSize = 22 + 8 + 2 + 2
}

extension CoordinatorToLogWriter {
  public var kind: UInt16 {
    switch self {
    case .createPartitions: 1
    case .deletePartitions: 2
    case .configureTopic: 3
    case .append: 4
    case .openSegment: 5
    case .lookUpTimestamp: 6
    case .lookUpMaxTimestamp: 7
    case .reportStatistics: 8
    case .deleteRecords: 9
    case .configureBroker: 10
    case .describeLogDirs: 11
    }
  }

  public var descriptorCount: Int { 0 }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .createPartitions(let token, let specs):
      writer.put(token)
      writer.put(list: specs) { spec, writer in
        spec.name.encode(into: &writer)
        spec.config.encode(into: &writer)
        writer.put(spec.leaderEpoch)
        writer.put(spec.creation.rawValue)
      }
    case .deletePartitions(let token, let names):
      writer.put(token)
      writer.put(list: names) { name, writer in name.encode(into: &writer) }
    case .configureTopic(let topicId, let config):
      writer.put(topicId)
      config.encode(into: &writer)
    case .append(let token, let slot, let generation, let acks, let batches):
      writer.put(token)
      writer.put(slot)
      writer.put(generation)
      writer.put(acks)
      writer.put(bytes: batches)
    case .openSegment(let query): query.encode(into: &writer)
    case .lookUpTimestamp(let token, let slot, let generation, let timestampMs):
      writer.put(token)
      writer.put(slot)
      writer.put(generation)
      writer.put(timestampMs)
    case .lookUpMaxTimestamp(let token, let slot, let generation):
      writer.put(token)
      writer.put(slot)
      writer.put(generation)
    case .reportStatistics(let busiest): writer.put(busiest)
    case .deleteRecords(let token, let records):
      writer.put(token)
      writer.put(list: records) { records, writer in records.encode(into: &writer) }
    case .configureBroker(let dynamic): dynamic.encode(into: &writer)
    case .describeLogDirs(let token): writer.put(token)
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    switch kind {
    case 1:
      self = .createPartitions(
        token: try reader.integer(),
        try reader.list(minimumSize: 26) { reader throws(MessageError) in
          PartitionSpec(
            name: try PartitionName(from: &reader), config: try LogConfig(from: &reader),
            leaderEpoch: try reader.integer(), creation: try reader.creation())
        })
    case 2:
      self = .deletePartitions(
        token: try reader.integer(),
        try reader.list(minimumSize: 22) { reader throws(MessageError) in
          try PartitionName(from: &reader)
        })
    case 3:
      self = .configureTopic(topicId: try reader.uuid(), try LogConfig(from: &reader))
    case 4:
      self = .append(
        token: try reader.integer(), slot: try reader.integer(), generation: try reader.integer(),
        acks: try reader.integer(), batches: try reader.byteString())
    case 5: self = .openSegment(try SegmentQuery(from: &reader))
    case 6:
      self = .lookUpTimestamp(
        token: try reader.integer(), slot: try reader.integer(), generation: try reader.integer(),
        timestampMs: try reader.integer())
    case 7:
      self = .lookUpMaxTimestamp(
        token: try reader.integer(), slot: try reader.integer(), generation: try reader.integer())
    case 8: self = .reportStatistics(busiest: try reader.busiest())
    case 9:
      self = .deleteRecords(
        token: try reader.integer(),
        try reader.list(minimumSize: RecordsToDelete.size) { reader throws(MessageError) in
          try RecordsToDelete(from: &reader)
        })
    case 10: self = .configureBroker(try DynamicBrokerConfigs(from: &reader))
    case 11: self = .describeLogDirs(token: try reader.integer())
    default: throw MessageError("coordinator→logwriter has no message \(kind)")
    }
  }
}

extension LogWriterToCoordinator {
  public var kind: UInt16 {
    switch self {
    case .scoreboard: 1
    case .inventory: 2
    case .partitionsCreated: 3
    case .partitionsDeleted: 4
    case .appended: 5
    case .segment: 6
    case .segmentUnavailable: 7
    case .maxTimestamp: 8
    case .partitionChanged: 9
    case .statistics: 10
    case .recordsDeleted: 11
    case .logDirs: 12
    }
  }

  public var descriptorCount: Int {
    switch self {
    case .scoreboard: 1
    case .segment(let segment): segment.descriptorCount
    default: 0
    }
  }

  public func encode(into writer: inout MessageWriter) {
    func put(_ states: [PartitionState], _ writer: inout MessageWriter) {
      writer.put(list: states) { state, writer in state.encode(into: &writer) }
    }
    switch self {
    case .scoreboard(let clusterId): writer.put(clusterId)
    case .inventory(let states, let isLast):
      put(states, &writer)
      writer.put(isLast)
    case .partitionsCreated(let token, let states), .partitionsDeleted(let token, let states):
      writer.put(token)
      put(states, &writer)
    case .appended(let token, let entry):
      writer.put(token)
      writer.put(entry.error.rawValue)
      writer.put(entry.baseOffset)
      writer.put(entry.logAppendTimeMs)
      writer.put(entry.logStartOffset)
    case .segment(let segment): segment.encode(into: &writer)
    case .segmentUnavailable(let refusal): refusal.encode(into: &writer)
    case .maxTimestamp(let token, let error, let offset, let timestampMs):
      writer.put(token)
      writer.put(error.rawValue)
      writer.put(offset)
      writer.put(timestampMs)
    case .partitionChanged(let state): state.encode(into: &writer)
    case .statistics(let processes):
      writer.put(list: processes) { process, writer in process.encode(into: &writer) }
    case .recordsDeleted(let token, let answers):
      writer.put(token)
      writer.put(list: answers) { answer, writer in answer.encode(into: &writer) }
    case .logDirs(let token, let directories):
      writer.put(token)
      writer.put(list: directories) { directory, writer in directory.encode(into: &writer) }
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    func states(_ reader: inout MessageReader) throws(MessageError) -> [PartitionState] {
      try reader.list(minimumSize: PartitionState.minimumSize) { reader throws(MessageError) in
        try PartitionState(from: &reader)
      }
    }
    switch kind {
    case 1: self = .scoreboard(clusterId: try reader.string())
    case 2: self = .inventory(try states(&reader), isLast: try reader.bool())
    case 3: self = .partitionsCreated(token: try reader.integer(), try states(&reader))
    case 4: self = .partitionsDeleted(token: try reader.integer(), try states(&reader))
    case 5:
      let token = try reader.integer(UInt64.self)
      self = .appended(
        token: token,
        AppendedEntry(
          cookie: token, error: ErrorCode(rawValue: try reader.integer()),
          baseOffset: try reader.integer(), logAppendTimeMs: try reader.integer(),
          logStartOffset: try reader.integer()))
    case 6: self = .segment(try SegmentDescription(from: &reader))
    case 7: self = .segmentUnavailable(try SegmentRefusal(from: &reader))
    case 8:
      self = .maxTimestamp(
        token: try reader.integer(), error: ErrorCode(rawValue: try reader.integer()),
        offset: try reader.integer(), timestampMs: try reader.integer())
    case 9: self = .partitionChanged(try PartitionState(from: &reader))
    case 10:
      self = .statistics(
        try reader.list(minimumSize: ProcessStatistics.minimumSize) { reader throws(MessageError) in
          try ProcessStatistics(from: &reader)
        })
    case 11:
      self = .recordsDeleted(
        token: try reader.integer(),
        try reader.list(minimumSize: RecordsDeleted.size) { reader throws(MessageError) in
          try RecordsDeleted(from: &reader)
        })
    case 12:
      self = .logDirs(
        token: try reader.integer(),
        try reader.list(minimumSize: LogDirState.minimumSize) { reader throws(MessageError) in
          try LogDirState(from: &reader)
        })
    default: throw MessageError("logwriter→coordinator has no message \(kind)")
    }
  }
}

extension LogConfig {
  func encode(into writer: inout MessageWriter) {
    writer.put(segmentBytes)
    writer.put(segmentMs)
    writer.put(segmentJitterMs)
    writer.put(segmentIndexBytes)
    writer.put(indexIntervalBytes)
    writer.put(maxMessageBytes)
    writer.put(logAppendTime)
    writer.put(timestampBeforeMaxMs)
    writer.put(timestampAfterMaxMs)
    writer.put(deletes)
    writer.put(compacts)
    writer.put(retentionMs)
    writer.put(retentionBytes)
    writer.put(fileDeleteDelayMs)
    writer.put(minCleanableDirtyRatio.bitPattern)
    writer.put(minCompactionLagMs)
    writer.put(maxCompactionLagMs)
    writer.put(deleteRetentionMs)
    writer.put(flushMessages)
    writer.put(flushMs)
    writer.put(acksAllDurable)
    writer.put(preallocate)
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init()
    segmentBytes = try reader.integer()
    segmentMs = try reader.integer()
    segmentJitterMs = try reader.integer()
    segmentIndexBytes = try reader.integer()
    indexIntervalBytes = try reader.integer()
    maxMessageBytes = try reader.integer()
    logAppendTime = try reader.bool()
    timestampBeforeMaxMs = try reader.integer()
    timestampAfterMaxMs = try reader.integer()
    deletes = try reader.bool()
    compacts = try reader.bool()
    retentionMs = try reader.integer()
    retentionBytes = try reader.integer()
    fileDeleteDelayMs = try reader.integer()
    minCleanableDirtyRatio = Double(bitPattern: try reader.integer())
    guard (0...1).contains(minCleanableDirtyRatio) else {
      throw MessageError("a ratio is from 0 to 1, not \(minCleanableDirtyRatio)")
    }
    minCompactionLagMs = try reader.integer()
    maxCompactionLagMs = try reader.integer()
    deleteRetentionMs = try reader.integer()
    flushMessages = try reader.integer()
    flushMs = try reader.integer()
    acksAllDurable = try reader.bool()
    preallocate = try reader.bool()
  }
}
