// Reading an index file: how many entries it really has, and binary search in it. Nothing is mapped
// or kept; a search reads some twenty entries at most.

import Linux

struct IndexReader<Entry: IndexEntry>: ~Copyable {
  private let file: OwnedFD
  private let path: String
  private let device: LogDevice
  /// Bytes of the file.
  let size: Int64
  /// Entries before a torn or zero-filled tail.
  private(set) var count: Int

  /// Opens the index at `path`; nil when there is no file.
  static func open(_ path: String, _ device: LogDevice) throws(StorageError) -> IndexReader? {
    guard var reader = try openIfThere(path, device) else { return nil }
    try reader.findEnd()
    return reader
  }

  private static func openIfThere(_ path: String, _ device: LogDevice) throws(StorageError)
    -> IndexReader?
  {
    do throws(Errno) {
      let file = try device.open(path, .readOnly)
      let size = try File.status(file).size
      return IndexReader(file: file, path: path, device: device, size: size)
    } catch {
      if error.isNotFound { return nil }
      throw StorageError("open", path, .system(error))
    }
  }

  private init(file: consuming OwnedFD, path: String, device: LogDevice, size: Int64) {
    self.file = file
    self.path = path
    self.device = device
    self.size = size
    count = Int(size) / Entry.size
  }

  private mutating func findEnd() throws(StorageError) {
    if count > 0, try entry(count - 1).isZero {
      count = try firstIndex(below: count) { $0.isZero }
    }
  }

  func entry(_ index: Int) throws(StorageError) -> Entry {
    var bytes = InlineArray<5, UInt64>(repeating: 0)
    let read = try about("read", path) { () throws(Errno) in
      try withUnsafeMutableBytes(of: &bytes, typed: Entry.size) { raw throws(Errno) in
        try device.read(file, into: raw, at: Int64(index * Entry.size))
      }
    }
    guard read == Entry.size else {
      throw StorageError("read", path, .format("the index became shorter while it was read"))
    }
    return withUnsafeBytes(of: bytes) { Entry($0) }
  }

  /// The first index below `end` whose entry fulfils a condition that, once true, stays true; `end`
  /// when there is none.
  func firstIndex(below end: Int, _ condition: (Entry) -> Bool) throws(StorageError) -> Int {
    var low = 0
    var high = end
    while low < high {
      let middle = (low + high) / 2
      if condition(try entry(middle)) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  /// The last entry that does not fulfil such a condition, or nil.
  func last(before condition: (Entry) -> Bool) throws(StorageError) -> Entry? {
    let index = try firstIndex(below: count, condition)
    return index == 0 ? nil : try entry(index - 1)
  }
}

/// As the standard library's, with a typed error and the first `count` bytes only.
private func withUnsafeMutableBytes<T, R, E: Error>(
  of value: inout T, typed count: Int,
  _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
) throws(E) -> R {
  let result: Result<R, E> = Swift.withUnsafeMutableBytes(of: &value) { raw in
    do throws(E) {
      return .success(try body(UnsafeMutableRawBufferPointer(rebasing: raw[..<count])))
    } catch { return .failure(error) }
  }
  return try result.get()
}
