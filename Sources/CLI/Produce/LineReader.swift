// Lines of a descriptor, read in large pieces. It knows whether more can be had without waiting, so
// that what a person types is sent at once and what a pipe holds is gathered.

import Glibc
import Linux

struct LineReader {
  private let descriptor: Int32
  private let lineBytesMax: Int
  private let chunk: Int
  private var buffer: [UInt8] = []
  private var start = 0
  private var atEnd = false
  /// Bytes read so far.
  private(set) var bytesRead: Int64 = 0

  /// - Parameters:
  ///   - lineBytesMax: a longer line is refused, for want of a broker that would take it.
  ///   - chunk: bytes to read at once.
  init(descriptor: Int32, lineBytesMax: Int = 1 << 30, chunk: Int = 256 << 10) {
    self.descriptor = descriptor
    self.lineBytesMax = lineBytesMax
    self.chunk = chunk
  }

  /// The next line without its newline, or nil at the end. A last line needs no newline.
  mutating func next() throws(ClientError) -> ArraySlice<UInt8>? {
    var searched = start
    while true {
      if let newline = firstNewline(from: searched) {
        defer { start = newline + 1 }
        return buffer[start..<newline]
      }
      searched = buffer.count
      if atEnd {
        defer { start = buffer.count }
        return start < buffer.count ? buffer[start...] : nil
      }
      guard buffer.count - start <= lineBytesMax else {
        throw .input("a line is longer than \(lineBytesMax) bytes")
      }
      searched -= compact()
      try fill()
    }
  }

  /// A line, the end, or bytes can be read without waiting.
  var hasMoreNow: Bool {
    if atEnd || firstNewline(from: start) != nil { return true }
    return Poll.waitAny([descriptor], .readable, timeoutMs: 0) != nil
  }

  private func firstNewline(from index: Int) -> Int? {
    buffer.withUnsafeBytes { raw in
      guard index < raw.count, let base = raw.baseAddress,
        let found = memchr(base + index, 10, raw.count - index)
      else { return nil }
      return UnsafeRawPointer(found) - base
    }
  }

  /// Drops the lines that were taken.
  /// - Returns: how many bytes moved down.
  private mutating func compact() -> Int {
    let dropped = start
    buffer.removeSubrange(..<start)
    start = 0
    return dropped
  }

  private mutating func fill() throws(ClientError) {
    let before = buffer.count
    buffer.append(contentsOf: repeatElement(0, count: chunk))
    var count = -1
    while true {
      count = buffer.withUnsafeMutableBytes { raw in
        read(descriptor, raw.baseAddress.map { $0 + before }, chunk)
      }
      if count >= 0 { break }
      let code = errno
      if code == EINTR { continue }
      if code == EAGAIN {
        _ = Poll.waitAny([descriptor], .readable, timeoutMs: -1)
        continue
      }
      throw .input("standard input: \(Errno(code, "read").reason)")
    }
    buffer.removeLast(chunk - count)
    bytesRead += Int64(count)
    if count == 0 { atEnd = true }
  }
}
