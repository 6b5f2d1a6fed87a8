// The 16 attribute bits of a record batch (KIP-98, KIP-32, KIP-534).

import Model

/// A record batch's attributes.
///
/// ```
/// bits 0–2  compression: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd; 5 to 7 are not assigned
/// bit  3    timestamp type: 0 CreateTime, 1 LogAppendTime
/// bit  4    transactional
/// bit  5    control batch (transaction markers)
/// bit  6    baseTimestamp is a delete horizon (set by compaction only)
/// bits 7–15 not assigned
/// ```
public struct RecordBatchAttributes: RawRepresentable, Hashable, Sendable {
  public var rawValue: Int16
  public init(rawValue: Int16) { self.rawValue = rawValue }

  /// Attributes with each flag given.
  public init(
    compression: CompressionType = .none, timestampType: TimestampType = .createTime,
    isTransactional: Bool = false, isControlBatch: Bool = false
  ) {
    rawValue = Int16(compression.rawValue)
    self.timestampType = timestampType
    self.isTransactional = isTransactional
    self.isControlBatch = isControlBatch
  }

  /// The codec, or nil when the three bits hold a number that Kafka has not assigned.
  @inlinable public var compression: CompressionType? {
    CompressionType(rawValue: UInt8(truncatingIfNeeded: rawValue & 0b111))
  }

  /// The same attributes with another codec.
  public func compressed(as type: CompressionType) -> RecordBatchAttributes {
    RecordBatchAttributes(rawValue: (rawValue & ~0b111) | Int16(type.rawValue))
  }

  @inlinable public var timestampType: TimestampType {
    get { self[3] ? .logAppendTime : .createTime }
    set { self[3] = newValue == .logAppendTime }
  }

  @inlinable public var isTransactional: Bool {
    get { self[4] }
    set { self[4] = newValue }
  }

  @inlinable public var isControlBatch: Bool {
    get { self[5] }
    set { self[5] = newValue }
  }

  /// Whether `baseTimestamp` is the time after which tombstones and markers may be removed.
  @inlinable public var hasDeleteHorizon: Bool {
    get { self[6] }
    set { self[6] = newValue }
  }

  @usableFromInline subscript(bit: Int16) -> Bool {
    get { rawValue & (1 << bit) != 0 }
    set { rawValue = newValue ? rawValue | (1 << bit) : rawValue & ~(1 << bit) }
  }
}
