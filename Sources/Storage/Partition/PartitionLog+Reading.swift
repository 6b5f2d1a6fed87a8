// Finding things for others: which segment holds an offset or a time, and from where in it to look.
// Positions are batch boundaries at or before the batch that was asked for; whoever reads walks on
// from there. Descriptors for readers are opened read-only.

import Linux
import Model
import Records

/// A segment to read from.
public struct SegmentHandle: ~Copyable {
  public let segment: LogSegment
  /// Base offset of the segment behind this one; `Int64.max` for the active segment.
  public let nextBaseOffset: Int64
  /// Where to begin, in bytes.
  public let startPosition: Int64
  public let log: OwnedFD
  /// The offset index; beside an active segment the newest entries are not in its file, and there
  /// may be none yet.
  public let index: OwnedFD?
  /// The aborted transactions, if there is a file of them.
  public let transactionIndex: OwnedFD?
  public let transactions: TransactionKnowledge
}

/// What a reader of a segment may know of aborted transactions. It holds for offsets below
/// `lastStableOffset`, and for all as long as the log's `abortedTransactionsEdition` is `edition`.
public struct TransactionKnowledge: Equatable, Sendable {
  /// The next segment behind this one with a transaction index; `Int64.max` without one.
  public let nextBaseOffset: Int64
  public let lastStableOffset: Int64
  public let edition: UInt32
}

/// The offset of the batch with the greatest timestamp (its last record), and that timestamp.
public struct MaxTimestamp: Equatable, Sendable {
  public let offset: Int64
  public let timestampMs: Int64
}

extension PartitionLog {
  /// Opens the segment that holds `offset`, from the log's start to its end; nil outside.
  public func openSegment(at offset: Int64) throws(StorageError) -> SegmentHandle? {
    guard offset >= logStartOffset, offset <= logEndOffset else { return nil }
    let index = segmentIndex(of: offset)
    return try handle(index, position: try indexedPosition(of: offset, in: segments[index]))
  }

  /// Opens the segment with the first record at or after `timestampMs`, to be searched from the
  /// handle's position on; nil when there is no such record.
  public func openSegment(atTimestamp timestampMs: Int64, nowMs: Int64) throws(StorageError)
    -> SegmentHandle?
  {
    for index in segments.indices where end(of: index) > logStartOffset {
      guard try maxTimestamp(of: index, nowMs: nowMs)?.timestampMs ?? -1 >= timestampMs else {
        continue
      }
      let segment = segments[index]
      let entry = try lastTimeIndexEntry(segment, notAfter: timestampMs)
      let from = segment.baseOffset + Int64(entry?.relativeOffset ?? 0)
      let offset = max(from, logStartOffset)
      return try handle(index, position: try indexedPosition(of: offset, in: segment))
    }
    return nil
  }

  /// The batch with the greatest timestamp of the whole log; nil when no record has one.
  public func maxTimestamp(nowMs: Int64) throws(StorageError) -> MaxTimestamp? {
    var greatest: MaxTimestamp?
    for index in segments.indices where end(of: index) > logStartOffset {
      guard let candidate = try maxTimestamp(of: index, nowMs: nowMs) else { continue }
      if candidate.timestampMs > greatest?.timestampMs ?? -1 { greatest = candidate }
    }
    return greatest
  }

  /// Position of a batch at or before the one that holds `offset`.
  func indexedPosition(of offset: Int64, in segment: LogSegment) throws(StorageError) -> Int64 {
    let wanted = Int32(clamping: offset - segment.baseOffset)
    if let active, active.baseOffset == segment.baseOffset {
      var pending = active.offsetIndex.pendingCount - 1
      while pending >= 0 {
        let entry = active.offsetIndex.pendingEntry(pending)
        if entry.relativeOffset <= wanted { return Int64(entry.position) }
        pending -= 1
      }
    }
    guard
      let reader = try IndexReader<OffsetIndexEntry>.open(path(.index, segment.baseOffset), device),
      let entry = try reader.last(before: { $0.relativeOffset > wanted }),
      Int64(entry.position) < segment.size
    else { return 0 }
    let path = path(.log, segment.baseOffset)
    let file = try about("open", path) { () throws(Errno) in try device.open(path, .readOnly) }
    // An index has no checksum: an entry that names no batch is not believed.
    guard let header = try header(file, path, at: Int64(entry.position)),
      header.lastOffset == segment.baseOffset + Int64(entry.relativeOffset)
    else { return 0 }
    return Int64(entry.position)
  }

  private func segmentIndex(of offset: Int64) -> Int {
    var low = 0
    var high = segments.count
    while low < high {
      let middle = (low + high) / 2
      if segments[middle].baseOffset <= offset { low = middle + 1 } else { high = middle }
    }
    return max(0, low - 1)
  }

  private func end(of index: Int) -> Int64 {
    index + 1 < segments.count ? segments[index + 1].baseOffset : logEndOffset
  }

  private func handle(_ index: Int, position: Int64) throws(StorageError) -> SegmentHandle {
    let segment = segments[index]
    let isActive = index + 1 == segments.count
    let path = path(.log, segment.baseOffset)
    let log = try about("open", path) { () throws(Errno) in try device.open(path, .readOnly) }
    return SegmentHandle(
      segment: segment, nextBaseOffset: isActive ? .max : segments[index + 1].baseOffset,
      startPosition: position, log: log,
      index: try openIfThere(self.path(.index, segment.baseOffset)),
      transactionIndex: transactionIndexes.contains(segment.baseOffset)
        ? try openIfThere(self.path(.txnindex, segment.baseOffset)) : nil,
      transactions: TransactionKnowledge(
        nextBaseOffset: nextTransactionIndex(behind: segment.baseOffset),
        lastStableOffset: lastStableOffset, edition: abortedTransactionsEdition))
  }

  private func openIfThere(_ path: String) throws(StorageError) -> OwnedFD? {
    do throws(Errno) { return try device.open(path, .readOnly) } catch {
      if error.isNotFound { return nil }
      throw StorageError("open", path, .system(error))
    }
  }

  /// The greatest timestamp of a segment: in memory while it is active and open, otherwise the last
  /// entry of its time index.
  private func maxTimestamp(of index: Int, nowMs: Int64) throws(StorageError) -> MaxTimestamp? {
    let segment = segments[index]
    if segment.size == 0 { return nil }
    if index + 1 == segments.count {
      let active = try openedSegment(nowMs: nowMs)
      return active.maxTimestamp < 0
        ? nil
        : MaxTimestamp(offset: active.offsetOfMaxTimestamp, timestampMs: active.maxTimestamp)
    }
    guard let last = try lastTimeIndexEntry(segment, notAfter: .max) else { return nil }
    return MaxTimestamp(
      offset: segment.baseOffset + Int64(last.relativeOffset), timestampMs: last.timestamp)
  }

  func lastTimeIndexEntry(_ segment: LogSegment, notAfter timestampMs: Int64)
    throws(StorageError) -> TimeIndexEntry?
  {
    if let active, active.baseOffset == segment.baseOffset {
      var pending = active.timeIndex.pendingCount - 1
      while pending >= 0 {
        let entry = active.timeIndex.pendingEntry(pending)
        if entry.timestamp <= timestampMs { return entry }
        pending -= 1
      }
    }
    guard
      let reader = try IndexReader<TimeIndexEntry>.open(
        path(.timeindex, segment.baseOffset), device)
    else { return nil }
    return try reader.last(before: { $0.timestamp > timestampMs })
  }
}
