// What can go wrong when the records of a batch are compressed or decompressed.

import Model

/// Why a payload could not be compressed or decompressed.
public enum CompressionError: Error, Hashable, Sendable {
  /// The bytes are not what this codec writes, or fail its own checksum.
  case corrupt(CompressionType)
  /// The bytes end before the compressed stream does.
  case truncated(CompressionType)
  /// The decompressed bytes would be more than the limit.
  case tooLarge(CompressionType, limit: Int)
  /// The level is outside of what the codec takes.
  case level(CompressionType, Int)
  /// The library refused for a reason of its own, which without memory is all it can do.
  case library(CompressionType, code: Int)
}

extension CompressionError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .corrupt(let type): "the \(type.name) data is corrupt"
    case .truncated(let type): "the \(type.name) data ends too early"
    case .tooLarge(let type, let limit):
      "the \(type.name) data decompresses to more than \(limit) bytes"
    case .level(let type, let level):
      "\(type.name) has no compression level \(level); \(Compression.levels(of: type)) are there"
    case .library(let type, let code): "the \(type.name) library failed with code \(code)"
    }
  }
}
