// Writing headers: a whole one, or the few fields that the log fills in when it appends a
// producer's batch. The log works on its own copy of the 61 bytes; the records stay where they are.

import Model

extension RecordBatchHeader {
  /// Writes the 61 bytes at the start of `bytes`, which must hold them.
  public func write(to bytes: UnsafeMutableRawBufferPointer) {
    precondition(bytes.count >= Self.size, "no room for a record batch header")
    bytes.setBigEndian(baseOffset, at: Field.baseOffset)
    bytes.setBigEndian(batchLength, at: Field.batchLength)
    bytes.setBigEndian(partitionLeaderEpoch, at: Field.partitionLeaderEpoch)
    bytes.setBigEndian(magic, at: Field.magic)
    bytes.setBigEndian(crc, at: Field.crc)
    bytes.setBigEndian(attributes.rawValue, at: Field.attributes)
    bytes.setBigEndian(lastOffsetDelta, at: Field.lastOffsetDelta)
    bytes.setBigEndian(baseTimestamp, at: Field.baseTimestamp)
    bytes.setBigEndian(maxTimestamp, at: Field.maxTimestamp)
    bytes.setBigEndian(producerId, at: Field.producerId)
    bytes.setBigEndian(producerEpoch, at: Field.producerEpoch)
    bytes.setBigEndian(baseSequence, at: Field.baseSequence)
    bytes.setBigEndian(recordCount, at: Field.recordCount)
  }

  /// Writes a whole batch into `bytes`, which has exactly its size: this header with the right
  /// length and CRC, and `records` behind it.
  public func writeBatch(records: [UInt8], to bytes: UnsafeMutableRawBufferPointer) {
    precondition(bytes.count == Self.size + records.count, "not the size of the batch")
    var header = self
    header.batchLength = Int32(bytes.count - Self.logOverhead)
    header.write(to: bytes)
    UnsafeMutableRawBufferPointer(rebasing: bytes[Self.size...]).copyBytes(from: records)
    let crc = Self.checksum(ofBatch: UnsafeRawBufferPointer(bytes))
    bytes.setBigEndian(crc, at: Field.crc)
  }

  /// Writes what the log assigns on append. Neither field is covered by the CRC.
  @inlinable
  public static func assign(
    baseOffset: Int64, partitionLeaderEpoch: Int32, in header: UnsafeMutableRawBufferPointer
  ) {
    precondition(header.count >= size, "not a whole record batch header")
    header.setBigEndian(baseOffset, at: Field.baseOffset)
    header.setBigEndian(partitionLeaderEpoch, at: Field.partitionLeaderEpoch)
  }

  /// Makes the batch one of LogAppendTime: sets the timestamp type and `maxTimestamp`, and corrects
  /// the CRC by calculation, so that the records are not read again. Right only when the CRC was.
  public static func assignLogAppendTime(
    _ timestampMs: Int64, in header: UnsafeMutableRawBufferPointer
  ) {
    assign(maxTimestamp: timestampMs, .logAppendTime, in: header)
  }

  /// Corrects the greatest timestamp, and the CRC by calculation. Right only when the CRC was.
  public static func assignMaxTimestamp(
    _ timestampMs: Int64, in header: UnsafeMutableRawBufferPointer
  ) {
    assign(maxTimestamp: timestampMs, nil, in: header)
  }

  private static func assign(
    maxTimestamp: Int64, _ type: TimestampType?, in header: UnsafeMutableRawBufferPointer
  ) {
    precondition(header.count >= size, "not a whole record batch header")
    guard var fields = RecordBatchHeader(UnsafeRawBufferPointer(header)) else { return }
    precondition(fields.sizeInBytes >= size, "a batch shorter than its header")
    let before = checksumOfFields(in: UnsafeRawBufferPointer(header))
    if let type { fields.attributes.timestampType = type }
    header.setBigEndian(fields.attributes.rawValue, at: Field.attributes)
    header.setBigEndian(maxTimestamp, at: Field.maxTimestamp)
    let after = checksumOfFields(in: UnsafeRawBufferPointer(header))
    let crc = CRC32C.replacing(
      fields.crc, prefix: before, by: after, followedBy: fields.recordsSizeInBytes)
    header.setBigEndian(crc, at: Field.crc)
  }

  /// The checksum of a whole batch as its header should have it.
  public static func checksum(ofBatch bytes: UnsafeRawBufferPointer) -> UInt32 {
    precondition(bytes.count >= size, "not a whole record batch")
    return CRC32C.checksum(UnsafeRawBufferPointer(rebasing: bytes[Field.attributes...]))
  }

  /// Whether `bytes`, exactly one batch, have the checksum that this header claims.
  public func checksumMatches(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.count >= Self.size && Self.checksum(ofBatch: bytes) == crc
  }

  private static func checksumOfFields(in header: UnsafeRawBufferPointer) -> UInt32 {
    CRC32C.checksum(UnsafeRawBufferPointer(rebasing: header[Field.attributes..<size]))
  }
}

extension UnsafeMutableRawBufferPointer {
  /// Stores `value` big-endian at `offset`, which the caller has checked to be in bounds.
  @inlinable @inline(__always)
  func setBigEndian<T: FixedWidthInteger>(_ value: T, at offset: Int) {
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: T.self)
  }
}
