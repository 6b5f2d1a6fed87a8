// A record of its own, copied out of its batch, for those who keep records: the coordinator when
// it replays an internal topic, the command-line tools, tests.

/// A key and a value that a producer attached to a record.
public struct RecordHeader: Hashable, Sendable {
  public var key: String
  public var value: [UInt8]?

  public init(key: String, value: [UInt8]?) {
    self.key = key
    self.value = value
  }
}

/// One record with its absolute offset and timestamp.
public struct Record: Hashable, Sendable {
  public var offset: Int64
  /// Milliseconds since 1970; -1 when the producer gave none.
  public var timestamp: Int64
  public var key: [UInt8]?
  public var value: [UInt8]?
  public var headers: [RecordHeader]

  public init(
    offset: Int64, timestamp: Int64, key: [UInt8]?, value: [UInt8]?, headers: [RecordHeader] = []
  ) {
    self.offset = offset
    self.timestamp = timestamp
    self.key = key
    self.value = value
    self.headers = headers
  }

  /// Copies `view`, which is a record of the batch with `header`. Bytes of a header's key that are
  /// not UTF-8 become U+FFFD.
  public init(_ view: RecordView, of header: RecordBatchHeader) {
    offset = header.offset(of: view)
    timestamp = header.timestamp(of: view)
    key = view.key.map { [UInt8]($0) }
    value = view.value.map { [UInt8]($0) }
    var headers: [RecordHeader] = []
    headers.reserveCapacity(view.headerCount)
    view.forEachHeader { key, value in
      headers.append(
        RecordHeader(key: String(decoding: key, as: UTF8.self), value: value.map { [UInt8]($0) }))
    }
    self.headers = headers
  }

  /// Every record of a batch, copied.
  ///
  /// - Parameters:
  ///   - header: the batch's header.
  ///   - payload: what follows the header, decompressed.
  public static func all(
    of header: RecordBatchHeader, payload: UnsafeRawBufferPointer
  ) throws(RecordFormatError) -> [Record] {
    var iterator = try RecordIterator(header: header, records: payload)
    var records: [Record] = []
    while let view = try iterator.next() { records.append(Record(view, of: header)) }
    return records
  }
}

extension RecordBatchHeader {
  /// The absolute offset of a record of this batch.
  public func offset(of record: RecordView) -> Int64 { baseOffset &+ Int64(record.offsetDelta) }

  /// The timestamp of a record of this batch in ms: the batch's append time under LogAppendTime,
  /// otherwise what the producer gave, -1 if nothing.
  public func timestamp(of record: RecordView) -> Int64 {
    isLogAppendTime ? maxTimestamp : baseTimestamp &+ record.timestampDelta
  }
}
