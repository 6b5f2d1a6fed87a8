// snappy, in both forms that Kafka's clients write.
//
// snappy-java's framing, which the Java client writes and which is written here:
//   magic       8 bytes  82 53 4E 41 50 50 59 00
//   version     int32    1, big-endian
//   compatible  int32    1, big-endian
//   then any number of chunks: int32 big-endian length, that many bytes of raw snappy, 32 KiB of
//   input each. The 16-byte header may come again where a chunk could begin.
// Raw snappy, which librdkafka writes: one varint length and the compressed bytes.

import CCompression
import Model

enum Snappy {
  private static let magic: [UInt8] = [0x82, 0x53, 0x4E, 0x41, 0x50, 0x50, 0x59, 0]
  private static let header: [UInt8] = magic + [0, 0, 0, 1, 0, 0, 0, 1]
  private static let chunkSize = 32 * 1_024
  /// No element of raw snappy makes more than 64 bytes of output, and none is shorter than 2 bytes:
  /// a claim beyond that is false.
  private static let expansionMax = 32

  static func compress(_ bytes: UnsafeRawBufferPointer) throws(CompressionError) -> [UInt8] {
    let chunks = (bytes.count + chunkSize - 1) / chunkSize
    let chunkMax = snappy_max_compressed_length(chunkSize)
    var output = [UInt8](repeating: 0, count: header.count + chunks * (4 + chunkMax))
    output.replaceSubrange(..<header.count, with: header)
    var used = header.count
    for start in stride(from: 0, to: bytes.count, by: chunkSize) {
      let chunk = UnsafeRawBufferPointer(
        rebasing: bytes[start..<min(start + chunkSize, bytes.count)])
      var length = chunkMax
      let status = output.withUnsafeMutableBytes { out in
        let room = UnsafeMutableRawBufferPointer(rebasing: out[(used + 4)...])
        let status = snappy_compress(
          chunk.characters, chunk.count, room.baseAddress?.assumingMemoryBound(to: CChar.self),
          &length)
        out.storeBytes(
          of: UInt32(truncatingIfNeeded: length).bigEndian, toByteOffset: used, as: UInt32.self)
        return status
      }
      guard status == SNAPPY_OK else { throw .library(.snappy, code: Int(status.rawValue)) }
      used += 4 + length
    }
    output.removeLast(output.count - used)
    return output
  }

  static func decompress(
    _ bytes: UnsafeRawBufferPointer, limit: Int
  ) throws(CompressionError) -> [UInt8] {
    var output: [UInt8] = []
    guard bytes.starts(with: magic) else {
      try decompressChunk(bytes, into: &output, limit: limit)
      return output
    }
    guard bytes.count >= header.count else { throw .truncated(.snappy) }
    var position = header.count
    while position < bytes.count {
      guard bytes.count - position >= 4 else { throw .truncated(.snappy) }
      if bytes[position...].starts(with: magic), bytes.count - position >= header.count {
        position += header.count
        continue
      }
      let length = UInt32(
        bigEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
      position += 4
      guard Int(length) <= bytes.count - position else {
        throw length > UInt32(Int32.max) ? .corrupt(.snappy) : .truncated(.snappy)
      }
      let chunk = UnsafeRawBufferPointer(rebasing: bytes[position..<(position + Int(length))])
      try decompressChunk(chunk, into: &output, limit: limit)
      position += Int(length)
    }
    return output
  }

  private static func decompressChunk(
    _ chunk: UnsafeRawBufferPointer, into output: inout [UInt8], limit: Int
  ) throws(CompressionError) {
    var length = 0
    guard snappy_uncompressed_length(chunk.characters, chunk.count, &length) == SNAPPY_OK,
      length <= chunk.count * expansionMax
    else { throw .corrupt(.snappy) }
    guard length <= limit - output.count else { throw .tooLarge(.snappy, limit: limit) }
    let head = output.count
    output += [UInt8](repeating: 0, count: length)
    let status = output.withUnsafeMutableBytes { out in
      let room = UnsafeMutableRawBufferPointer(rebasing: out[head...])
      // An empty chunk has no output to point at, but the library wants an address.
      var nowhere: CChar = 0
      return withUnsafeMutablePointer(to: &nowhere) { nowhere in
        snappy_uncompress(
          chunk.characters, chunk.count,
          room.baseAddress?.assumingMemoryBound(to: CChar.self) ?? nowhere, &length)
      }
    }
    guard status == SNAPPY_OK else { throw .corrupt(.snappy) }
  }
}

extension UnsafeRawBufferPointer {
  fileprivate var characters: UnsafePointer<CChar>? {
    baseAddress?.assumingMemoryBound(to: CChar.self)
  }
}
