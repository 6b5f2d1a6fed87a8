// The records of a batch, decompressed: what consuming and dumping have in common.

import Compression
import Linux
import Model
import Records

enum BatchRecordsError: Error, CustomStringConvertible {
  case format(RecordFormatError)
  case compression(CompressionError)
  case unknownCodec
  case checksum(offset: Int64)

  var description: String {
    switch self {
    case .format(let error): error.description
    case .compression(let error): error.description
    case .unknownCodec: "the batch names a codec that does not exist"
    case .checksum(let offset): "the checksum of the batch at offset \(offset) is wrong"
    }
  }
}

enum BatchRecords {
  /// Hands every record to `body`, in order. What comes before a defect has been handed out when it
  /// throws.
  /// - Parameters:
  ///   - batch: the whole batch, header included.
  ///   - limit: bytes of decompressed records at most.
  static func forEach(
    _ header: RecordBatchHeader, _ batch: UnsafeRawBufferPointer, limit: Int,
    _ body: (RecordView) -> Void
  ) throws(BatchRecordsError) {
    guard let codec = header.compression else { throw .unknownCodec }
    let payload = UnsafeRawBufferPointer(rebasing: batch[RecordBatchHeader.size...])
    if codec == .none { return try walk(header, payload, body) }
    let plain: [UInt8]
    do { plain = try Compression.decompress(payload, as: codec, limit: limit) } catch {
      throw .compression(error)
    }
    try plain.withRawBytes { raw throws(BatchRecordsError) in try walk(header, raw, body) }
  }

  /// The next whole batch of a run of bytes.
  static func next(_ iterator: inout RecordBatchIterator) throws(BatchRecordsError)
    -> (header: RecordBatchHeader, batch: UnsafeRawBufferPointer)?
  {
    do { return try iterator.next() } catch { throw .format(error) }
  }

  private static func walk(
    _ header: RecordBatchHeader, _ payload: UnsafeRawBufferPointer, _ body: (RecordView) -> Void
  ) throws(BatchRecordsError) {
    do throws(RecordFormatError) {
      var iterator = try RecordIterator(header: header, records: payload)
      while let view = try iterator.next() { body(view) }
    } catch { throw .format(error) }
  }
}
