// The codecs of record batches: gzip, snappy, lz4, zstd. What is written is what Kafka's Java
// clients write; what is read is what any client writes. Coordinator, codec and the command-line
// tools call this; frontend, logwriter and fetcher never look into a compressed batch.
//
// Decompression takes untrusted bytes. It hands out at most `limit` bytes and grows its buffer with
// what has really been decompressed, never with what the bytes claim.

import Model

/// Compresses and decompresses the records of a batch (all that follows its header).
public enum Compression {
  /// The decompressed form of `bytes`.
  ///
  /// - Parameter limit: the most bytes to hand out; more is `CompressionError.tooLarge`.
  public static func decompress(
    _ bytes: UnsafeRawBufferPointer, as type: CompressionType, limit: Int
  ) throws(CompressionError) -> [UInt8] {
    switch type {
    case .none:
      guard bytes.count <= limit else { throw .tooLarge(type, limit: limit) }
      return [UInt8](bytes)
    case .gzip: return try Gzip.decompress(bytes, limit: limit)
    case .snappy: return try Snappy.decompress(bytes, limit: limit)
    case .lz4: return try LZ4.decompress(bytes, limit: limit)
    case .zstd: return try Zstd.decompress(bytes, limit: limit)
    }
  }

  /// The compressed form of `bytes`.
  ///
  /// - Parameter level: one of `levels(of:)`, or nil for the codec's default.
  public static func compress(
    _ bytes: UnsafeRawBufferPointer, as type: CompressionType, level: Int? = nil
  ) throws(CompressionError) -> [UInt8] {
    if let level, !levels(of: type).contains(level) { throw .level(type, level) }
    switch type {
    case .none: return [UInt8](bytes)
    case .gzip: return try Gzip.compress(bytes, level: level)
    case .snappy: return try Snappy.compress(bytes)
    case .lz4: return try LZ4.compress(bytes, level: level)
    case .zstd: return try Zstd.compress(bytes, level: level)
    }
  }

  /// The same for bytes in an array.
  public static func decompress(
    _ bytes: [UInt8], as type: CompressionType, limit: Int
  ) throws(CompressionError) -> [UInt8] {
    try bytes.withUnsafeBufferPointer { (elements) throws(CompressionError) in
      try decompress(UnsafeRawBufferPointer(elements), as: type, limit: limit)
    }
  }

  /// The same for bytes in an array.
  public static func compress(
    _ bytes: [UInt8], as type: CompressionType, level: Int? = nil
  ) throws(CompressionError) -> [UInt8] {
    try bytes.withUnsafeBufferPointer { (elements) throws(CompressionError) in
      try compress(UnsafeRawBufferPointer(elements), as: type, level: level)
    }
  }

  /// The levels that Kafka's `compression.<type>.level` takes. A codec without levels takes 0.
  public static func levels(of type: CompressionType) -> ClosedRange<Int> {
    switch type {
    case .none, .snappy: 0...0
    case .gzip: 1...9
    case .lz4: 1...17
    case .zstd: -131_072...22
    }
  }
}
