// The file that a group of segments is written to. As long as a single segment loses nothing, nothing
// is written: most of a log that is cleaned again and again has not changed. When the first batch
// changes, what lies before it is copied from file to file.
//
// The system is told to write to the disk every few MiB. Otherwise it would have all of the file to
// write when it is synced at the end, and whoever syncs something else meanwhile would wait for that.

import Linux

final class CleanedOutput {
  private let file: OwnedFD
  private let buffer: UnsafeMutableRawBufferPointer
  private var buffered = 0
  /// Bytes of the file, with those in the buffer.
  private(set) var size: Int64 = 0
  /// The first bytes of this segment that are the same here and are not written.
  private var heldBack: Int64
  private var holdsBack: Bool
  /// Bytes of the file that the system was told to write to the disk.
  private var writtenBack: Int64 = 0
  private static let writebackBytes: Int64 = 8 << 20

  /// - Parameter mayBeUnchanged: the group is one segment.
  init(_ file: consuming OwnedFD, bufferSize: Int, mayBeUnchanged: Bool) {
    self.file = file
    buffer = .allocate(byteCount: max(bufferSize, 64 << 10), alignment: 16)
    heldBack = 0
    holdsBack = mayBeUnchanged
  }

  deinit { buffer.deallocate() }

  /// Nothing has been changed since the start of the segment.
  var isUnchanged: Bool { holdsBack }

  /// The next batch of the source stays as it is.
  func keep(_ batch: UnsafeRawBufferPointer) throws(CleaningError) {
    if holdsBack {
      heldBack += Int64(batch.count)
      size += Int64(batch.count)
    } else {
      try append(batch)
    }
  }

  /// The next batch of the source goes or changes.
  /// - Returns: bytes that had to be copied for that.
  func change(from source: borrowing OwnedFD) throws(CleaningError) -> Int64 {
    if !holdsBack { return 0 }
    holdsBack = false
    do throws(Errno) { try File.copy(source, at: 0, to: file, at: 0, count: heldBack) } catch {
      throw .system(error)
    }
    writeBack(to: heldBack)
    return heldBack
  }

  func append(_ bytes: UnsafeRawBufferPointer) throws(CleaningError) {
    precondition(!holdsBack, "a change was not announced")
    if buffered + bytes.count > buffer.count { try flush() }
    if bytes.count > buffer.count {
      try write(bytes, at: size)
    } else {
      UnsafeMutableRawBufferPointer(rebasing: buffer[buffered...]).copyMemory(from: bytes)
      buffered += bytes.count
    }
    size += Int64(bytes.count)
  }

  /// Writes what is in the buffer.
  func flush() throws(CleaningError) {
    if buffered == 0 { return }
    try write(
      UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<buffered]),
      at: size - Int64(buffered))
    buffered = 0
  }

  private func write(_ bytes: UnsafeRawBufferPointer, at position: Int64) throws(CleaningError) {
    do throws(Errno) { try File.write(file, bytes, at: position) } catch { throw .system(error) }
    writeBack(to: position + Int64(bytes.count))
  }

  private func writeBack(to end: Int64) {
    guard end - writtenBack >= Self.writebackBytes else { return }
    File.beginWriteback(file, at: writtenBack, count: end - writtenBack)
    writtenBack = end
  }
}
