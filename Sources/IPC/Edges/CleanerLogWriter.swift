// cleaner → logwriter: compaction of one partition at a time.
//
// A cleaner that is connected and has no order is free. The logwriter gives it an order (`clean`);
// the cleaner asks for the segments it wants to read and for a file to write, and says when a file
// is to take the place of which segments. The logwriter looks at the file, links it in, and answers
// `replaced`. An order ends with `cleaned` or `failed` by the cleaner or with `cancel` by the
// logwriter; what still comes about an order that has ended is ignored.

import Model

public enum CleanerToLogWriter: Message {
  /// Asks for a segment of the order to read.
  case openSegment(token: UInt64, baseOffset: Int64)
  /// Asks for a file to write a segment with this base offset. The one before is given up.
  case openOutput(token: UInt64, baseOffset: Int64)
  /// The file takes the place of segments.
  case replace(CleanedSegment)
  /// The order is carried out: everything below `endOffset` is clean.
  case cleaned(token: UInt64, endOffset: Int64, CleaningReport)
  /// It cannot be carried out; the log is as far as the last `replaced`. One line for people.
  case failed(token: UInt64, reason: String)
  case statistics(ProcessStatistics)
}

public enum LogWriterToCleaner: Message {
  case clean(CleaningOrder)
  /// (1 descriptor: the segment's .log, to read)
  case segment(token: UInt64, baseOffset: Int64)
  /// (1 descriptor: an empty file without a name, to write)
  case output(token: UInt64, baseOffset: Int64)
  case replaced(token: UInt64, baseOffset: Int64)
  /// The order is void: the partition has changed or is gone.
  case cancel(token: UInt64)
  case reportStatistics
  /// What was set at run time, all of it: passed on from the coordinator, before the first order and
  /// whenever it changes.
  case configureBroker(DynamicBrokerConfigs)
}

/// What to clean and how. Offsets from `firstDirtyOffset` to below `endOffset` go into the map of
/// keys, as far as it reaches; every segment below where it ends is cleaned.
public struct CleaningOrder: Equatable, Sendable {
  public var token: UInt64
  public var topic: String
  public var partition: Int32
  public var firstDirtyOffset: Int64
  /// Base offset of the first segment that is not cleaned.
  public var endOffset: Int64
  /// The time by which tombstones and markers are judged, ms since 1970.
  public var nowMs: Int64
  public var deleteRetentionMs: Int64
  public var maxMessageBytes: Int32
  /// Segments are grouped into one as long as it has at most this many bytes of log and of index.
  public var segmentBytes: Int32
  public var segmentIndexBytes: Int32
  /// All segments below `endOffset`, ascending.
  public var segments: [SegmentToClean]
  /// The last data of each producer, which is kept so that its state survives.
  public var producers: [ProducerLastRecord]
  /// Aborted transactions, by first offset.
  public var abortedTransactions: [AbortedTransaction]

  public init(
    token: UInt64, topic: String, partition: Int32, firstDirtyOffset: Int64, endOffset: Int64,
    nowMs: Int64, deleteRetentionMs: Int64, maxMessageBytes: Int32, segmentBytes: Int32,
    segmentIndexBytes: Int32, segments: [SegmentToClean], producers: [ProducerLastRecord],
    abortedTransactions: [AbortedTransaction]
  ) {
    self.token = token
    self.topic = topic
    self.partition = partition
    self.firstDirtyOffset = firstDirtyOffset
    self.endOffset = endOffset
    self.nowMs = nowMs
    self.deleteRetentionMs = deleteRetentionMs
    self.maxMessageBytes = maxMessageBytes
    self.segmentBytes = segmentBytes
    self.segmentIndexBytes = segmentIndexBytes
    self.segments = segments
    self.producers = producers
    self.abortedTransactions = abortedTransactions
  }
}

/// A closed segment: its base offset and the bytes of its log and indexes.
public struct SegmentToClean: Equatable, Sendable {
  public var baseOffset: Int64
  public var size: Int64
  public var indexSize: Int64
  public var timeIndexSize: Int64

