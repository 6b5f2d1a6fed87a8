// What can be wrong with bytes that should be records. The texts are for logs and for the
// `error_message` of a produce response.

/// Why bytes are not the records or the batches they should be. Carries numbers only, so that
/// making one allocates nothing.
public enum RecordFormatError: Error, Hashable, Sendable {
  /// The bytes end inside a record, although the batch's header counts it.
  case endsEarly
  /// Bytes are left over after the last record that the header counts.
  case bytesLeft(Int)
  /// A varint runs on past 5 (or, of a timestamp, 10) bytes.
  case varintTooLong
  /// A record's length is negative.
  case recordLength(Int32)
  /// A record of this length ends inside its fields.
  case recordTooShort(Int32)
  /// A record of this length is longer than its fields.
  case recordTooLong(Int32, read: Int)
  /// A field inside a record is longer than the record.
  case fieldTooLong(Int32)
  /// The number of headers is negative, or greater than the bytes could hold.
  case headerCount(Int32)
  /// The length of a header's key is negative.
  case headerKeyLength(Int32)
  /// The number of records in a batch's header is negative.
  case recordCount(Int32)
  /// This is not a record batch of format version 2.
  case magic(Int8)
  /// The batch's length cannot hold its header.
  case batchLength(Int32)
  /// The key or the value of a control record is too short.
  case controlRecord
}

extension RecordFormatError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .endsEarly: "the bytes end before the last record that the batch counts"
    case .bytesLeft(let count): "\(count) bytes are left over after the last record of the batch"
    case .varintTooLong: "a variable-length integer does not end"
    case .recordLength(let length): "a record has the length \(length)"
    case .recordTooShort(let length): "a record of \(length) bytes ends inside its fields"
    case .recordTooLong(let length, let read):
      "a record gives its length as \(length) bytes, but its fields take \(read)"
    case .fieldTooLong(let length): "a field of \(length) bytes is longer than its record"
    case .headerCount(let count): "a record has \(count) headers"
    case .headerKeyLength(let length): "a record header's key has the length \(length)"
    case .recordCount(let count): "a batch counts \(count) records"
    case .magic(let magic): "a record batch has the format version \(magic), only 2 is known"
    case .batchLength(let length): "a record batch has the length \(length)"
    case .controlRecord: "a control record is too short"
    }
  }
}
