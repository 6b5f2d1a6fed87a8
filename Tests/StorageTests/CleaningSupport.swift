// What the tests of compaction share: a disk that dies at a chosen change, logs of small segments, and a
// replacement taken step by step.

import Glibc
import Linux
import Model
import Records

@testable import Storage

/// Lets so many changes to names and files through, then none: the process is as good as dead.
final class DyingDevice: LogDevice {
  var changesLeft = Int.max

  private func count() throws(Errno) {
    if changesLeft == 0 { throw Errno(EIO, "dead") }
    changesLeft -= 1
  }

  override func link(_ fd: borrowing OwnedFD, to path: String) throws(Errno) {
    try count()
    try super.link(fd, to: path)
  }

  override func write(_ fd: borrowing OwnedFD, _ bytes: UnsafeRawBufferPointer, at offset: Int64)
    throws(Errno)
  {
    try count()
    try super.write(fd, bytes, at: offset)
  }

  override func rename(_ from: String, to: String) throws(Errno) {
    try count()
    try super.rename(from, to: to)
  }

  override func remove(_ path: String) throws(Errno) {
    try count()
    try super.remove(path)
  }
}

extension Fixture {
  /// Segments of three batches of two records, the last one active.
  func appendSegments(_ count: Int) throws {
    for segment in 0..<count {
      if segment > 0 {
        _ = try log.openedSegment(nowMs: nowMs)
        try log.roll(nowMs: nowMs)
      }
      for _ in 0..<3 { try append(Batch(records: 2, timestamp: 1_000 + log.logEndOffset)) }
    }
    try makeDurable()
  }

  /// Nothing is cleaned before the disk knows that recovery need not read it.
  func makeDurable() throws {
    try log.flush()
    try directory.writeCheckpoints(durable: true)
  }

  /// What a cleaner would write for the segments `offsets`: every third batch goes.
  func cleanedBytes(_ offsets: ClosedRange<Int64>) throws -> [UInt8] {
    var bytes: [UInt8] = []
    for segment in log.segments where offsets.contains(segment.baseOffset) {
      let all = try file(.log, segment.baseOffset)
      let size = Batch(records: 2).bytes.count
      bytes += all[..<size]
      bytes += all[(2 * size)...]
    }
    return bytes
  }

  func replacement(
    _ offsets: ClosedRange<Int64>, _ bytes: [UInt8], aborted: [AbortedTransaction] = []
  ) throws -> SegmentReplacement {
    let file = try log.openUnnamed()
    try File.writeAll(bytes, to: file)
    return try SegmentReplacement(
      of: log, by: file, size: Int64(bytes.count), offsets: offsets, abortedTransactions: aborted)
  }

  var offsets: [Int64] { get throws { try batches().map(\.header.baseOffset) } }
}

extension SegmentReplacement {
  /// Takes steps, with what belongs between them.
  /// - Returns: false when all is done.
  func step() throws -> Bool {
    switch try next() {
    case nil: return false
    case .check(let file): file.check()
    case .sync(let descriptors):
      for descriptor in descriptors { try File.sync(descriptor: descriptor, dataOnly: false) }
    }
    return true
  }
}
