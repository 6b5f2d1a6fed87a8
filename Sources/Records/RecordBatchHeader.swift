// The fixed part of a record batch: what storage, fetch and produce decide by. Records themselves
// are not looked at here. The bytes may come from a file, a socket or shared memory; parsing only
// reads them, once each, and checks nothing but their number. `RecordBatchValidator` judges a
// producer's batch, recovery uses `isPlausible` and `checksumMatches`.

import Model

/// The header of a record batch, format version 2 (Kafka's `DefaultRecordBatch`, KIP-98).
///
/// The same bytes travel on the wire and lie in segment files. All integers are big-endian.
///
/// ```
/// offset size field
///      0    8 baseOffset            offset of the first record; set by the log, not in the CRC
///      8    4 batchLength           bytes that follow this field: whole size - 12
///     12    4 partitionLeaderEpoch  set by the log, not in the CRC
///     16    1 magic                 2; older formats have their version byte at this place too
///     17    4 crc                   CRC-32C of everything from `attributes` to the batch's end
///     21    2 attributes            see RecordBatchAttributes
///     23    4 lastOffsetDelta       last offset - baseOffset; kept by compaction
///     27    8 baseTimestamp         ms since 1970 of the first record, or the delete horizon
///     35    8 maxTimestamp          greatest timestamp, or the append time (LogAppendTime)
///     43    8 producerId            -1 without idempotence
///     51    2 producerEpoch         -1 without idempotence
///     53    4 baseSequence          sequence of the first record, -1 without idempotence
///     57    4 recordCount           records in the batch; 0 after compaction emptied it
///     61      records               compressed as one block unless compression is none
/// ```
///
/// After a crash a file may end in part of a batch, or in bytes that were never written: the CRC
/// and the length decide, and everything from the first batch that fails is cut.
public struct RecordBatchHeader: Hashable, Sendable {
  /// Bytes of the header; no batch is shorter.
  public static let size = 61
  /// Bytes before and including `batchLength`, which that field does not count.
  public static let logOverhead = 12
  /// The only format version that is stored.
  public static let currentMagic: Int8 = 2
  public static let noProducerId: Int64 = -1
  public static let noProducerEpoch: Int16 = -1
  public static let noSequence: Int32 = -1
  public static let noPartitionLeaderEpoch: Int32 = -1
  /// The timestamp of a record that has none.
  public static let noTimestamp: Int64 = -1

  public var baseOffset: Int64
  public var batchLength: Int32
  public var partitionLeaderEpoch: Int32
  public var magic: Int8
  public var crc: UInt32
  public var attributes: RecordBatchAttributes
  public var lastOffsetDelta: Int32
  public var baseTimestamp: Int64
  public var maxTimestamp: Int64
  public var producerId: Int64
  public var producerEpoch: Int16
  public var baseSequence: Int32
  public var recordCount: Int32

