// What a connection brought along from the process before this one: bytes that the client has sent,
// given out as the socket would.

import Linux

struct InheritedBytes {
  private var bytes: [UInt8]
  private var taken = 0

  init(_ bytes: [UInt8] = []) { self.bytes = bytes }

  var isEmpty: Bool { taken == bytes.count }

  /// What is left.
  var rest: ArraySlice<UInt8> { bytes[taken...] }

  /// Moves as much as fits into `target`.
  /// - Returns: how many bytes that were.
  mutating func receive(into target: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(target.count, bytes.count - taken)
    bytes.withUnsafeBytes { raw in
      target.copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[taken..<taken + count]))
    }
    taken += count
    if isEmpty {
      bytes = []
      taken = 0
    }
    return count
  }
}
