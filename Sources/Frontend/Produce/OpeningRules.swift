// Which batches a codec opens before they are stored, and what it is asked to do with them.

import IPC
import Model
import Records

struct OpeningRules {
  /// `sluice.compressed.records.check`: compressed batches are opened to be checked.
  var checksCompressed = true
  /// No batch may decompress to more than a whole request could carry uncompressed
  /// (`socket.request.max.bytes`).
  var requestMaxBytes = 100 << 20

  /// What a codec is to do with a batch; nil: it is stored as it came.
  ///
  /// - Parameter header: of a batch that `RecordBatchValidator` found nothing wrong with, which has
  ///   looked at the records already if they are not compressed.
  func entry(
    for header: RecordBatchHeader, at offset: Int, rules: ProduceRules,
    compression: TopicCompression, nowMs: Int64
  ) -> OpenEntry? {
    guard let source = header.compression else { return nil }
    let recompresses = compression.type != nil && compression.type != source
    let checks = source != .none && (checksCompressed || rules.requiresKeys)
    guard recompresses || checks else { return nil }
    var entry = OpenEntry(
      cookie: 0, offset: UInt64(offset), length: UInt32(header.sizeInBytes),
      decompressedMax: UInt32(clamping: max(requestMaxBytes, rules.maxMessageBytes)),
      batchMax: UInt32(clamping: rules.maxMessageBytes))
    if recompresses {
      entry.target = compression.type
      entry.level = compression.level
      if compression.type == CompressionType.none { entry.decompressedMax = entry.batchMax }
    }
    if source != .none {
      let range = rules.timestampRange(nowMs: nowMs)
      entry.requiresKeys = rules.requiresKeys
      entry.timestampMin = range.lowerBound
      entry.timestampMax = range.upperBound
    }
    return entry
  }
}
