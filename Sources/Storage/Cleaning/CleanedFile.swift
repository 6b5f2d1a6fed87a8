// A segment that a cleaner has written, before it takes the place of others: every batch is looked
// at once, its checksum compared, and the indexes are made from that. This may take a while, so it
// is done on a thread of its own: everything it needs was copied here, and nothing else touches it
// until it is done.

import Linux
import Records

public final class CleanedFile: @unchecked Sendable {
  /// Stays open until `check` has returned.
  private let descriptor: Int32
  private let size: Int64
  private let baseOffset: Int64
  /// No batch holds this offset or a later one.
  private let endOffset: Int64
  private let indexIntervalBytes: Int64
  private let modifiedMs: Int64

  /// What is wrong with the file; nil if nothing is.
  private(set) var defect: String?
  /// Why it could not be read or synced.
  private(set) var failure: Errno?
  private(set) var offsetIndex: [UInt8] = []
  private(set) var timeIndex: [UInt8] = []

  private static let windowSize = 256 << 10

  init(
    descriptor: Int32, size: Int64, baseOffset: Int64, endOffset: Int64,
    indexIntervalBytes: Int32, modifiedMs: Int64
  ) {
    self.descriptor = descriptor
    self.size = size
    self.baseOffset = baseOffset
    self.endOffset = endOffset
    self.indexIntervalBytes = Int64(indexIntervalBytes)
    self.modifiedMs = modifiedMs
  }

  /// Looks at the whole file and gives it the time of the segments it stands for.
  public func check() {
    do throws(Errno) {
      let file = try OwnedFD.duplicate(of: descriptor)
      guard try File.status(file).size == size else {
        defect = "its size is not the \(size) bytes that were told"
        return
      }
      guard size <= Int64(Int32.max) else {
        defect = "\(size) bytes are more than an index can tell"
        return
      }
      try walk(file)
      try File.setModified(file, modifiedMs)
    } catch { failure = error }
  }

  private func walk(_ file: borrowing OwnedFD) throws(Errno) {
    var buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Self.windowSize, alignment: 16)
    defer { buffer.deallocate() }
    var index = IndexBuilder(baseOffset: baseOffset, intervalBytes: indexIntervalBytes)
    var position: Int64 = 0
    var nextOffset = baseOffset
    while position < size {
      let wanted = Int(min(Int64(buffer.count), size - position))
      let count = try File.read(
        file, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: position)
      var used = 0
      while let header = RecordBatchHeader(
        UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[used..<count]))
      {
        if let wrong = wrong(header, at: position + Int64(used), nextOffset) {
          defect = wrong
          return
        }
        if header.sizeInBytes > count - used { break }
        let batch = UnsafeRawBufferPointer(
          rebasing: UnsafeRawBufferPointer(buffer)[used..<used + header.sizeInBytes])
        guard header.checksumMatches(batch) else {
          defect = "the checksum of the batch at offset \(header.baseOffset) is wrong"
          return
        }
        index.add(header, at: position + Int64(used))
        nextOffset = header.nextOffset
        used += header.sizeInBytes
      }
      if used == 0 {
        guard let needed = needed(buffer, count), needed > buffer.count else {
          defect = "\(count) bytes at position \(position) are no whole batch"
          return
        }
        buffer.deallocate()
        buffer = .allocate(byteCount: needed, alignment: 16)
      }
      position += Int64(used)
    }
    (offsetIndex, timeIndex) = index.finish()
  }

  /// Bytes of the batch at the start of the buffer, which `wrong` has found to be in the file.
  private func needed(_ buffer: UnsafeMutableRawBufferPointer, _ count: Int) -> Int? {
    RecordBatchHeader(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count]))?
      .sizeInBytes
  }

  private func wrong(_ header: RecordBatchHeader, at position: Int64, _ nextOffset: Int64)
    -> String?
  {
    guard header.isPlausible, position + Int64(header.sizeInBytes) <= size else {
      return "the bytes at position \(position) are no batch"
    }
    guard header.baseOffset >= nextOffset else {
      return "offset \(header.baseOffset) follows offset \(nextOffset - 1)"
    }
    guard header.lastOffset < endOffset, header.lastOffset - baseOffset <= Int64(Int32.max) else {
      return "offset \(header.lastOffset) is not of the segments that go"
    }
    return nil
  }
}

/// Makes both indexes of a closed segment; see `IndexFormat`.
struct IndexBuilder {
  private let baseOffset: Int64
  private let intervalBytes: Int64
  private var sinceLastEntry: Int64 = 0
  private var greatest: (timestamp: Int64, offset: Int64) = (RecordBatchHeader.noTimestamp, 0)
  private var lastTimestamp = RecordBatchHeader.noTimestamp
  private var offsets: [UInt8] = []
  private var times: [UInt8] = []

  init(baseOffset: Int64, intervalBytes: Int64) {
    self.baseOffset = baseOffset
    self.intervalBytes = intervalBytes
  }

  mutating func add(_ header: RecordBatchHeader, at position: Int64) {
    if header.maxTimestamp > greatest.timestamp {
      greatest = (header.maxTimestamp, header.lastOffset)
    }
    if sinceLastEntry > intervalBytes {
      append(
        OffsetIndexEntry(
          relativeOffset: Int32(header.lastOffset - baseOffset), position: Int32(position)),
        to: &offsets)
      addTime()
      sinceLastEntry = 0
    }
    sinceLastEntry += Int64(header.sizeInBytes)
  }

  mutating func finish() -> (offsets: [UInt8], times: [UInt8]) {
    addTime()
    return (offsets, times)
  }

  private mutating func addTime() {
    guard greatest.timestamp > lastTimestamp else { return }
    lastTimestamp = greatest.timestamp
    append(
      TimeIndexEntry(
        timestamp: greatest.timestamp, relativeOffset: Int32(greatest.offset - baseOffset)),
      to: &times)
  }

  private func append<Entry: IndexEntry>(_ entry: Entry, to bytes: inout [UInt8]) {
    let start = bytes.count
    bytes.append(contentsOf: repeatElement(0, count: Entry.size))
    bytes.withUnsafeMutableBytes { raw in
      entry.write(to: UnsafeMutableRawBufferPointer(rebasing: raw[start...]))
    }
  }
}
