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
  /// What lies there is no entry of a transaction index.
  case notATransaction(position: Int64)
  /// The way to the batch is too long to be walked: the logwriter knows a shorter one.
  case tooFar
  /// A disk would have to be waited for: `SegmentSearch.coldPiece` must be read before.
  case cold
}

/// The searches; one for the process, for its buffer.
final class SegmentSearch {
  static let blockSize = 8192
  private static let indexEntrySize = 8
  private static let entriesPerBlock = blockSize / indexEntrySize
  /// Reads of one walk: where the index reaches, a few are enough.
  private static let readsMax = 256
  let block = UnsafeMutableRawBufferPointer.allocate(byteCount: blockSize, alignment: 16)
  /// What of the file is in `block`.
  private var blockStart: Int64 = 0
  var blockCount = 0
  /// What is around a block or a header is likely to be wanted too.
  private static let coldBytes = 64 << 10
  /// What the last search that met a part not in memory needs.
  private var coldPiece: FilePiece?
  /// Reads of the walk at hand.
  private var reads = 0

  deinit { block.deallocate() }

  /// `coldPiece`, for somebody who has it read.
  func takeColdPiece() -> FilePiece? { coldPiece.take() }

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
    // What one read shows needs no index.
    let isNear = limit - start <= Int64(Self.blockSize)
    var boundary = start
    if !isNear {
      let indexed = try indexFloor(segment) { _, position in Int64(position) <= limit } ?? 0
      boundary = max(start, min(indexed, end))
    }
    var next: BatchFrame?
    let wanted = isNear ? Self.blockSize : RecordBatchHeader.size
    _ = try walk(segment, from: boundary, to: end, reading: wanted) { frame in
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
    _ segment: CachedSegment, from start: Int64, to end: Int64,
    reading firstWanted: Int = RecordBatchHeader.size, _ visit: (BatchFrame) -> Bool
  ) throws(SegmentFault) -> Bool {
    var position = start
    var wanted = firstWanted
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
    // Whoever reads on comes back to where the last search ended.
    if let near = try indexFloor(segment, index, from: segment.indexPlace, condition) {
      return near
    }
    let size: Int64
    do { size = try File.status(index.file).size } catch { throw .system(error) }
    var low = 0
    var high = Int(size) / Self.indexEntrySize
    // Halve until one block holds what is left, then read that.
    while high - low > Self.entriesPerBlock {
      let middle = (low + high) / 2
      _ = try read(index, at: Int64(middle * Self.indexEntrySize), count: Self.indexEntrySize)
      if fulfils(0, condition) { low = middle } else { high = middle }
    }
    return try floorInBlock(segment, index, from: low, upTo: high, condition).position
  }

  /// As above, when one block from `place` on shows the entry and the one after it.
  private func indexFloor(
    _ segment: CachedSegment, _ index: SharedDescriptor, from place: Int,
    _ condition: (UInt32, UInt32) -> Bool
  ) throws(SegmentFault) -> Int64? {
    let (position, isLast) = try floorInBlock(
      segment, index, from: place, upTo: place + Self.entriesPerBlock, condition)
    return isLast ? nil : position
  }

  /// The last entry of one block that fulfils the condition.
  /// - Returns: nil when not even the first does; and whether it is the last that a whole block has,
  ///   so that those behind it may fulfil the condition, too.
  private func floorInBlock(
    _ segment: CachedSegment, _ index: SharedDescriptor, from low: Int, upTo high: Int,
    _ condition: (UInt32, UInt32) -> Bool
  ) throws(SegmentFault) -> (position: Int64?, isLast: Bool) {
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
    guard first > 0 else { return (nil, false) }
    segment.indexPlace = low + first - 1
    return (Int64(entry(first - 1).position), first == Self.entriesPerBlock)
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

  /// Reads into `block`.
  /// - Returns: how many bytes, fewer at the end of the file.
  func read(_ file: SharedDescriptor, at position: Int64, count: Int)
    throws(SegmentFault) -> Int
  {
    let room = UnsafeMutableRawBufferPointer(rebasing: block[..<min(count, Self.blockSize)])
    let read = try readCached(file, into: room, at: position)
    if read == room.count { return read }
    // Either the file ends here, or there is a hole in what is in memory.
    let rest = UnsafeMutableRawBufferPointer(rebasing: room[read...])
    return try read + readCached(file, into: rest, at: position + Int64(read))
  }

  private func readCached(
    _ file: SharedDescriptor, into room: UnsafeMutableRawBufferPointer, at position: Int64
  ) throws(SegmentFault) -> Int {
    let read: Int?
    do { read = try File.readCached(file.file, into: room, at: position) } catch {
      throw .system(error)
    }
    if let read { return read }
    coldPiece = FilePiece(log: file, position: position, count: Self.coldBytes)
    throw .cold
  }
}
