// Judges what a producer sent for one partition before anything of it is stored. Called for every
// batch on the produce path: it allocates nothing and reads the bytes once for the checksum and,
// if asked, once more for the records of an uncompressed batch.

import Model

/// Kafka's checks on the `records` field of a Produce request (version 3 and newer), in Kafka's
/// order: `ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords`, `LogValidator`.
///
/// - exactly one whole batch (INVALID_RECORD); part of a second one behind it is ignored, as Kafka
///   cuts it off, so store only `header.sizeInBytes` bytes;
/// - a length field below 14 or a format version that does not exist (CORRUPT_MESSAGE), format
///   version 0 or 1 (INVALID_RECORD);
/// - zstd only from version 7, no unassigned codec number (UNSUPPORTED_COMPRESSION_TYPE);
/// - base offset 0 (INVALID_RECORD), size within the limit (MESSAGE_TOO_LARGE), at least a header
///   and the right CRC-32C (CORRUPT_MESSAGE);
/// - a positive record count that equals lastOffsetDelta + 1, no control batch, a sequence number
///   when there is a producer id (INVALID_RECORD);
/// - the timestamp type is CreateTime, timestamps within the topic's bounds (INVALID_TIMESTAMP).
///
/// Records of an uncompressed batch, if `checksRecords`: every length, varint and header count, no
/// byte too few or too many, offset deltas 0, 1, 2 … (Kafka trusts those), a key where the topic
/// needs one, each timestamp. Records of a compressed batch are not looked at: of their timestamps
/// `baseTimestamp` and `maxTimestamp` are checked, keys are not. Whoever wants more has a codec open
/// the batch.
public enum RecordBatchValidator {
  /// The smallest record of format version 0, below which no length is plausible in any version.
  private static let lengthMin: Int32 = 14

  /// The header of the one batch in `records`, or why there is none to be stored. The `maxTimestamp`
  /// of an uncompressed batch is what its records say, whatever its header does.
  ///
  /// - Parameters:
  ///   - records: the field's bytes. May be shared memory that nobody writes meanwhile.
  ///   - rules: what the topic and the request's version ask for.
  ///   - nowMs: the time that timestamps are compared with.
  public static func validate(
    _ records: UnsafeRawBufferPointer, rules: ProduceRules, nowMs: Int64
  ) -> Result<RecordBatchHeader, RecordBatchRejection> {
    do throws(RecordBatchRejection) {
      guard let size = try sizeOfBatch(in: records) else { throw .noBatch }
      let batch = UnsafeRawBufferPointer(rebasing: records[..<size])
      var header = try checkedHeader(of: batch, followedBy: records, rules: rules)
      try checkCounts(header)
      try checkTimestamps(header, rules: rules, nowMs: nowMs)
      if rules.checksRecords, header.compression == CompressionType.none {
        header.maxTimestamp = try checkRecords(of: header, in: batch, rules: rules, nowMs: nowMs)
      }
      return .success(header)
    } catch {
      return .failure(error)
    }
  }

  /// The size of the batch or message set of any format version that `bytes` begin with, or nil
  /// when it is not whole.
  private static func sizeOfBatch(
    in bytes: UnsafeRawBufferPointer
  ) throws(RecordBatchRejection) -> Int? {
    guard bytes.count >= RecordBatchHeader.logOverhead else { return nil }
    let length: Int32 = bytes.bigEndian(at: RecordBatchHeader.Field.batchLength)
    guard length >= lengthMin else { throw .lengthTooSmall(length) }
    guard bytes.count > RecordBatchHeader.Field.magic else { return nil }
    let magic: Int8 = bytes.bigEndian(at: RecordBatchHeader.Field.magic)
    guard (0...RecordBatchHeader.currentMagic).contains(magic) else { throw .unknownMagic(magic) }
    let size = Int(length) + RecordBatchHeader.logOverhead
    return size <= bytes.count ? size : nil
  }

