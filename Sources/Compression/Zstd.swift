// zstd (RFC 8878). The library may reserve a window of up to 128 MiB because a frame asks for it;
// that is address space, and memory only as far as bytes have really been decompressed.

import CCompression
import Model

enum Zstd {
  private static let levelDefault: Int32 = 3

  static func compress(
    _ bytes: UnsafeRawBufferPointer, level: Int?
  ) throws(CompressionError) -> [UInt8] {
    let bound = ZSTD_compressBound(bytes.count)
    var output = [UInt8](repeating: 0, count: bound)
    let written = output.withUnsafeMutableBytes {
      ZSTD_compress(
        $0.baseAddress, $0.count, bytes.baseAddress, bytes.count,
        level.map(Int32.init) ?? levelDefault)
    }
    guard ZSTD_isError(written) == 0 else { throw .library(.zstd, code: written) }
    output.removeLast(bound - written)
    return output
  }

  /// Frames that follow each other are one stream, as zstd has it.
  static func decompress(
    _ bytes: UnsafeRawBufferPointer, limit: Int
  ) throws(CompressionError) -> [UInt8] {
    guard let stream = ZSTD_createDStream() else { throw .library(.zstd, code: 0) }
    defer { ZSTD_freeDStream(stream) }

    var output = OutputBuffer(limit: limit, expecting: bytes.count * 4)
    var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
    var wanted = 1
    while wanted != 0 || input.pos < input.size {
      let readBefore = input.pos
      var progress = 0
      try output.fill { (out) throws(CompressionError) in
        var room = ZSTD_outBuffer(dst: out.baseAddress, size: out.count, pos: 0)
        wanted = ZSTD_decompressStream(stream, &room, &input)
        guard ZSTD_isError(wanted) == 0 else { throw .corrupt(.zstd) }
        progress = input.pos - readBefore + room.pos
        return room.pos
      }
      if output.isOverLimit { throw .tooLarge(.zstd, limit: limit) }
      if wanted != 0, progress == 0 { throw .truncated(.zstd) }
    }
    return output.finish()
  }
}
