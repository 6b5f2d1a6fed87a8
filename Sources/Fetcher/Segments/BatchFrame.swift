// What a fetch needs of a batch: where it lies and which offsets it holds. Read from the first bytes
// of the batch in its segment; whatever does not look like a batch ends the search.

import Records

struct BatchFrame: Equatable {
  /// Where the batch begins in its segment, in bytes.
  var position: Int64
  /// Where the next one begins.
  var endPosition: Int64
  var baseOffset: Int64
  var lastOffset: Int64

  /// The batch that begins at `bytes`, which lies at `position`; nil when that cannot be one.
  init?(_ bytes: UnsafeRawBufferPointer, at position: Int64) {
    guard let header = RecordBatchHeader(bytes), header.sizeInBytes >= RecordBatchHeader.size,
      header.magic == RecordBatchHeader.currentMagic, header.baseOffset >= 0,
      header.lastOffsetDelta >= 0
    else { return nil }
    self.position = position
    endPosition = position + Int64(header.sizeInBytes)
    baseOffset = header.baseOffset
    lastOffset = header.lastOffset
  }
}
