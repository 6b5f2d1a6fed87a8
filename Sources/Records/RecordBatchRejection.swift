// Why a producer's batch was refused: the error code that Kafka gives, and Kafka's wording.

import Model

/// The reason for refusing a batch. Carries numbers only; the text is made when it is asked for.
public enum RecordBatchRejection: Error, Hashable, Sendable {
  /// There is no whole batch, or no bytes at all.
  case noBatch
  /// More than one batch for one partition.
  case severalBatches
  /// Format version 0 or 1.
  case oldMagic(Int8)
  /// A format version that does not exist.
  case unknownMagic(Int8)
  /// The length field is less than the smallest record of any format version.
  case lengthTooSmall(Int32)
  /// zstd in a request of a version before 7.
  case zstdTooOld(produceVersion: Int16)
  /// A codec number that is not assigned.
  case unknownCompression(UInt8)
  case baseOffsetNotZero(Int64)
  case tooLarge(size: Int, limit: Int)
  /// The checksum is wrong, or the batch is shorter than its header.
  case corrupt(storedCRC: UInt32)
  case offsetRange(lastOffsetDelta: Int32)
  case recordCount(Int32)
  case inconsistentCount(lastOffsetDelta: Int32, recordCount: Int32)
  case controlBatch
  case sequence(Int32, producerId: Int64)
  /// The producer set the timestamp type to LogAppendTime.
  case logAppendTime
  /// A timestamp outside of the topic's bounds; `index` is the record's place in the batch, or nil
  /// when the batch is compressed and its header said so.
  case timestamp(Int64, index: Int32?)
  case noKey(index: Int32)
  /// The offset deltas do not run 0, 1, 2 ….
  case offsetDelta(Int32, index: Int32)
  case record(RecordFormatError, index: Int32)
  /// What a codec found when it opened the batch.
  case undecompressable
  case decompressedTooLarge(limit: Int)
  case compressedRecord(index: Int32)
  case recompressedTooLarge(size: Int64, limit: Int)
  /// Several codecs died while they had the batch.
  case fatal(codecs: Int)

  /// What the client is told.
  public var errorCode: ErrorCode {
    switch self {
    case .lengthTooSmall, .unknownMagic, .corrupt: .corruptMessage
    case .tooLarge, .decompressedTooLarge, .recompressedTooLarge: .messageTooLarge
    case .zstdTooOld, .unknownCompression: .unsupportedCompressionType
    case .logAppendTime, .timestamp: .invalidTimestamp
    default: .invalidRecord
    }
  }

  /// The place in its batch of the record that is at fault, for `record_errors` of the response.
  public var recordIndex: Int32? {
    switch self {
    case .timestamp(_, let index): index
    case .noKey(let index), .offsetDelta(_, let index), .record(_, let index): index
    case .compressedRecord(let index): index
    default: nil
    }
  }

  /// The reason in words, in Kafka's where it has any.
  public func message(for partition: TopicPartition) -> String {
    "\(reason) in topic partition \(partition)."
  }

  /// The reason without the partition, for the broker's log.
  public var reason: String {
    switch self {
    case .noBatch:
      "Produce requests must have at least one record batch per partition: none is whole"
    case .severalBatches:
      "Produce requests are only allowed to contain exactly one record batch per partition: more"
    case .oldMagic(let magic):
      "Produce requests are only allowed to contain record batches with magic version 2: \(magic)"
    case .unknownMagic(let magic): "Invalid magic found in record: \(magic)"
    case .lengthTooSmall(let length):
      "Record size \(length) is less than the minimum record overhead (14)"
    case .zstdTooOld(let version):
      "Produce requests with version \(version) are not allowed to use ZStandard compression"
    case .unknownCompression(let id): "Unknown compression type id: \(id)"
    case .baseOffsetNotZero(let offset):
      "The baseOffset of the record batch in the append should be 0, but it is \(offset)"
    case .tooLarge(let size, let limit):
      "The record batch size in the append is \(size) bytes which exceeds the maximum configured "
        + "value of \(limit)"
    case .corrupt(let crc): "Record is corrupt (stored crc = \(crc))"
    case .offsetRange(let delta): "Batch has an invalid offset range: [0, \(delta)]"
    case .recordCount(let count): "Invalid reported count for record batch: \(count)"
    case .inconsistentCount(let delta, let count):
      "Inconsistent batch offset range [0, \(delta)] and count of records \(count)"
    case .controlBatch: "Clients are not allowed to write control records"
    case .sequence(let sequence, let producerId):
      "Invalid sequence number \(sequence) in record batch with producerId \(producerId)"
    case .logAppendTime: "Producer should not set timestamp type to LogAppendTime"
    case .timestamp(let timestamp, _): "Timestamp \(timestamp) is out of range"
    case .noKey: "Compacted topic cannot accept message without key"
    case .offsetDelta(let delta, let index):
      "Record \(index) of the batch has the offset delta \(delta)"
    case .record(let error, let index): "Record \(index) of the batch is malformed: \(error)"
    case .undecompressable: "The records of the batch cannot be decompressed"
    case .decompressedTooLarge(let limit):
      "The records of the batch decompress to more than \(limit) bytes"
    case .compressedRecord(let index): "Record \(index) of the compressed batch is malformed"
    case .recompressedTooLarge(let size, let limit):
      "The recompressed record batch is \(size) bytes which exceeds the maximum configured value "
        + "of \(limit)"
    case .fatal(let codecs): "\(codecs) processes died while they opened the batch"
    }
  }
}
