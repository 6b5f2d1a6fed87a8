// lz4 in its frame format, with what Kafka's clients choose: independent blocks of 64 KiB, no
// checksum of the content (the batch has its own).

import CCompression
import Model

enum LZ4 {
  static func compress(
    _ bytes: UnsafeRawBufferPointer, level: Int?
  ) throws(CompressionError) -> [UInt8] {
    var preferences = LZ4F_preferences_t()
    preferences.frameInfo.blockSizeID = LZ4F_max64KB
    preferences.frameInfo.blockMode = LZ4F_blockIndependent
    // Level 0 is the fast compressor; the library takes what is above its maximum for the maximum.
    preferences.compressionLevel = Int32(level ?? 0)
    let bound = LZ4F_compressFrameBound(bytes.count, &preferences)
    var output = [UInt8](repeating: 0, count: bound)
    let written = output.withUnsafeMutableBytes {
      LZ4F_compressFrame($0.baseAddress, $0.count, bytes.baseAddress, bytes.count, &preferences)
    }
    guard LZ4F_isError(written) == 0 else { throw .library(.lz4, code: written) }
    output.removeLast(bound - written)
    return output
  }

  /// Reads one frame. Bytes after its end are ignored, as Kafka's clients ignore them.
  static func decompress(
    _ bytes: UnsafeRawBufferPointer, limit: Int
  ) throws(CompressionError) -> [UInt8] {
    var context: OpaquePointer?
    let created = LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))
    guard LZ4F_isError(created) == 0 else { throw .library(.lz4, code: created) }
    defer { LZ4F_freeDecompressionContext(context) }

    var output = OutputBuffer(limit: limit, expecting: bytes.count * 4)
    var read = 0
    var wanted = 1
    while wanted != 0 {
      var progress = 0
      try output.fill { (out) throws(CompressionError) in
        var written = out.count
        var given = bytes.count - read
        wanted = LZ4F_decompress(
          context, out.baseAddress, &written, bytes.baseAddress.map { $0 + read }, &given, nil)
        guard LZ4F_isError(wanted) == 0 else { throw .corrupt(.lz4) }
        read += given
        progress = given + written
        return written
      }
      if output.isOverLimit { throw .tooLarge(.lz4, limit: limit) }
      if wanted != 0, progress == 0 { throw .truncated(.lz4) }
    }
    return output.finish()
  }
}
