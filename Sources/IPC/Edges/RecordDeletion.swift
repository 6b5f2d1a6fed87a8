// What is deleted of partitions: records that a client wants gone, and segments that are gone.

import Model

/// The first offset to keep of a partition.
public struct RecordsToDelete: Equatable, Sendable {
  public var slot: UInt32
  public var generation: UInt32
  /// -1 means the high watermark.
  public var beforeOffset: Int64

  public static let size = 16

  public init(slot: UInt32, generation: UInt32, beforeOffset: Int64) {
    self.slot = slot
    self.generation = generation
    self.beforeOffset = beforeOffset
  }

  func encode(into writer: inout MessageWriter) {
    writer.put(slot)
    writer.put(generation)
    writer.put(beforeOffset)
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init(
      slot: try reader.integer(), generation: try reader.integer(),
      beforeOffset: try reader.integer())
  }
}

/// What became of one `RecordsToDelete`.
public struct RecordsDeleted: Equatable, Sendable {
  public var error: ErrorCode
  /// The log start offset, or -1 with an error.
  public var lowWatermark: Int64

  public static let size = 10

  public init(error: ErrorCode, lowWatermark: Int64 = -1) {
    self.error = error
    self.lowWatermark = lowWatermark
  }

  func encode(into writer: inout MessageWriter) {
    writer.put(error.rawValue)
    writer.put(lowWatermark)
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init(
      error: ErrorCode(rawValue: try reader.integer()), lowWatermark: try reader.integer())
  }
}

/// Segments that are not part of a partition any more: those whose base offset is within the bounds.
public struct DroppedSegments: Equatable, Sendable {
  public var slot: UInt32
  public var generation: UInt32
  public var fromOffset: Int64
  /// The first offset beyond.
  public var toOffset: Int64

  public static let size = 24

  public init(slot: UInt32, generation: UInt32, fromOffset: Int64, toOffset: Int64) {
    self.slot = slot
    self.generation = generation
    self.fromOffset = fromOffset
    self.toOffset = toOffset
  }

  func encode(into writer: inout MessageWriter) {
    writer.put(slot)
    writer.put(generation)
    writer.put(fromOffset)
    writer.put(toOffset)
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init(
      slot: try reader.integer(), generation: try reader.integer(),
      fromOffset: try reader.integer(), toOffset: try reader.integer())
  }
}
