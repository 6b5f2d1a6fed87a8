// Finding positions in a segment: offset → position of its batch, and position → the last batch
// boundary that still fits. First the offset index, by binary search, then batch headers.
//
// An offset index holds entries of 8 bytes, both parts big-endian and ascending: the last offset of
// a batch less the base offset of the segment (u32), and where that batch begins (u32). Entries of
// the newest batches may be missing; a file that was allocated ahead ends in zeros. Nothing found in
// an index is believed before a batch header at that place confirms it.

import Glibc
import Linux
import Records

/// Why a segment cannot be read.
enum SegmentFault: Error {
  case system(Errno)
  /// What lies there is no batch.
  case notABatch(position: Int64)
  /// The way to the batch is too long to be walked: the logwriter knows a shorter one.
  case tooFar
}

/// The searches; one for the process, for its buffer.
final class SegmentSearch {
  private static let blockSize = 8192
  private static let indexEntrySize = 8
  /// Reads of one walk: where the index reaches, a few are enough.
  private static let readsMax = 256
  private let block = UnsafeMutableRawBufferPointer.allocate(byteCount: blockSize, alignment: 16)
  /// What of the file is in `block`.
  private var blockStart: Int64 = 0
  private var blockCount = 0
  /// Reads of the walk at hand.
  private var reads = 0

  deinit { block.deallocate() }

  /// The first batch before `end` whose last offset is not below `offset`; nil when there is none.
  func batch(_ segment: CachedSegment, holding offset: Int64, end: Int64)
    throws(SegmentFault) -> BatchFrame?
  {
    var start: Int64 = 0
    if offset > segment.baseOffset {
      // An entry at or below the offset names a batch at or before the one wanted.
      let indexed = try indexFloor(segment) { relativeOffset, _ in
        Int64(relativeOffset) <= offset - segment.baseOffset
      }
      start = max(segment.floor(offset), indexed ?? 0)
    }
    var found: BatchFrame?
    let isComplete = try walk(segment, from: start, to: end) { frame in
      if frame.lastOffset >= offset { found = frame }
      return found == nil
    }
    if !isComplete { throw .tooFar }
    return found
  }

  /// The furthest batch boundary at or before `limit` that can be found from `start`, a boundary
  /// itself, and the batch that begins there, if one begins before `end`.
  func boundary(_ segment: CachedSegment, from start: Int64, limit: Int64, end: Int64)
    throws(SegmentFault) -> (position: Int64, next: BatchFrame?)
  {
    let indexed = try indexFloor(segment) { _, position in Int64(position) <= limit } ?? 0
    var boundary = max(start, min(indexed, end))
    var next: BatchFrame?
    _ = try walk(segment, from: boundary, to: end) { frame in
      next = frame
      guard frame.endPosition <= limit else { return false }
      boundary = frame.endPosition
      next = nil
      return true
    }
    return (boundary, next)
  }

  /// Visits batch after batch until `visit` returns false. Stops at a batch that ends beyond `end`.
  /// - Returns: false when it stopped because it had read too often.
  private func walk(
    _ segment: CachedSegment, from start: Int64, to end: Int64, _ visit: (BatchFrame) -> Bool
  ) throws(SegmentFault) -> Bool {
    var position = start
    var wanted = RecordBatchHeader.size
    blockCount = 0
    reads = 0
    while position + Int64(RecordBatchHeader.size) <= end {
      let frame = try frame(segment, at: position, reading: wanted)
      guard frame.endPosition <= end, visit(frame) else { return true }
      if reads >= Self.readsMax { return false }
      // Small batches are read many at a time, of large ones the header only.
      wanted =
        frame.endPosition - position < Int64(Self.blockSize / 2)
        ? Self.blockSize : RecordBatchHeader.size
      position = frame.endPosition
    }
    return true
  }

  private func frame(_ segment: CachedSegment, at position: Int64, reading wanted: Int)
    throws(SegmentFault) -> BatchFrame
  {
    let available = blockStart + Int64(blockCount) - position
    if position < blockStart || available < Int64(RecordBatchHeader.size) {
      reads += 1
      blockStart = position
      blockCount = try read(segment.log, at: position, count: wanted)
    }
    let offset = Int(position - blockStart)
    let bytes = UnsafeRawBufferPointer(rebasing: block[offset..<max(offset, blockCount)])
    guard let frame = BatchFrame(bytes, at: position) else {
      throw .notABatch(position: position)
    }
    return frame
  }

  /// Position in the last index entry that fulfils `condition`, which no entry after the first that
  /// fails does; nil when none does.
  private func indexFloor(
    _ segment: CachedSegment, _ condition: (UInt32, UInt32) -> Bool
  ) throws(SegmentFault) -> Int64? {
    guard let index = segment.index else { return nil }
    let size: Int64
    do { size = try File.status(index.file).size } catch { throw .system(error) }
    var low = 0
    var high = Int(size) / Self.indexEntrySize
    let perBlock = Self.blockSize / Self.indexEntrySize
    // Halve until one block holds what is left, then read that.
    while high - low > perBlock {
      let middle = (low + high) / 2
      _ = try read(index, at: Int64(middle * Self.indexEntrySize), count: Self.indexEntrySize)
      if fulfils(0, condition) { low = middle } else { high = middle }
    }
    let count =
      try read(
        index, at: Int64(low * Self.indexEntrySize), count: (high - low) * Self.indexEntrySize)
      / Self.indexEntrySize
    blockCount = 0
    var first = 0
    var last = count
    while first < last {
      let middle = (first + last) / 2
      if fulfils(middle, condition) { first = middle + 1 } else { last = middle }
    }
    return first == 0 ? nil : Int64(entry(first - 1).position)
  }

  /// Whether entry `number` of the block is one and fulfils the condition; zeros are no entry.
  private func fulfils(_ number: Int, _ condition: (UInt32, UInt32) -> Bool) -> Bool {
    let entry = entry(number)
    if entry.relativeOffset == 0, entry.position == 0 { return false }
    return condition(entry.relativeOffset, entry.position)
  }

  private func entry(_ number: Int) -> (relativeOffset: UInt32, position: UInt32) {
    let start = number * Self.indexEntrySize
    return (
      UInt32(bigEndian: block.loadUnaligned(fromByteOffset: start, as: UInt32.self)),
      UInt32(bigEndian: block.loadUnaligned(fromByteOffset: start + 4, as: UInt32.self))
    )
  }

  private func read(_ file: SharedDescriptor, at position: Int64, count: Int)
    throws(SegmentFault) -> Int
  {
    let room = UnsafeMutableRawBufferPointer(rebasing: block[..<min(count, Self.blockSize)])
    do { return try File.read(file.file, into: room, at: position) } catch {
      throw .system(error)
    }
  }
}
