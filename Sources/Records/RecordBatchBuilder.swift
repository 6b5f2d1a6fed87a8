// Makes record batches: for internal topics, for the command-line producer, for tests. Records are
// encoded as they are added; the header is put in front in the end.

import Model

/// Builds one record batch of format version 2.
public struct RecordBatchBuilder {
  /// The fields of the header that are not counted or computed here: base offset, partition leader
  /// epoch, attributes, producer id, epoch and sequence. Change them at any time before `build`.
  public var header: RecordBatchHeader
  private var payload: [UInt8] = []

  /// A builder for a batch whose first record gets `baseOffset`.
  public init(baseOffset: Int64 = 0) {
    header = RecordBatchHeader(
      baseOffset: baseOffset, lastOffsetDelta: -1, baseTimestamp: RecordBatchHeader.noTimestamp,
      maxTimestamp: RecordBatchHeader.noTimestamp, recordCount: 0)
  }

  /// Makes the batch one of an idempotent or transactional producer.
  public mutating func setProducer(
    id: Int64, epoch: Int16, baseSequence: Int32, isTransactional: Bool = false
  ) {
    header.producerId = id
    header.producerEpoch = epoch
    header.baseSequence = baseSequence
    header.attributes.isTransactional = isTransactional
  }

  /// Records so far.
  public var count: Int { Int(header.recordCount) }
  public var isEmpty: Bool { header.recordCount == 0 }

  /// Bytes of the batch so far, before compression.
  public var sizeInBytes: Int { RecordBatchHeader.size + payload.count }

  /// Adds a record with the next offset.
  ///
  /// - Parameter timestamp: ms since 1970, or -1 for none.
  public mutating func append(
    timestamp: Int64, key: [UInt8]?, value: [UInt8]?, headers: [RecordHeader] = []
  ) {
    precondition(header.recordCount < Int32.max, "a batch holds at most Int32.max records")
    if isEmpty { header.baseTimestamp = timestamp }
    header.maxTimestamp = isEmpty ? timestamp : max(header.maxTimestamp, timestamp)
    header.recordCount += 1
    header.lastOffsetDelta += 1
    let timestampDelta = timestamp &- header.baseTimestamp
    let offsetDelta = Int64(header.lastOffsetDelta)

    var size = 1 + Varint.size(timestampDelta) + Varint.size(offsetDelta)
    size += Self.size(of: key) + Self.size(of: value) + Varint.size(Int64(headers.count))
    for header in headers {
      let keySize = header.key.utf8.count
      size += Varint.size(Int64(keySize)) + keySize + Self.size(of: header.value)
    }
    Varint.append(Int64(size), to: &payload)
    payload.append(0)
    Varint.append(timestampDelta, to: &payload)
    Varint.append(offsetDelta, to: &payload)
    appendBytes(key)
    appendBytes(value)
    Varint.append(Int64(headers.count), to: &payload)
    for header in headers {
      Varint.append(Int64(header.key.utf8.count), to: &payload)
      payload.append(contentsOf: header.key.utf8)
      appendBytes(header.value)
    }
  }

  /// The batch, uncompressed.
  public func build() -> [UInt8] {
    assemble(payload, compression: .none)
  }

  /// The batch with its records compressed as `compression` by `compress`.
  public func build<Failure: Error>(
    compression: CompressionType, compress: ([UInt8]) throws(Failure) -> [UInt8]
  ) throws(Failure) -> [UInt8] {
    compression == .none
      ? build() : assemble(try compress(payload), compression: compression)
  }

  private func assemble(_ records: [UInt8], compression: CompressionType) -> [UInt8] {
    let size = RecordBatchHeader.size + records.count
    precondition(size <= Int32.max, "a record batch is at most 2 GiB")
    var header = header
    header.attributes.rawValue =
      (header.attributes.rawValue & ~0b111) | Int16(compression.rawValue)
    header.batchLength = Int32(size - RecordBatchHeader.logOverhead)
    var batch = [UInt8](repeating: 0, count: RecordBatchHeader.size)
    batch.reserveCapacity(size)
    batch += records
    batch.withUnsafeMutableBytes { bytes in
      header.write(to: bytes)
      header.crc = RecordBatchHeader.checksum(ofBatch: UnsafeRawBufferPointer(bytes))
      header.write(to: bytes)
    }
    return batch
  }

  private mutating func appendBytes(_ bytes: [UInt8]?) {
    guard let bytes else {
      Varint.append(-1, to: &payload)
      return
    }
    Varint.append(Int64(bytes.count), to: &payload)
    payload.append(contentsOf: bytes)
  }

  private static func size(of bytes: [UInt8]?) -> Int {
    guard let bytes else { return Varint.size(-1) }
    return Varint.size(Int64(bytes.count)) + bytes.count
  }
}
