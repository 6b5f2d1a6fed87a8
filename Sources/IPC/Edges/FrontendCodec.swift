// frontend → codec: batches to be opened.
//
// The frontend first hands over its slab, which the codec maps for reading. After that it names
// batches in it and must not touch their bytes until the answer is there. The codec knows nothing
// of topics: an entry says what to check and what to make of the records.
//
// Answers come in the order of the entries. Recompressed records travel in the answer itself: in the
// datagram while they are small, as a sealed memfd when they are large (decision 0009).

import Model

public enum FrontendToCodec: Message {
  /// The slab: a memfd of `size` bytes, its size sealed. First message, exactly once. (1 descriptor)
  case attachSlab(size: UInt64)
  /// Batches to open.
  case open([OpenEntry])
  case reportStatistics
}

public enum CodecToFrontend: Message {
  /// Answers, one for each `OpenEntry`, in the order of the entries.
  case opened([OpenedEntry])
  /// Answer to `reportStatistics`.
  case statistics(ProcessStatistics)
}

/// One record batch to be looked into, as it lies in the slab. Its header and checksum are right.
public struct OpenEntry: Equatable, Sendable {
  /// Whatever the frontend wants to find its batch again; comes back unchanged.
  public var cookie: UInt64
  /// Where the batch begins in the slab, and its length, in bytes.
  public var offset: UInt64
  public var length: UInt32
  /// What the records are to be compressed with; nil: they stay as they are and are only checked.
  public var target: CompressionType?
  /// The target's level; nil is the codec's default.
  public var level: Int32?
  /// Every record must have a key.
  public var requiresKeys: Bool
  /// Timestamps must lie in this range, ms since 1970; -1 (none) always may be.
  public var timestampMin: Int64
  public var timestampMax: Int64
  /// The most bytes that the records may have when they are decompressed.
  public var decompressedMax: UInt32
  /// The most bytes that the whole batch may have when it is recompressed.
  public var batchMax: UInt32

  static let size = 8 + 8 + 4 + 1 + 5 + 1 + 8 + 8 + 4 + 4

  public init(
    cookie: UInt64, offset: UInt64, length: UInt32, target: CompressionType? = nil,
    level: Int32? = nil, requiresKeys: Bool = false, timestampMin: Int64 = .min,
    timestampMax: Int64 = .max, decompressedMax: UInt32, batchMax: UInt32
  ) {
    self.cookie = cookie
    self.offset = offset
    self.length = length
    self.target = target
    self.level = level
    self.requiresKeys = requiresKeys
    self.timestampMin = timestampMin
    self.timestampMax = timestampMax
    self.decompressedMax = decompressedMax
    self.batchMax = batchMax
  }
}

/// What became of one `OpenEntry`.
public struct OpenedEntry: Equatable, Sendable {
  public enum Verdict: UInt8, Sendable {
    /// Nothing is wrong with the records.
    case sound = 0
    /// The bytes cannot be decompressed.
    case corrupt = 1
    /// They decompress to more than `decompressedMax` bytes.
    case decompressedTooLarge = 2
    /// A record is malformed: `index` says which.
    case malformedRecord = 3
    /// Records have no key: `faults` says which.
    case noKey = 4
    /// Timestamps are out of range: `faults` says which, `detail` is the first one's.
    case timestamp = 5
    /// The recompressed batch has `detail` bytes, more than `batchMax`.
    case recompressedTooLarge = 6
  }

  public var cookie: UInt64
  public var verdict: Verdict
  /// A number that belongs to the verdict.
  public var detail: Int64
  /// The places in the batch of the records at fault, ascending, `faultsMax` of them at most.
  public var faults: [Int32]
  /// The greatest timestamp of a sound batch's records, or -1.
  public var maxTimestamp: Int64
  /// What is to follow the batch's header instead of what was there; nil: it stays.
  public var records: [UInt8]?

  public static let faultsMax = 1000
  static let minimumSize = 8 + 1 + 8 + 4 + 8 + 1

  public init(
    cookie: UInt64, verdict: Verdict, detail: Int64 = 0, faults: [Int32] = [],
    maxTimestamp: Int64 = -1, records: [UInt8]? = nil
  ) {
    self.cookie = cookie
    self.verdict = verdict
    self.detail = detail
    self.faults = faults
    self.maxTimestamp = maxTimestamp
    self.records = records
  }
}