  public init(baseOffset: Int64, size: Int64, indexSize: Int64, timeIndexSize: Int64) {
    self.baseOffset = baseOffset
    self.size = size
    self.indexSize = indexSize
    self.timeIndexSize = timeIndexSize
  }
}

/// The last record of a producer; -1 when only a marker is known of it.
public struct ProducerLastRecord: Equatable, Sendable {
  public var producerId: Int64
  public var producerEpoch: Int16
  public var lastDataOffset: Int64

  public init(producerId: Int64, producerEpoch: Int16, lastDataOffset: Int64) {
    self.producerId = producerId
    self.producerEpoch = producerEpoch
    self.lastDataOffset = lastDataOffset
  }
}

/// A file that is to take the place of the segments from `baseOffset` to `lastBaseOffset`.
public struct CleanedSegment: Equatable, Sendable {
  public var token: UInt64
  public var baseOffset: Int64
  /// Base offset of the last segment that goes.
  public var lastBaseOffset: Int64
  /// Bytes of the file.
  public var size: Int64
  /// Aborted transactions of which batches are left, for the transaction index.
  public var abortedTransactions: [AbortedTransaction]

  public init(
    token: UInt64, baseOffset: Int64, lastBaseOffset: Int64, size: Int64,
    abortedTransactions: [AbortedTransaction]
  ) {
    self.token = token
    self.baseOffset = baseOffset
    self.lastBaseOffset = lastBaseOffset
    self.size = size
    self.abortedTransactions = abortedTransactions
  }
}

/// What an order came to.
public struct CleaningReport: Equatable, Sendable {
  public var recordsRead: UInt64
  public var recordsKept: UInt64
  public var bytesRead: UInt64
  public var bytesWritten: UInt64

  public init(
    recordsRead: UInt64 = 0, recordsKept: UInt64 = 0, bytesRead: UInt64 = 0,
    bytesWritten: UInt64 = 0
  ) {
    self.recordsRead = recordsRead
    self.recordsKept = recordsKept
    self.bytesRead = bytesRead
    self.bytesWritten = bytesWritten
  }
}

extension AbortedTransaction {
  static let encodedSize = 32

  func encode(into writer: inout MessageWriter) {
    writer.put(producerId)
    writer.put(firstOffset)
    writer.put(lastOffset)
    writer.put(lastStableOffset)
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init(
      producerId: try reader.integer(), firstOffset: try reader.integer(),
      lastOffset: try reader.integer(), lastStableOffset: try reader.integer())
  }

  static func list(from reader: inout MessageReader) throws(MessageError) -> [AbortedTransaction] {
    try reader.list(minimumSize: encodedSize) { reader throws(MessageError) in
      try AbortedTransaction(from: &reader)
    }
  }
}

extension CleaningOrder {
  func encode(into writer: inout MessageWriter) {
    writer.put(token)
    writer.put(topic)
    writer.put(partition)
    writer.put(firstDirtyOffset)
    writer.put(endOffset)
    writer.put(nowMs)
    writer.put(deleteRetentionMs)
    writer.put(maxMessageBytes)
    writer.put(segmentBytes)
    writer.put(segmentIndexBytes)
    writer.put(list: segments) { segment, writer in
      writer.put(segment.baseOffset)
      writer.put(segment.size)
      writer.put(segment.indexSize)
      writer.put(segment.timeIndexSize)
    }
    writer.put(list: producers) { producer, writer in
      writer.put(producer.producerId)
      writer.put(producer.producerEpoch)
      writer.put(producer.lastDataOffset)
    }
    writer.put(list: abortedTransactions) { aborted, writer in aborted.encode(into: &writer) }
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init(
      token: try reader.integer(), topic: try reader.string(), partition: try reader.integer(),
      firstDirtyOffset: try reader.integer(), endOffset: try reader.integer(),
      nowMs: try reader.integer(), deleteRetentionMs: try reader.integer(),
      maxMessageBytes: try reader.integer(), segmentBytes: try reader.integer(),
      segmentIndexBytes: try reader.integer(),
      segments: try reader.list(minimumSize: 32) { reader throws(MessageError) in
        SegmentToClean(
          baseOffset: try reader.integer(), size: try reader.integer(),
          indexSize: try reader.integer(), timeIndexSize: try reader.integer())
      },
      producers: try reader.list(minimumSize: 18) { reader throws(MessageError) in
        ProducerLastRecord(
          producerId: try reader.integer(), producerEpoch: try reader.integer(),
          lastDataOffset: try reader.integer())
      },
      abortedTransactions: try AbortedTransaction.list(from: &reader))
  }
}

