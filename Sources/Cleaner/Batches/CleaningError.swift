// Why a partition cannot be cleaned. One line for the journal; the logwriter tries again later.

import Compression
import Linux
import Model
import Records

enum CleaningError: Error, CustomStringConvertible {
  case system(Errno)
  /// Bytes that are no batch, or not the one that was written.
  case corrupt(segment: Int64, position: Int64, String)
  case unknownCompression(offset: Int64)
  case records(offset: Int64, RecordFormatError)
  case compression(offset: Int64, CompressionError)
  case tooLarge(offset: Int64, bytes: Int, limit: Int)
  /// One batch has more keys than fit into the map.
  case mapTooSmall(keys: Int)
  case noMemory(bytes: Int)

  var description: String {
    switch self {
    case .system(let error): "\(error)"
    case .corrupt(let segment, let position, let reason):
      "segment \(segment) is corrupt at byte \(position): \(reason)"
    case .unknownCompression(let offset):
      "the batch at offset \(offset) has a codec that is not assigned"
    case .records(let offset, let error): "the batch at offset \(offset) is corrupt: \(error)"
    case .compression(let offset, let error):
      "the batch at offset \(offset) cannot be decompressed: \(error)"
    case .tooLarge(let offset, let bytes, let limit):
      "the batch at offset \(offset) has \(bytes) bytes, more than \(limit)"
    case .mapTooSmall(let keys):
      "a batch has more keys than fit into log.cleaner.dedupe.buffer.size (\(keys))"
    case .noMemory(let bytes): "there is no memory for a map of \(bytes) bytes"
    }
  }
}
