// fetcher → logwriter: segments to read from, and being told of new records.
//
// A fetcher that wants to hear of a partition marks it on its wait board, looks at the scoreboard
// once more, and sleeps. The logwriter publishes on the scoreboard, then takes the mark off the wait
// board, then sends `advanced`. With a full barrier on both sides no wake-up can be lost.

import Model

public enum FetcherToLogWriter: Message {
  /// The wait board: a memfd of `WaitBoard.byteCount` bytes, its size sealed. First message,
  /// exactly once. (1 descriptor)
  case attachWaitBoard
  /// Asks for the segment that holds `offset`.
  case openSegment(SegmentQuery)
}

public enum LogWriterToFetcher: Message {
  /// The scoreboard. First message, exactly once. (1 descriptor)
  case scoreboard
  /// (1 descriptor, the segment's .log; then .index and .txnindex, if they come along)
  case segment(SegmentDescription)
  case segmentUnavailable(SegmentRefusal)
  /// Marked slots whose scoreboard entry has changed; their marks are taken off.
  case advanced(slots: [UInt32])
  /// Segments that are deleted or replaced: whoever keeps them open keeps their room on the disk
  /// from being free. A response that is being sent is finished with what it has.
  case dropped([DroppedSegments])
}

/// A question for the segment that holds an offset.
public struct SegmentQuery: Equatable, Sendable {
  /// Comes back with the answer.
  public var token: UInt64
  public var slot: UInt32
  public var generation: UInt32
  public var offset: Int64

  public static let size = 24

  public init(token: UInt64, slot: UInt32, generation: UInt32, offset: Int64) {
    self.token = token
    self.slot = slot
    self.generation = generation
    self.offset = offset
  }

  func encode(into writer: inout MessageWriter) {
    writer.put(token)
    writer.put(slot)
    writer.put(generation)
    writer.put(offset)
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init(
      token: try reader.integer(), slot: try reader.integer(), generation: try reader.integer(),
      offset: try reader.integer())
  }
}

/// A segment, handed over with its descriptors.
public struct SegmentDescription: Equatable, Sendable {
  public var token: UInt64
  public var slot: UInt32
  public var generation: UInt32
  public var baseOffset: Int64
  /// Base offset of the segment after this one; `Int64.max` while this is the active one.
  public var nextBaseOffset: Int64
  /// Size of a closed segment in bytes; of the active one at this moment.
  public var size: Int64
  /// Position of a batch boundary at or before the batch that the query asked for.
  public var startPosition: Int64
  /// The segment's offset index comes along as second descriptor.
  public var carriesIndex: Bool
  public var transactions: SegmentTransactions

  public init(
    token: UInt64, slot: UInt32, generation: UInt32, baseOffset: Int64, nextBaseOffset: Int64,
    size: Int64, startPosition: Int64, carriesIndex: Bool,
    transactions: SegmentTransactions = .unknown
  ) {
    self.token = token
    self.slot = slot
    self.generation = generation
    self.baseOffset = baseOffset
    self.nextBaseOffset = nextBaseOffset
    self.size = size
    self.startPosition = startPosition
    self.carriesIndex = carriesIndex
    self.transactions = transactions
  }

  var descriptorCount: Int { 1 + (carriesIndex ? 1 : 0) + (transactions.carriesIndex ? 1 : 0) }

  func encode(into writer: inout MessageWriter) {
    writer.put(token)
    writer.put(slot)
    writer.put(generation)
    writer.put(baseOffset)
    writer.put(nextBaseOffset)
    writer.put(size)
    writer.put(startPosition)
    writer.put(carriesIndex)
    transactions.encode(into: &writer)
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init(
      token: try reader.integer(), slot: try reader.integer(), generation: try reader.integer(),
      baseOffset: try reader.integer(), nextBaseOffset: try reader.integer(),
      size: try reader.integer(), startPosition: try reader.integer(),
      carriesIndex: try reader.bool(), transactions: try SegmentTransactions(from: &reader))
  }
}