extension CleanerToLogWriter {
  public var kind: UInt16 {
    switch self {
    case .openSegment: 1
    case .openOutput: 2
    case .replace: 3
    case .cleaned: 4
    case .failed: 5
    case .statistics: 6
    }
  }

  public var descriptorCount: Int { 0 }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .openSegment(let token, let baseOffset), .openOutput(let token, let baseOffset):
      writer.put(token)
      writer.put(baseOffset)
    case .replace(let cleaned):
      writer.put(cleaned.token)
      writer.put(cleaned.baseOffset)
      writer.put(cleaned.lastBaseOffset)
      writer.put(cleaned.size)
      writer.put(list: cleaned.abortedTransactions) { aborted, writer in
        aborted.encode(into: &writer)
      }
    case .cleaned(let token, let endOffset, let report):
      writer.put(token)
      writer.put(endOffset)
      writer.put(report.recordsRead)
      writer.put(report.recordsKept)
      writer.put(report.bytesRead)
      writer.put(report.bytesWritten)
    case .failed(let token, let reason):
      writer.put(token)
      writer.put(reason)
    case .statistics(let statistics): statistics.encode(into: &writer)
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    switch kind {
    case 1: self = .openSegment(token: try reader.integer(), baseOffset: try reader.integer())
    case 2: self = .openOutput(token: try reader.integer(), baseOffset: try reader.integer())
    case 3:
      self = .replace(
        CleanedSegment(
          token: try reader.integer(), baseOffset: try reader.integer(),
          lastBaseOffset: try reader.integer(), size: try reader.integer(),
          abortedTransactions: try AbortedTransaction.list(from: &reader)))
    case 4:
      self = .cleaned(
        token: try reader.integer(), endOffset: try reader.integer(),
        CleaningReport(
          recordsRead: try reader.integer(), recordsKept: try reader.integer(),
          bytesRead: try reader.integer(), bytesWritten: try reader.integer()))
    case 5: self = .failed(token: try reader.integer(), reason: try reader.string())
    case 6: self = .statistics(try ProcessStatistics(from: &reader))
    default: throw MessageError("cleaner→logwriter has no message \(kind)")
    }
  }
}

extension LogWriterToCleaner {
  public var kind: UInt16 {
    switch self {
    case .clean: 1
    case .segment: 2
    case .output: 3
    case .replaced: 4
    case .cancel: 5
    case .reportStatistics: 6
    case .configureBroker: 7
    }
  }

  public var descriptorCount: Int {
    switch self {
    case .segment, .output: 1
    case .clean, .replaced, .cancel, .reportStatistics, .configureBroker: 0
    }
  }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .clean(let order): order.encode(into: &writer)
    case .segment(let token, let baseOffset), .output(let token, let baseOffset),
      .replaced(let token, let baseOffset):
      writer.put(token)
      writer.put(baseOffset)
    case .cancel(let token): writer.put(token)
    case .reportStatistics: break
    case .configureBroker(let dynamic): dynamic.encode(into: &writer)
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    switch kind {
    case 1: self = .clean(try CleaningOrder(from: &reader))
    case 2: self = .segment(token: try reader.integer(), baseOffset: try reader.integer())
    case 3: self = .output(token: try reader.integer(), baseOffset: try reader.integer())
    case 4: self = .replaced(token: try reader.integer(), baseOffset: try reader.integer())
    case 5: self = .cancel(token: try reader.integer())
    case 6: self = .reportStatistics
    case 7: self = .configureBroker(try DynamicBrokerConfigs(from: &reader))
    default: throw MessageError("logwriter→cleaner has no message \(kind)")
    }
  }
}
