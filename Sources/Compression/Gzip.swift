// gzip (RFC 1952) over zlib.

import CCompression
import Model

enum Gzip {
  /// 15 bits of window; 16 more means a gzip header and trailer instead of zlib's.
  private static let windowBits: Int32 = 15 + 16

  static func compress(
    _ bytes: UnsafeRawBufferPointer, level: Int?
  ) throws(CompressionError) -> [UInt8] {
    var stream = z_stream()
    let started = deflateInit2_(
      &stream, Int32(level ?? Int(Z_DEFAULT_COMPRESSION)), Z_DEFLATED, windowBits, 8,
      Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard started == Z_OK else { throw .library(.gzip, code: Int(started)) }
    defer { deflateEnd(&stream) }
    // One call with room for the worst case finishes the stream.
    let bound = Int(deflateBound(&stream, UInt(bytes.count)))
    guard bytes.count <= Int(UInt32.max), bound <= Int(UInt32.max) else {
      throw .library(.gzip, code: Int(Z_BUF_ERROR))
    }
    var output = [UInt8](repeating: 0, count: bound)
    let result = output.withUnsafeMutableBytes { out in
      stream.setInput(bytes, from: 0)
      stream.setOutput(out)
      return deflate(&stream, Z_FINISH)
    }
    guard result == Z_STREAM_END else { throw .library(.gzip, code: Int(result)) }
    output.removeLast(Int(stream.avail_out))
    return output
  }

  /// Members that follow each other are one stream, as gzip has it.
  static func decompress(
    _ bytes: UnsafeRawBufferPointer, limit: Int
  ) throws(CompressionError) -> [UInt8] {
    var stream = z_stream()
    let started = inflateInit2_(
      &stream, windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard started == Z_OK else { throw .library(.gzip, code: Int(started)) }
    defer { inflateEnd(&stream) }

    var output = OutputBuffer(limit: limit, expecting: bytes.count * 4)
    var read = 0
    var memberEnded = false
    while true {
      try output.fill { (out) throws(CompressionError) in
        let given = stream.setInput(bytes, from: read)
        let room = stream.setOutput(out)
        let result = inflate(&stream, Z_NO_FLUSH)
        read += given - Int(stream.avail_in)
        switch result {
        case Z_OK: break
        case Z_STREAM_END: memberEnded = true
        // Nothing could be read or written: there is room, so the input has run out.
        case Z_BUF_ERROR: throw .truncated(.gzip)
        case Z_MEM_ERROR: throw .library(.gzip, code: Int(result))
        default: throw .corrupt(.gzip)
        }
        return room - Int(stream.avail_out)
      }
      if output.isOverLimit { throw .tooLarge(.gzip, limit: limit) }
      if memberEnded {
        if read == bytes.count { return output.finish() }
        memberEnded = false
        inflateReset(&stream)
      }
    }
  }
}

extension z_stream {
  /// Points the input at `bytes` from `start` on, as much as zlib's counter holds; returns how much.
  @discardableResult
  fileprivate mutating func setInput(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int {
    let count = min(bytes.count - start, Int(Int32.max))
    let base = bytes.baseAddress.map { UnsafeMutableRawPointer(mutating: $0 + start) }
    next_in = base?.assumingMemoryBound(to: UInt8.self)
    avail_in = UInt32(count)
    return count
  }

  @discardableResult
  fileprivate mutating func setOutput(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(bytes.count, Int(Int32.max))
    next_out = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    avail_out = UInt32(count)
    return count
  }
}
