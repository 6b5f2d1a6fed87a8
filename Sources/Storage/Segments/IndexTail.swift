// The growing end of an index file of the active segment: a few entries in memory, written behind
// the file's other entries when there are enough of them, or when the segment is put down. The
// file is open only while it is written. The memory comes with the first entry: most segments never
// have an aborted transaction.

import Linux

struct IndexTail<Entry: IndexEntry>: ~Copyable {
  static var capacity: Int { 64 }

  /// Entries in the file.
  private(set) var flushedCount: Int
  private(set) var pendingCount = 0
  private var pending = UnsafeMutableRawBufferPointer(start: nil, count: 0)
  /// The newest entry, in memory or in the file.
  private(set) var last: Entry?

  init(flushedCount: Int, last: Entry?) {
    self.flushedCount = flushedCount
    self.last = last
  }

  deinit { pending.deallocate() }

  var count: Int { flushedCount + pendingCount }
  var isFull: Bool { pendingCount == Self.capacity }

  /// Adds an entry; `isFull` has been answered with `flush` before.
  mutating func append(_ entry: Entry) {
    precondition(!isFull, "no room for an index entry")
    if pending.baseAddress == nil {
      pending = .allocate(byteCount: Self.capacity * Entry.size, alignment: 8)
    }
    let start = pendingCount * Entry.size
    entry.write(to: UnsafeMutableRawBufferPointer(rebasing: pending[start..<start + Entry.size]))
    pendingCount += 1
    last = entry
  }

  /// The entry `index` of those in memory.
  func pendingEntry(_ index: Int) -> Entry {
    let start = index * Entry.size
    return Entry(UnsafeRawBufferPointer(rebasing: pending[start..<start + Entry.size]))
  }

  /// Writes the entries in memory to the file.
  mutating func flush(_ path: @autoclosure () -> String, _ device: LogDevice) throws(StorageError) {
    if pendingCount == 0 { return }
    let path = path()
    let bytes = UnsafeRawBufferPointer(rebasing: pending[..<(pendingCount * Entry.size)])
    let offset = Int64(flushedCount * Entry.size)
    try about("write", path) { () throws(Errno) in
      let file = try device.open(path, [.readWrite, .create])
      try device.write(file, bytes, at: offset)
    }
    flushedCount += pendingCount
    pendingCount = 0
  }
}
