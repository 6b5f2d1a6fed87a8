// The entries of an index file one after the other, beside the walk through the segment's batches. The
// formats are in Storage's IndexFormat.swift.

import Glibc
import Linux

/// Any index with entries of a fixed size.
struct IndexCursor {
  private let file: DumpFile
  private let entrySize: Int
  private let count: Int64
  private var next: Int64 = 0
  /// The bytes of the entry that has not been used yet, and where it lies.
  private(set) var current: [UInt8]?
  private(set) var position: Int64 = 0

  /// - Parameter mayBeLonger: it is one of an active segment, which Kafka makes longer than their
  ///   entries: zeros follow.
  /// - Returns: nil when there is no such file.
  init?(_ path: String, entrySize: Int, mayBeLonger: Bool = false) throws(DumpFailure) {
    do throws(DumpFailure) { file = try DumpFile(path) } catch {
      if case .system(let errno) = error, errno.code == ENOENT { return nil }
      throw error
    }
    self.entrySize = entrySize
    let size = Int64(entrySize)
    let end = try file.endWithoutZeros()
    // An entry may be nothing but zeros only as the first: of time 0, at the segment's offset.
    let first: Int64 = !mayBeLonger && file.size == size ? 1 : 0
    count = max(first, min((end + size - 1) / size, file.size / size))
    isCut = end > count * size || !mayBeLonger && file.size % size != 0
    hasZeros = !mayBeLonger && file.size - count * size >= size
    try advance()
  }

  /// Part of an entry is behind the last one.
  let isCut: Bool
  /// Zeros are behind the last entry, in a file that ought to have none.
  let hasZeros: Bool

  var path: String { file.path }
  var isEmpty: Bool { count == 0 }

  mutating func advance() throws(DumpFailure) {
    guard next < count else {
      current = nil
      position = count * Int64(entrySize)
      return
    }
    position = next * Int64(entrySize)
    current = try file.read(entrySize, at: position) { [UInt8]($0) }.get()
    next += 1
  }
}

extension DumpFile {
  /// Where the last byte that is not zero ends.
  func endWithoutZeros() throws(DumpFailure) -> Int64 {
    var end = size
    while end > 0 {
      let start = max(0, end - Int64(Self.window))
      let last = try read(Int(end - start), at: start) { (bytes) -> Int? in
        bytes.lastIndex { $0 != 0 }
      }.get()
      if let last { return start + Int64(last) + 1 }
      end = start
    }
    return 0
  }
}
