// Where decompressed bytes go: a buffer that doubles as it fills and stops just past the limit.

/// Memory for output of unknown length. It may hold one byte more than the limit: that byte tells
/// output that is too long from output that fits exactly.
struct OutputBuffer {
  private(set) var bytes: [UInt8]
  private var used = 0
  private let limit: Int

  /// - Parameters:
  ///   - limit: the most bytes the output may have.
  ///   - expecting: a guess at the output's length, from the length of the input.
  init(limit: Int, expecting: Int) {
    self.limit = min(max(limit, 0), Int(Int32.max))
    bytes = [UInt8](repeating: 0, count: min(self.limit + 1, max(expecting, 512)))
  }

  var isOverLimit: Bool { used > limit }

  /// Lets `write` fill free memory, of which there always is some, and counts what it returns.
  mutating func fill<Failure: Error>(
    _ write: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
  ) throws(Failure) {
    if used == bytes.count {
      precondition(!isOverLimit, "output after its limit")
      let more = min(bytes.count, limit + 1 - bytes.count)
      bytes += [UInt8](repeating: 0, count: more)
    }
    let start = used
    used += try bytes.withUnsafeMutableBufferPointer { (elements) throws(Failure) in
      try write(
        UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: elements[start...])))
    }
  }

  /// The output.
  consuming func finish() -> [UInt8] {
    bytes.removeLast(bytes.count - used)
    return bytes
  }
}
