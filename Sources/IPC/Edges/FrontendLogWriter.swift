// frontend → logwriter: produce.
//
// The frontend first hands over its slab; the logwriter answers with the scoreboard. After that the
// frontend names batches in its slab, and must not touch those bytes until the answer is there. An
// answer comes when the batch is as safe as `acks` and the topic ask for: one that waits for the disk
// is overtaken by others.

import Model

public enum FrontendToLogWriter: Message {
  /// The slab: a memfd of `size` bytes, its size sealed. First message, exactly once. (1 descriptor)
  case attachSlab(size: UInt64)
  /// Batches to append, in order within each partition.
  case append([AppendEntry])
}

public enum LogWriterToFrontend: Message {
  /// The scoreboard. First message, exactly once. (1 descriptor)
  case scoreboard
  /// Answers, one for each `AppendEntry`, in any order; those to entries with acks=-1 of one
  /// partition in the order of these entries.
  case appended([AppendedEntry])
}

/// The `records` of one partition of one Produce request, as they lie in the slab.
public struct AppendEntry: Equatable, Sendable {
  /// Whatever the frontend wants to find its request again; comes back unchanged.
  public var cookie: UInt64
  public var slot: UInt32
  /// The slot's generation that the frontend knows: a partition deleted meanwhile is noticed.
  public var generation: UInt32
  /// Where the record batches begin in the slab, and their length, in bytes.
  public var offset: UInt64
  public var length: UInt32
  /// -1, 0 or 1 as in the request.
  public var acks: Int16

  public static let size = 30

  public init(
    cookie: UInt64, slot: UInt32, generation: UInt32, offset: UInt64, length: UInt32, acks: Int16
  ) {
    self.cookie = cookie
    self.slot = slot
    self.generation = generation
    self.offset = offset
    self.length = length
    self.acks = acks
  }
}

/// What became of one `AppendEntry`.
public struct AppendedEntry: Equatable, Sendable {
  public var cookie: UInt64
  public var error: ErrorCode
  /// Offset of the first record, or -1.
  public var baseOffset: Int64
  /// The broker's timestamp in ms for LogAppendTime topics, otherwise -1.
  public var logAppendTimeMs: Int64
  public var logStartOffset: Int64
  /// What the client may be told of a KAFKA_STORAGE_ERROR.
  public var trouble: StorageTrouble

  public static let size = 35

  public init(
    cookie: UInt64, error: ErrorCode, baseOffset: Int64 = -1, logAppendTimeMs: Int64 = -1,
    logStartOffset: Int64 = -1, trouble: StorageTrouble = .none
  ) {
    self.trouble = trouble
    self.cookie = cookie
    self.error = error
    self.baseOffset = baseOffset
    self.logAppendTimeMs = logAppendTimeMs
    self.logStartOffset = logStartOffset
  }
}

/// Why the storage takes no records.
public enum StorageTrouble: UInt8, Sendable, CaseIterable {
  case none = 0
  /// The log directory has less room than it is to keep; producers are refused until there is more.
  case lowOnSpace = 1
  /// The disk had no room for these records.
  case full = 2
  /// The partition, or its log directory, is offline.
  case offline = 3
}

/// The most entries that fit one datagram.
public enum AppendLimits {
  public static let entriesMax = 1024
}

extension FrontendToLogWriter {
  public var kind: UInt16 {
    switch self {
    case .attachSlab: 1
    case .append: 2
    }
  }

  public var descriptorCount: Int { if case .attachSlab = self { 1 } else { 0 } }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .attachSlab(let size): writer.put(size)
    case .append(let entries):
      writer.put(list: entries) { entry, writer in
        writer.put(entry.cookie)
        writer.put(entry.slot)
        writer.put(entry.generation)
        writer.put(entry.offset)
        writer.put(entry.length)
        writer.put(entry.acks)
      }
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    switch kind {
    case 1: self = .attachSlab(size: try reader.integer())
    case 2:
      self = .append(
        try reader.list(minimumSize: AppendEntry.size) { reader throws(MessageError) in
          AppendEntry(
            cookie: try reader.integer(), slot: try reader.integer(),
            generation: try reader.integer(), offset: try reader.integer(),
            length: try reader.integer(), acks: try reader.integer())
        })
    default: throw MessageError("frontend→logwriter has no message \(kind)")
    }
  }
}

extension LogWriterToFrontend {
  public var kind: UInt16 {
    switch self {
    case .scoreboard: 1
    case .appended: 2
    }
  }

  public var descriptorCount: Int { if case .scoreboard = self { 1 } else { 0 } }

  public func encode(into writer: inout MessageWriter) {
    switch self {
    case .scoreboard: break
    case .appended(let entries):
      writer.put(list: entries) { entry, writer in
        writer.put(entry.cookie)
        writer.put(entry.error.rawValue)
        writer.put(entry.baseOffset)
        writer.put(entry.logAppendTimeMs)
        writer.put(entry.logStartOffset)
        writer.put(entry.trouble.rawValue)
      }
    }
  }

  public init(kind: UInt16, from reader: inout MessageReader) throws(MessageError) {
    switch kind {
    case 1: self = .scoreboard
    case 2:
      self = .appended(
        try reader.list(minimumSize: AppendedEntry.size) { reader throws(MessageError) in
          let entry = AppendedEntry(
            cookie: try reader.integer(), error: ErrorCode(rawValue: try reader.integer()),
            baseOffset: try reader.integer(), logAppendTimeMs: try reader.integer(),
            logStartOffset: try reader.integer())
          return try entry.with(trouble: reader.integer())
        })
    default: throw MessageError("logwriter→frontend has no message \(kind)")
    }
  }
}

extension AppendedEntry {
  fileprivate func with(trouble code: UInt8) throws(MessageError) -> AppendedEntry {
    guard let trouble = StorageTrouble(rawValue: code) else {
      throw MessageError("no trouble of the storage has number \(code)")
    }
    var entry = self
    entry.trouble = trouble
    return entry
  }
}