/// The most entries that fit one datagram.
public enum OpenLimits {
  public static let entriesMax = 1024
}

extension FrontendToCodec {
  public var kind: UInt16 {
    switch self {
    case .attachSlab: 1
    case .open: 2
    case .reportStatistics: 3
    }
  }

  public var descriptorCount: Int { if case .attachSlab = self { 1 } else { 0 } }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .attachSlab(let size): writer.put(size)
    case .open(let entries): writer.put(list: entries) { $0.encode(into: &$1) }
    case .reportStatistics: break
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    switch kind {
    case 1: self = .attachSlab(size: try reader.integer())
    case 2:
      self = .open(
        try reader.list(minimumSize: OpenEntry.size) { reader throws(MessageError) in
          try OpenEntry(from: &reader)
        })
    case 3: self = .reportStatistics
    default: throw MessageError("frontend→codec has no message \(kind)")
    }
  }
}

extension CodecToFrontend {
  public var kind: UInt16 {
    switch self {
    case .opened: 1
    case .statistics: 2
    }
  }

  public var descriptorCount: Int { 0 }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .opened(let entries): writer.put(list: entries) { $0.encode(into: &$1) }
    case .statistics(let statistics): statistics.encode(into: &writer)
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    switch kind {
    case 1:
      self = .opened(
        try reader.list(minimumSize: OpenedEntry.minimumSize) { reader throws(MessageError) in
          try OpenedEntry(from: &reader)
        })
    case 2: self = .statistics(try ProcessStatistics(from: &reader))
    default: throw MessageError("codec→frontend has no message \(kind)")
    }
  }
}

extension OpenEntry {
  func encode(into writer: inout MessageWriter) {
    writer.put(cookie)
    writer.put(offset)
    writer.put(length)
    writer.put(target?.rawValue ?? .max)
    writer.put(level != nil)
    writer.put(level ?? 0)
    writer.put(requiresKeys)
    writer.put(timestampMin)
    writer.put(timestampMax)
    writer.put(decompressedMax)
    writer.put(batchMax)
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    cookie = try reader.integer()
    offset = try reader.integer()
    length = try reader.integer()
    target = try reader.compressionType()
    level = try reader.optionalLevel()
    requiresKeys = try reader.bool()
    timestampMin = try reader.integer()
    timestampMax = try reader.integer()
    decompressedMax = try reader.integer()
    batchMax = try reader.integer()
  }
}

extension OpenedEntry {
  func encode(into writer: inout MessageWriter) {
    writer.put(cookie)
    writer.put(verdict.rawValue)
    writer.put(detail)
    writer.put(list: faults) { $1.put($0) }
    writer.put(maxTimestamp)
    writer.put(records != nil)
    if let records { writer.put(bytes: records) }
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    cookie = try reader.integer()
    let number = try reader.integer(UInt8.self)
    guard let verdict = Verdict(rawValue: number) else {
      throw MessageError("there is no verdict \(number)")
    }
    self.verdict = verdict
    detail = try reader.integer()
    faults = try reader.list(minimumSize: 4) { reader throws(MessageError) in
      try reader.integer()
    }
    guard faults.count <= Self.faultsMax else {
      throw MessageError("\(faults.count) records at fault")
    }
    maxTimestamp = try reader.integer()
    records = try reader.bool() ? try reader.byteString() : nil
    guard records == nil || verdict == .sound else {
      throw MessageError("records of a batch that is not sound")
    }
  }
}

extension MessageReader {
  /// A codec, or nil for 255.
  mutating func compressionType() throws(MessageError) -> CompressionType? {
    let number = try integer(UInt8.self)
    if number == .max { return nil }
    guard let type = CompressionType(rawValue: number) else {
      throw MessageError("there is no codec \(number)")
    }
    return type
  }

  /// A level behind the flag that says whether there is one.
  mutating func optionalLevel() throws(MessageError) -> Int32? {
    let isSet = try bool()
    let level = try integer(Int32.self)
    guard isSet || level == 0 else { throw MessageError("a level that is not set is \(level)") }
    return isSet ? level : nil
  }
}
