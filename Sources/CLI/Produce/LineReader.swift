// Lines of a descriptor, read in large pieces. It knows whether more can be had without waiting, so
// that what a person types is sent at once and what a pipe holds is gathered.

import Glibc
import Linux

struct LineReader {
  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var start = 0
  private var atEnd = false

  init(descriptor: Int32) { self.descriptor = descriptor }

  /// The next line without its newline, or nil at the end. A last line needs no newline.
  mutating func next() -> ArraySlice<UInt8>? {
    var searched = start
    while true {
      if let newline = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
        defer { start = newline + 1 }
        return buffer[start..<newline]
      }
      searched = buffer.count
      if atEnd {
        defer { start = buffer.count }
        return start < buffer.count ? buffer[start...] : nil
      }
      searched -= compact()
      fill()
    }
  }

  /// A line, the end, or bytes can be read without waiting.
  var hasMoreNow: Bool {
    if atEnd || buffer[start...].contains(UInt8(ascii: "\n")) { return true }
    return Poll.waitAny([descriptor], .readable, timeoutMs: 0) != nil
  }

  /// Drops the lines that were taken.
  /// - Returns: how many bytes moved down.
  private mutating func compact() -> Int {
    let dropped = start
    buffer.removeSubrange(..<start)
    start = 0
    return dropped
  }

  private mutating func fill() {
    let chunk = 256 << 10
    let before = buffer.count
    buffer.append(contentsOf: repeatElement(0, count: chunk))
    var count = -1
    repeat {
      count = buffer.withUnsafeMutableBytes { raw in
        read(descriptor, raw.baseAddress.map { $0 + before }, chunk)
      }
    } while count < 0 && errno == EINTR
    buffer.removeLast(chunk - max(0, count))
    if count <= 0 { atEnd = true }
  }
}
