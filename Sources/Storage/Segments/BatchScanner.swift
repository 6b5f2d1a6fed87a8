// Walks the record batches of a .log file from one position on. Recovery checks every batch with it,
// start-up finds the end of the log with it, and producers are read back with it.

import Glibc
import Linux
import Records

/// Where a walk ended.
struct ScanEnd {
  /// Behind the last good batch, in bytes.
  var position: Int64
  /// Behind the last good batch.
  var nextOffset: Int64
  /// Why the next batch is not good; nil at the end of the file, or when it only paused.
  var defect: String?
  /// The bytes asked for are read, but there are more.
  var isPaused = false
}

/// One at a time: it owns the buffer that it reads into.
final class BatchScanner {
  /// Bytes read at once where batches are checked, and where only headers are looked at.
  private static let checkedWindow = 1 << 20
  private static let headerWindow = 16 << 10

  private let device: LogDevice
  private let buffer: UnsafeMutableRawBufferPointer
  private var windowStart: Int64 = 0
  private var windowCount = 0

  init(_ device: LogDevice) {
    self.device = device
    buffer = .allocate(byteCount: Self.checkedWindow, alignment: 16)
  }

  deinit { buffer.deallocate() }

  /// Visits every good batch from `position`, a batch boundary, to the first that is not good.
  ///
  /// - Parameters:
  ///   - size: bytes of the file to look at.
  ///   - segmentBase: base offset of the segment.
  ///   - nextOffset: no batch may begin before it.
  ///   - nextSegmentBase: where the segment behind this one begins, if there is one.
  ///   - checkedFrom: batches with offsets from here on have their CRC checked.
  ///   - bytesMax: pauses after about so many bytes.
  ///   - visit: is told the header, the position, and the end of a transaction if it is one.
  func scan(
    _ file: borrowing OwnedFD, path: String, from position: Int64, size: Int64,
    segmentBase: Int64, nextOffset: Int64, nextSegmentBase: Int64?, checkedFrom: Int64,
    bytesMax: Int64 = .max,
    _ visit: (RecordBatchHeader, Int64, EndTransactionMarker?) throws(StorageError) -> Void
  ) throws(StorageError) -> ScanEnd {
    var end = ScanEnd(position: position, nextOffset: nextOffset, defect: nil)
    windowCount = 0
    while end.position < size {
      if end.position - position >= bytesMax {
        end.isPaused = true
        return end
      }
      let isChecked = end.nextOffset >= checkedFrom
      guard
        let bytes = try window(
          file, path, end.position, RecordBatchHeader.size, limit: size, isChecked),
        let header = RecordBatchHeader(bytes)
      else {
        end.defect = "\(size - end.position) bytes are no whole batch header"
        return end
      }
      if let defect = Self.defect(of: header, end, size: size, segmentBase: segmentBase) {
        end.defect = defect
        return end
      }
      if header.lastOffset >= checkedFrom,
        try checksum(file, path, header, at: end.position, size) != header.crc
      {
        end.defect = "the checksum of the batch at offset \(header.baseOffset) is wrong"
        return end
      }
      if isChecked, header.baseOffset > end.nextOffset,
        try !isConfirmed(header, file, path, end.position, size, nextSegmentBase)
      {
        end.defect = "offset \(header.baseOffset) follows offset \(end.nextOffset - 1)"
        return end
      }
      let marker =
        header.isControlBatch ? try readMarker(file, path, header, at: end.position, size) : nil
      try visit(header, end.position, marker)
      end.position += Int64(header.sizeInBytes)
      end.nextOffset = header.nextOffset
    }
    return end
  }

  private static func defect(
    of header: RecordBatchHeader, _ end: ScanEnd, size: Int64, segmentBase: Int64
  ) -> String? {
    guard header.isPlausible else { return "the bytes at position \(end.position) are no batch" }
    if end.position + Int64(header.sizeInBytes) > size {
      return "the batch at offset \(header.baseOffset) ends beyond the file"
    }
    if header.baseOffset < end.nextOffset {
      return "offset \(header.baseOffset) follows offset \(end.nextOffset - 1)"
    }
    if header.lastOffset - segmentBase > Int64(Int32.max) {
      return "offset \(header.lastOffset) is too far from its segment's base"
    }
    return nil
  }

  /// Whether the jump to this batch's offset is real. Compaction leaves gaps; but no checksum covers
  /// the offset, and a damaged one looks like a gap until the next batch tells.
  private func isConfirmed(
    _ header: RecordBatchHeader, _ file: borrowing OwnedFD, _ path: String, _ position: Int64,
    _ size: Int64, _ nextSegmentBase: Int64?
  ) throws(StorageError) -> Bool {
    let behind = position + Int64(header.sizeInBytes)
    let bytes = try window(file, path, behind, RecordBatchHeader.size, limit: size, true)
    if let bytes, let next = RecordBatchHeader(bytes) {
      return next.isPlausible && next.baseOffset >= header.nextOffset
    }
    guard behind == size, let nextSegmentBase else { return false }
    return nextSegmentBase >= header.nextOffset
  }

  /// What a control batch says of a transaction. A marker is far smaller than the window.
  private func readMarker(
    _ file: borrowing OwnedFD, _ path: String, _ header: RecordBatchHeader, at position: Int64,
    _ size: Int64
  ) throws(StorageError) -> EndTransactionMarker? {
    guard header.sizeInBytes <= Self.headerWindow,
      let bytes = try window(file, path, position, header.sizeInBytes, limit: size, false)
    else { return nil }
    return EndTransactionMarker(
      header,
      records: UnsafeRawBufferPointer(
        rebasing: bytes[RecordBatchHeader.size..<header.sizeInBytes]))
  }

  /// CRC-32C of the batch at `position`, in pieces where it is larger than the buffer.
  private func checksum(
    _ file: borrowing OwnedFD, _ path: String, _ header: RecordBatchHeader, at position: Int64,
    _ size: Int64
  ) throws(StorageError) -> UInt32 {
    var from = position + Int64(RecordBatchHeader.Field.attributes)
    let end = position + Int64(header.sizeInBytes)
    var crc: UInt32 = 0
    while from < end {
      let wanted = min(Int(end - from), buffer.count)
      guard let bytes = try window(file, path, from, wanted, limit: size, true) else {
        return ~header.crc
      }
      let piece = UnsafeRawBufferPointer(rebasing: bytes[..<wanted])
      crc = CRC32C.checksum(piece, continuing: crc)
      from += Int64(wanted)
    }
    return crc
  }

  /// At least `count` bytes from `position`, or nil when the file has fewer.
  private func window(
    _ file: borrowing OwnedFD, _ path: String, _ position: Int64, _ count: Int, limit: Int64,
    _ isChecked: Bool
  ) throws(StorageError) -> UnsafeRawBufferPointer? {
    if position < windowStart || position + Int64(count) > windowStart + Int64(windowCount) {
      let room = max(count, isChecked ? Self.checkedWindow : Self.headerWindow)
      let wanted = Int(max(0, min(Int64(room), limit - position)))
      windowStart = position
      windowCount = try about("read", path) { () throws(Errno) in
        try device.read(
          file, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: position)
      }
      if windowCount < count { return nil }
    }
    let start = Int(position - windowStart)
    return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[start..<windowCount])
  }
}
