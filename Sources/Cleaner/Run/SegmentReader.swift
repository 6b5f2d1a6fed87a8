// Reads a segment batch by batch through a window of fixed size, which grows only for a batch that
// does not fit. Every batch's checksum is compared: what is damaged must not be written again as if
// it were whole.

import Linux
import Records

/// Memory for reading, used for one segment after the other.
final class ReadWindow {
  fileprivate(set) var buffer: UnsafeMutableRawBufferPointer
  private let size: Int

  init(size: Int) {
    self.size = max(size, 64 << 10)
    buffer = .allocate(byteCount: self.size, alignment: 16)
  }

  deinit { buffer.deallocate() }

  /// Makes room for a larger batch; what is in it is lost.
  fileprivate func grow(to count: Int) {
    guard count > buffer.count else { return }
    buffer.deallocate()
    buffer = .allocate(byteCount: count, alignment: 16)
  }

  /// Goes back to the usual size.
  func shrink() {
    guard buffer.count > size else { return }
    buffer.deallocate()
    buffer = .allocate(byteCount: size, alignment: 16)
  }
}

struct SegmentReader: ~Copyable {
  /// No batch is larger than the largest request that a broker takes.
  static let batchBytesMax = 128 << 20

  let file: OwnedFD
  let baseOffset: Int64
  private let size: Int64
  private let window: ReadWindow
  /// Where the next batch begins.
  private(set) var position: Int64 = 0
  private var windowStart: Int64 = 0
  private var windowCount = 0
  private var nextOffset: Int64

  init(_ file: consuming OwnedFD, baseOffset: Int64, size: Int64, _ window: ReadWindow) {
    self.file = file
    self.baseOffset = baseOffset
    self.size = size
    self.window = window
    nextOffset = baseOffset
  }

  var isAtEnd: Bool { position >= size }

  /// Reads the next window.
  /// - Returns: how many bytes were read.
  mutating func fill() throws(CleaningError) -> Int {
    let wanted = Int(min(Int64(window.buffer.count), size - position))
    windowStart = position
    let target = UnsafeMutableRawBufferPointer(rebasing: window.buffer[..<wanted])
    do throws(Errno) { windowCount = try File.read(file, into: target, at: position) } catch {
      throw .system(error)
    }
    guard windowCount == wanted else { throw corrupt("the file ends at byte \(position)") }
    try growIfNeeded()
    return windowCount
  }

  /// When not even the first batch fits, the window grows and is filled again.
  private mutating func growIfNeeded() throws(CleaningError) {
    let bytes = UnsafeRawBufferPointer(
      rebasing: UnsafeRawBufferPointer(window.buffer)[..<windowCount])
    guard let header = RecordBatchHeader(bytes) else {
      throw corrupt("\(windowCount) bytes are no batch")
    }
    guard header.isPlausible else { throw corrupt("no batch") }
    let batchSize = header.sizeInBytes
    if batchSize <= windowCount { return }
    guard position + Int64(batchSize) <= size else { throw corrupt("a batch beyond the end") }
    guard batchSize <= Self.batchBytesMax else {
      throw .tooLarge(offset: header.baseOffset, bytes: batchSize, limit: Self.batchBytesMax)
    }
    window.grow(to: batchSize)
    let target = UnsafeMutableRawBufferPointer(rebasing: window.buffer[..<batchSize])
    do throws(Errno) { windowCount = try File.read(file, into: target, at: position) } catch {
      throw .system(error)
    }
    guard windowCount == batchSize else { throw corrupt("the file ends at byte \(position)") }
  }

  /// Hands the next whole batch of the window to `body`.
  /// - Returns: false when the window holds no more.
  mutating func next(
    _ body: (RecordBatchHeader, UnsafeRawBufferPointer) throws(CleaningError) -> Void
  ) throws(CleaningError) -> Bool {
    let start = Int(position - windowStart)
    let rest = UnsafeRawBufferPointer(
      rebasing: UnsafeRawBufferPointer(window.buffer)[start..<max(start, windowCount)])
    guard let header = RecordBatchHeader(rest) else { return false }
    guard header.isPlausible else { throw corrupt("no batch") }
    guard header.sizeInBytes <= rest.count else { return false }
    let batch = UnsafeRawBufferPointer(rebasing: rest[..<header.sizeInBytes])
    guard header.checksumMatches(batch) else {
      throw corrupt("the checksum of the batch at offset \(header.baseOffset) is wrong")
    }
    guard header.baseOffset >= nextOffset else {
      throw corrupt("offset \(header.baseOffset) follows offset \(nextOffset - 1)")
    }
    try body(header, batch)
    nextOffset = header.nextOffset
    position += Int64(header.sizeInBytes)
    return true
  }

  private func corrupt(_ reason: String) -> CleaningError {
    .corrupt(segment: baseOffset, position: position, reason)
  }
}