/// What the logwriter knows of the aborted transactions in and behind a segment. It holds for offsets
/// below `lastStableOffset` for ever, and for all as long as the scoreboard shows the same edition:
/// until then no index has grown.
public struct SegmentTransactions: Equatable, Sendable {
  /// The segment's transaction index comes along as last descriptor. Without it the segment has no
  /// marker of an aborted transaction.
  public var carriesIndex: Bool
  /// Base offset of the first segment behind this one that has a transaction index; `Int64.max`
  /// without one. Nobody need ask for the segments between.
  public var nextBaseOffset: Int64
  public var lastStableOffset: Int64
  /// As on the scoreboard.
  public var edition: UInt32

  /// For a reader that does not care.
  public static let unknown = SegmentTransactions(
    carriesIndex: false, nextBaseOffset: .max, lastStableOffset: -1, edition: 0)

  public init(
    carriesIndex: Bool, nextBaseOffset: Int64, lastStableOffset: Int64, edition: UInt32
  ) {
    self.carriesIndex = carriesIndex
    self.nextBaseOffset = nextBaseOffset
    self.lastStableOffset = lastStableOffset
    self.edition = edition
  }

  func encode(into writer: inout MessageWriter) {
    writer.put(carriesIndex)
    writer.put(nextBaseOffset)
    writer.put(lastStableOffset)
    writer.put(edition)
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init(
      carriesIndex: try reader.bool(), nextBaseOffset: try reader.integer(),
      lastStableOffset: try reader.integer(), edition: try reader.integer())
  }
}

/// Why there is no segment for a query.
public struct SegmentRefusal: Equatable, Sendable {
  public var token: UInt64
  public var slot: UInt32
  public var generation: UInt32
  /// OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION, KAFKA_STORAGE_ERROR.
  public var error: ErrorCode

  public init(token: UInt64, slot: UInt32, generation: UInt32, error: ErrorCode) {
    self.token = token
    self.slot = slot
    self.generation = generation
    self.error = error
  }

  func encode(into writer: inout MessageWriter) {
    writer.put(token)
    writer.put(slot)
    writer.put(generation)
    writer.put(error.rawValue)
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init(
      token: try reader.integer(), slot: try reader.integer(), generation: try reader.integer(),
      error: ErrorCode(rawValue: try reader.integer()))
  }
}

extension FetcherToLogWriter {
  public var kind: UInt16 {
    switch self {
    case .attachWaitBoard: 1
    case .openSegment: 2
    }
  }

  public var descriptorCount: Int { if case .attachWaitBoard = self { 1 } else { 0 } }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .attachWaitBoard: break
    case .openSegment(let query): query.encode(into: &writer)
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    switch kind {
    case 1: self = .attachWaitBoard
    case 2: self = .openSegment(try SegmentQuery(from: &reader))
    default: throw MessageError("fetcher→logwriter has no message \(kind)")
    }
  }
}

extension LogWriterToFetcher {
  public var kind: UInt16 {
    switch self {
    case .scoreboard: 1
    case .segment: 2
    case .segmentUnavailable: 3
    case .advanced: 4
    case .dropped: 5
    }
  }

  public var descriptorCount: Int {
    switch self {
    case .scoreboard: 1
    case .segment(let segment): segment.descriptorCount
    case .segmentUnavailable, .advanced, .dropped: 0
    }
  }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .scoreboard: break
    case .segment(let segment): segment.encode(into: &writer)
    case .segmentUnavailable(let refusal): refusal.encode(into: &writer)
    case .advanced(let slots): writer.put(list: slots) { slot, writer in writer.put(slot) }
    case .dropped(let segments):
      writer.put(list: segments) { segments, writer in segments.encode(into: &writer) }
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    switch kind {
    case 1: self = .scoreboard
    case 2: self = .segment(try SegmentDescription(from: &reader))
    case 3: self = .segmentUnavailable(try SegmentRefusal(from: &reader))
    case 4:
      self = .advanced(
        slots: try reader.list(minimumSize: 4) { reader throws(MessageError) in
          try reader.integer()
        })
    case 5:
      self = .dropped(
        try reader.list(minimumSize: DroppedSegments.size) { reader throws(MessageError) in
          try DroppedSegments(from: &reader)
        })
    default: throw MessageError("logwriter→fetcher has no message \(kind)")
    }
  }
}
