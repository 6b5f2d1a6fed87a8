// The records of a batch, decompressed: what consuming and dumping have in common.

import Compression
import Model
import Records

enum BatchRecordsError: Error, CustomStringConvertible {
  case format(RecordFormatError)
  case compression(CompressionError)
  case unknownCodec

  var description: String {
    switch self {
    case .format(let error): error.description
    case .compression(let error): error.description
    case .unknownCodec: "the batch names a codec that does not exist"
    }
  }
}

enum BatchRecords {
  /// - Parameters:
  ///   - batch: the whole batch, header included.
  ///   - limit: bytes of decompressed records at most.
  static func all(_ header: RecordBatchHeader, _ batch: UnsafeRawBufferPointer, limit: Int)
    throws(BatchRecordsError) -> [Record]
  {
    guard let codec = header.compression else { throw .unknownCodec }
    let payload = UnsafeRawBufferPointer(rebasing: batch[RecordBatchHeader.size...])
    if codec == .none { return try records(header, payload) }
    let plain: [UInt8]
    do { plain = try Compression.decompress(payload, as: codec, limit: limit) } catch {
      throw .compression(error)
    }
    return try plain.withUnsafeBufferPointer { elements throws(BatchRecordsError) in
      try records(header, UnsafeRawBufferPointer(elements))
    }
  }

  /// The next whole batch of a run of bytes.
  static func next(_ iterator: inout RecordBatchIterator) throws(BatchRecordsError)
    -> (header: RecordBatchHeader, batch: UnsafeRawBufferPointer)?
  {
    do { return try iterator.next() } catch { throw .format(error) }
  }

  private static func records(_ header: RecordBatchHeader, _ payload: UnsafeRawBufferPointer)
    throws(BatchRecordsError) -> [Record]
  {
    do { return try Record.all(of: header, payload: payload) } catch { throw .format(error) }
  }
}
