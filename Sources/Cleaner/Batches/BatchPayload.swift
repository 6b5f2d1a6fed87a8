// The records of a batch, decompressed into memory that is used again for the next one.
//
// What a batch may become is bounded: a few kilobytes can claim to be gigabytes. Clients bound a
// batch before they compress it, so that an honest one is hardly larger than `max.message.bytes`;
// 32 times that much, and never less than 16 MiB, is believed.

import Compression
import Model
import Records

struct BatchPayload {
  private let decompressedMax: Int

  init(maxMessageBytes: Int) {
    decompressedMax = min(1 << 30, max(16 << 20, 32 * maxMessageBytes))
  }

  /// Calls `body` with the records of a batch as they were before compression.
  func with(
    _ header: RecordBatchHeader, _ batch: UnsafeRawBufferPointer,
    _ body: (UnsafeRawBufferPointer) throws(CleaningError) -> Void
  ) throws(CleaningError) {
    let payload = UnsafeRawBufferPointer(rebasing: batch[RecordBatchHeader.size...])
    guard let type = header.compression else {
      throw .unknownCompression(offset: header.baseOffset)
    }
    // A batch that compaction emptied has nothing that could be decompressed.
    if type == .none || payload.isEmpty { return try body(payload) }
    let bytes: [UInt8]
    do throws(CompressionError) {
      bytes = try Compression.decompress(payload, as: type, limit: decompressedMax)
    } catch { throw .compression(offset: header.baseOffset, error) }
    try withBytes(bytes, body)
  }

  /// Calls `body` for every record, with the bytes it was parsed from.
  func forEachRecord(
    _ header: RecordBatchHeader, _ batch: UnsafeRawBufferPointer,
    _ body: (RecordView, UnsafeRawBufferPointer) throws(CleaningError) -> Void
  ) throws(CleaningError) {
    try with(header, batch) { payload throws(CleaningError) in
      var position = 0
      for _ in 0..<max(0, header.recordCount) {
        let rest = UnsafeRawBufferPointer(rebasing: payload[position...])
        let record: RecordView
        do throws(RecordFormatError) { record = try RecordView(rest) } catch {
          throw .records(offset: header.baseOffset, error)
        }
        try body(record, rest)
        position += record.sizeInBytes
      }
      guard position == payload.count else {
        throw .records(offset: header.baseOffset, .bytesLeft(payload.count - position))
      }
    }
  }

  private func withBytes(
    _ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) throws(CleaningError) -> Void
  ) throws(CleaningError) {
    let result: Result<Void, CleaningError> = bytes.withUnsafeBytes { raw in
      do throws(CleaningError) { return .success(try body(raw)) } catch { return .failure(error) }
    }
    try result.get()
  }
}
