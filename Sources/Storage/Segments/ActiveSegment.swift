// The segment that a partition is appending to, while its file is open: the descriptor and what
// appending needs to know. Partitions at rest have none; `OpenLogs` bounds how many there are.

import Linux
import Model
import Records

final class ActiveSegment {
  let baseOffset: Int64
  let file: OwnedFD
  var offsetIndex: IndexTail<OffsetIndexEntry>
  var timeIndex: IndexTail<TimeIndexEntry>
  /// Has entries in memory only between `stage` and `commit`, or while batches are read back.
  var transactionIndex: IndexTail<TransactionIndexEntry>
  /// Bytes appended since the last entry of the offset index, or since the file was opened.
  private var bytesSinceLastEntry: Int64 = 0
  /// Greatest timestamp of the segment and the last offset of the batch that has it.
  private(set) var maxTimestamp: Int64
  private(set) var offsetOfMaxTimestamp: Int64
  /// Greatest timestamp of the first batch, from which `segment.ms` counts; -1 without one.
  var firstTimestamp: Int64 = RecordBatchHeader.noTimestamp
  /// When the file was opened, for segments whose records have no timestamp.
  let openedMs: Int64
  /// What `segment.jitter.ms` takes off `segment.ms` for this segment.
  let rollJitterMs: Int64

  init(
    baseOffset: Int64, file: consuming OwnedFD, offsetIndex: consuming IndexTail<OffsetIndexEntry>,
    timeIndex: consuming IndexTail<TimeIndexEntry>,
    transactionIndex: consuming IndexTail<TransactionIndexEntry>, openedMs: Int64,
    rollJitterMs: Int64
  ) {
    self.baseOffset = baseOffset
    self.file = file
    maxTimestamp = timeIndex.last?.timestamp ?? RecordBatchHeader.noTimestamp
    offsetOfMaxTimestamp = baseOffset + Int64(timeIndex.last?.relativeOffset ?? 0)
    self.offsetIndex = offsetIndex
    self.timeIndex = timeIndex
    self.transactionIndex = transactionIndex
    self.openedMs = openedMs
    self.rollJitterMs = rollJitterMs
  }

  /// Whether a batch of `size` bytes must go to a new segment (Kafka's `LogSegment.shouldRoll`).
  @inline(__always)
  func shouldRoll(
    _ segmentSize: Int64, batchSize: Int, lastOffset: Int64, maxTimestamp: Int64, nowMs: Int64,
    _ config: LogConfig
  ) -> Bool {
    if segmentSize == 0 { return lastOffset - baseOffset > Int64(Int32.max) }
    if segmentSize > Int64(config.segmentBytes) - Int64(batchSize) { return true }
    let waited = firstTimestamp >= 0 ? maxTimestamp &- firstTimestamp : nowMs &- openedMs
    return waited > config.rollMs &- rollJitterMs
      || offsetIndex.count >= Int(config.segmentIndexBytes) / OffsetIndexEntry.size
      || timeIndex.count >= Int(config.segmentIndexBytes) / TimeIndexEntry.size - 1
      || lastOffset - baseOffset > Int64(Int32.max)
  }

  /// Notes a batch that lies at `position` now. While the tails are full no entry is added: the
  /// index becomes sparser.
  @inline(__always)
  func added(_ batch: StagedBatch, at position: Int64, indexIntervalBytes: Int32) {
    noteTimestamp(of: batch, at: position)
    if bytesSinceLastEntry > Int64(indexIntervalBytes), !isTailFull {
      offsetIndex.append(
        OffsetIndexEntry(
          relativeOffset: Int32(batch.lastOffset - baseOffset), position: Int32(position)))
      addTimeIndexEntry()
      bytesSinceLastEntry = 0
    }
    bytesSinceLastEntry += Int64(batch.size)
  }

  /// Notes a batch that is read back and whose index entries are on disk, if it has any.
  func passed(_ batch: StagedBatch, at position: Int64) {
    noteTimestamp(of: batch, at: position)
    bytesSinceLastEntry += Int64(batch.size)
  }

  @inline(__always)
  private func noteTimestamp(of batch: StagedBatch, at position: Int64) {
    if position == 0 { firstTimestamp = batch.maxTimestamp }
    if batch.maxTimestamp > maxTimestamp {
      maxTimestamp = batch.maxTimestamp
      offsetOfMaxTimestamp = batch.lastOffset
    }
  }

  /// Adds the greatest timestamp so far to the time index if it has grown.
  func addTimeIndexEntry() {
    guard maxTimestamp > timeIndex.last?.timestamp ?? RecordBatchHeader.noTimestamp else { return }
    timeIndex.append(
      TimeIndexEntry(
        timestamp: maxTimestamp, relativeOffset: Int32(offsetOfMaxTimestamp - baseOffset)))
  }

  var isTailFull: Bool { offsetIndex.isFull || timeIndex.isFull }
}