  /// Reads the header at the start of `bytes`, or nil when there are fewer than 61. Any values are
  /// taken as they are: nothing here is trusted yet.
  @inlinable
  public init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.size else { return nil }
    baseOffset = bytes.bigEndian(at: Field.baseOffset)
    batchLength = bytes.bigEndian(at: Field.batchLength)
    partitionLeaderEpoch = bytes.bigEndian(at: Field.partitionLeaderEpoch)
    magic = bytes.bigEndian(at: Field.magic)
    crc = bytes.bigEndian(at: Field.crc)
    attributes = RecordBatchAttributes(rawValue: bytes.bigEndian(at: Field.attributes))
    lastOffsetDelta = bytes.bigEndian(at: Field.lastOffsetDelta)
    baseTimestamp = bytes.bigEndian(at: Field.baseTimestamp)
    maxTimestamp = bytes.bigEndian(at: Field.maxTimestamp)
    producerId = bytes.bigEndian(at: Field.producerId)
    producerEpoch = bytes.bigEndian(at: Field.producerEpoch)
    baseSequence = bytes.bigEndian(at: Field.baseSequence)
    recordCount = bytes.bigEndian(at: Field.recordCount)
  }

  /// The header of a new batch without idempotence; length and CRC are still to be filled in.
  public init(
    baseOffset: Int64 = 0, attributes: RecordBatchAttributes = .init(), lastOffsetDelta: Int32,
    baseTimestamp: Int64, maxTimestamp: Int64, recordCount: Int32
  ) {
    self.baseOffset = baseOffset
    batchLength = Int32(Self.size - Self.logOverhead)
    partitionLeaderEpoch = Self.noPartitionLeaderEpoch
    magic = Self.currentMagic
    crc = 0
    self.attributes = attributes
    self.lastOffsetDelta = lastOffsetDelta
    self.baseTimestamp = baseTimestamp
    self.maxTimestamp = maxTimestamp
    producerId = Self.noProducerId
    producerEpoch = Self.noProducerEpoch
    baseSequence = Self.noSequence
    self.recordCount = recordCount
  }

  /// Where each field begins.
  public enum Field {
    public static let baseOffset = 0
    public static let batchLength = 8
    public static let partitionLeaderEpoch = 12
    public static let magic = 16
    public static let crc = 17
    public static let attributes = 21
    public static let lastOffsetDelta = 23
    public static let baseTimestamp = 27
    public static let maxTimestamp = 35
    public static let producerId = 43
    public static let producerEpoch = 51
    public static let baseSequence = 53
    public static let recordCount = 57
  }
}

extension RecordBatchHeader {
  /// Bytes of the whole batch. Meaningful when `batchLength` is at least 49; never overflows.
  @inlinable public var sizeInBytes: Int { Int(batchLength) + Self.logOverhead }

  /// Bytes after the header.
  @inlinable public var recordsSizeInBytes: Int { sizeInBytes - Self.size }

  /// The offset of the last record; wraps instead of trapping on nonsense.
  @inlinable public var lastOffset: Int64 { baseOffset &+ Int64(lastOffsetDelta) }

  /// The offset that the batch after this one begins with.
  @inlinable public var nextOffset: Int64 { lastOffset &+ 1 }

  @inlinable public var compression: CompressionType? { attributes.compression }
  @inlinable public var timestampType: TimestampType { attributes.timestampType }
  @inlinable public var isLogAppendTime: Bool { attributes.timestampType == .logAppendTime }
  @inlinable public var isTransactional: Bool { attributes.isTransactional }
  @inlinable public var isControlBatch: Bool { attributes.isControlBatch }
  @inlinable public var hasProducerId: Bool { producerId > Self.noProducerId }

  /// When tombstones and markers of this batch may be removed, if compaction has set it.
  @inlinable public var deleteHorizonMs: Int64? {
    attributes.hasDeleteHorizon ? baseTimestamp : nil
  }

  /// The sequence number of the last record, wrapping from Int32.max to 0 as producers do; -1
  /// without idempotence.
  public var lastSequence: Int32 {
    guard baseSequence >= 0 else { return Self.noSequence }
    return Self.sequence(baseSequence, advancedBy: lastOffsetDelta)
  }

  /// The sequence number `delta` records after `sequence`; `delta` is not negative.
  public static func sequence(_ sequence: Int32, advancedBy delta: Int32) -> Int32 {
    sequence > Int32.max - delta ? delta - (Int32.max - sequence) - 1 : sequence + delta
  }

  /// Whether this can be the header of a batch in a segment: format 2, a length that holds the
  /// header, offsets that do not run backwards. The CRC decides the rest.
  public var isPlausible: Bool {
    magic == Self.currentMagic && sizeInBytes >= Self.size && baseOffset >= 0
      && lastOffsetDelta >= 0 && lastOffset >= baseOffset && recordCount >= 0
  }
}

extension UnsafeRawBufferPointer {
  /// The big-endian integer at `offset`, which the caller has checked to be in bounds.
  @inlinable @inline(__always)
  func bigEndian<T: FixedWidthInteger>(at offset: Int) -> T {
    T(bigEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
  }
}