  private static func checkedHeader(
    of batch: UnsafeRawBufferPointer, followedBy records: UnsafeRawBufferPointer,
    rules: ProduceRules
  ) throws(RecordBatchRejection) -> RecordBatchHeader {
    let magic: Int8 = batch.bigEndian(at: RecordBatchHeader.Field.magic)
    guard magic == RecordBatchHeader.currentMagic else { throw .oldMagic(magic) }
    guard let header = RecordBatchHeader(batch) else { throw .corrupt(storedCRC: 0) }
    if header.compression == .zstd, rules.produceVersion < 7 {
      throw .zstdTooOld(produceVersion: rules.produceVersion)
    }
    if batch.count < records.count {
      let rest = UnsafeRawBufferPointer(rebasing: records[batch.count...])
      if try sizeOfBatch(in: rest) != nil { throw .severalBatches }
    }
    guard header.baseOffset == 0 else { throw .baseOffsetNotZero(header.baseOffset) }
    guard batch.count <= rules.maxMessageBytes else {
      throw .tooLarge(size: batch.count, limit: rules.maxMessageBytes)
    }
    guard header.checksumMatches(batch) else { throw .corrupt(storedCRC: header.crc) }
    return header
  }

  private static func checkCounts(_ header: RecordBatchHeader) throws(RecordBatchRejection) {
    guard header.compression != nil else {
      throw .unknownCompression(UInt8(truncatingIfNeeded: header.attributes.rawValue & 0b111))
    }
    let delta = header.lastOffsetDelta
    guard delta >= 0 else { throw .offsetRange(lastOffsetDelta: delta) }
    guard header.recordCount > 0 else { throw .recordCount(header.recordCount) }
    guard Int(header.recordCount) == Int(delta) + 1 else {
      throw .inconsistentCount(lastOffsetDelta: delta, recordCount: header.recordCount)
    }
    guard !header.isControlBatch else { throw .controlBatch }
    guard !header.hasProducerId || header.baseSequence >= 0 else {
      throw .sequence(header.baseSequence, producerId: header.producerId)
    }
  }

  private static func checkTimestamps(
    _ header: RecordBatchHeader, rules: ProduceRules, nowMs: Int64
  ) throws(RecordBatchRejection) {
    guard !header.isLogAppendTime else { throw .logAppendTime }
    guard rules.accepts(timestamp: header.baseTimestamp, nowMs: nowMs) else {
      throw .timestamp(header.baseTimestamp, index: nil)
    }
    guard rules.accepts(timestamp: header.maxTimestamp, nowMs: nowMs) else {
      throw .timestamp(header.maxTimestamp, index: nil)
    }
  }

  private static func checkRecords(
    of header: RecordBatchHeader, in batch: UnsafeRawBufferPointer, rules: ProduceRules,
    nowMs: Int64
  ) throws(RecordBatchRejection) -> Int64 {
    var index: Int32 = 0
    var maxTimestamp = RecordBatchHeader.noTimestamp
    var records: RecordIterator
    do throws(RecordFormatError) {
      let payload = UnsafeRawBufferPointer(rebasing: batch[RecordBatchHeader.size...])
      records = try RecordIterator(header: header, records: payload)
    } catch {
      throw .record(error, index: 0)
    }
    while true {
      let next: RecordView?
      do throws(RecordFormatError) { next = try records.next() } catch {
        throw .record(error, index: index)
      }
      guard let record = next else { return maxTimestamp }
      guard record.offsetDelta == index else {
        throw .offsetDelta(record.offsetDelta, index: index)
      }
      guard !rules.requiresKeys || record.key != nil else { throw .noKey(index: index) }
      let timestamp = header.timestamp(of: record)
      guard rules.accepts(timestamp: timestamp, nowMs: nowMs) else {
        throw .timestamp(timestamp, index: index)
      }
      maxTimestamp = max(maxTimestamp, timestamp)
      index += 1
    }
  }
}
