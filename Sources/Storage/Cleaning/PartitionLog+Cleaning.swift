// What of a log can be compacted now, and what a cleaner must be told for that (Kafka's
// LogCleanerManager.cleanableOffsets, LogToClean). Offsets up to `cleanedOffset` are clean; what
// follows is dirty, up to the first segment that must be left alone: the active one, the one that
// holds the last stable offset or the recovery point, one younger than `min.compaction.lag.ms`.

import Linux
import Model
import Records

/// What can be cleaned.
public struct CleanableLog: Equatable, Sendable {
  public var firstDirtyOffset: Int64
  /// Base offset of the first segment that must be left alone.
  public var endOffset: Int64
  /// Bytes of segments that are clean, and of dirty ones below `endOffset`.
  public var cleanBytes: Int64
  public var dirtyBytes: Int64
  /// Something dirty is older than `max.compaction.lag.ms`.
  public var isOverdue: Bool
  /// When the passing of time alone will have made more of it cleanable; `.max` for never.
  public var nextChangeMs: Int64
  /// Something could be cleaned if the recovery point on disk were further.
  public var waitsForRecoveryPoint: Bool

  /// How much of it is dirty, 0 to 1.
  public var dirtyRatio: Double {
    let all = cleanBytes + dirtyBytes
    return all == 0 ? 0 : Double(dirtyBytes) / Double(all)
  }

  /// Whether it is worth it.
  public func isDue(_ config: LogConfig) -> Bool {
    endOffset > firstDirtyOffset && dirtyBytes > 0
      && (isOverdue || dirtyRatio > config.minCleanableDirtyRatio)
  }
}

/// A closed segment for a cleaner.
public struct ClosedSegment: Equatable, Sendable {
  public let baseOffset: Int64
  public let size: Int64
  public let indexSize: Int64
  public let timeIndexSize: Int64
}

extension PartitionLog {
  /// What can be cleaned now; nil when this log is not compacted or cannot be used.
  public func cleanable(nowMs: Int64) throws(StorageError) -> CleanableLog? {
    let config = settings.config
    guard config.compacts, !isOffline, !needsRecovery, unindexed.isEmpty else { return nil }
    // A checkpoint that does not fit the log counts for nothing.
    let isKnown = cleanedOffset >= logStartOffset && cleanedOffset <= logEndOffset
    let firstDirty = isKnown ? cleanedOffset : logStartOffset
    let dirtyStart = segments.lastIndex { $0.baseOffset <= firstDirty } ?? 0
    var result = CleanableLog(
      firstDirtyOffset: firstDirty, endOffset: firstDirty, cleanBytes: 0, dirtyBytes: 0,
      isOverdue: false, nextChangeMs: .max, waitsForRecoveryPoint: false)
    let active = segments.count - 1
    let stable = segments.lastIndex { $0.baseOffset <= lastStableOffset } ?? 0
    var end = min(active, stable)
    let recovered = segments.lastIndex { $0.baseOffset <= checkpointedRecoveryPoint } ?? 0
    if recovered < end {
      result.waitsForRecoveryPoint = true
      end = recovered
    }
    if config.minCompactionLagMs > 0, dirtyStart < end {
      for index in dirtyStart..<end {
        let newest = try newestMs(of: index)
        let dueMs = Self.sum(newest, config.minCompactionLagMs)
        guard dueMs > nowMs else { continue }
        end = index
        result.nextChangeMs = dueMs
        break
      }
    }
    result.endOffset = max(firstDirty, segments[end].baseOffset)
    for segment in segments where segment.baseOffset < firstDirty {
      result.cleanBytes += segment.size
    }
    if dirtyStart < end {
      for segment in segments[dirtyStart..<end] { result.dirtyBytes += segment.size }
    }
    if config.maxCompactionLagMs < .max, dirtyStart < active {
      try judgeAge(&result, segments[dirtyStart..<active], nowMs, config.maxCompactionLagMs)
    }
    return result
  }

  private func judgeAge(
    _ result: inout CleanableLog, _ dirty: ArraySlice<LogSegment>, _ nowMs: Int64, _ lagMs: Int64
  ) throws(StorageError) {
    var oldest = Int64.max
    for segment in dirty where segment.size > 0 {
      let path = path(.log, segment.baseOffset)
      let file = try about("open", path) { () throws(Errno) in try device.open(path, .readOnly) }
      guard let first = try header(file, path, at: 0), first.maxTimestamp > 0 else { continue }
      oldest = min(oldest, first.maxTimestamp)
    }
    if oldest == .max { return }
    let dueMs = Self.sum(oldest, max(0, lagMs))
    if dueMs < nowMs {
      result.isOverdue = true
    } else {
      result.nextChangeMs = min(result.nextChangeMs, Self.sum(dueMs, 1))
    }
  }

  /// The greatest timestamp of a closed segment, or when it was written last.
  private func newestMs(of index: Int) throws(StorageError) -> Int64 {
    let segment = segments[index]
    if let last = try lastTimeIndexEntry(segment, notAfter: .max), last.timestamp >= 0 {
      return last.timestamp
    }
    let path = path(.log, segment.baseOffset)
    return try about("stat", path) { () throws(Errno) in try File.status(path).modifiedMs }
  }

  private static func sum(_ a: Int64, _ b: Int64) -> Int64 {
    let (sum, overflow) = a.addingReportingOverflow(b)
    return overflow ? .max : sum
  }

  // MARK: What a cleaner is told

  /// The closed segments below `endOffset`, which is one's base offset.
  public func segmentsToClean(below endOffset: Int64) throws(StorageError) -> [ClosedSegment] {
    var closed: [ClosedSegment] = []
    for segment in segments where segment.baseOffset < endOffset {
      closed.append(
        ClosedSegment(
          baseOffset: segment.baseOffset, size: segment.size,
          indexSize: try size(.index, segment), timeIndexSize: try size(.timeindex, segment)))
    }
    return closed
  }

  private func size(_ kind: LogFileKind, _ segment: LogSegment) throws(StorageError) -> Int64 {
    let path = path(kind, segment.baseOffset)
    do throws(Errno) { return try File.status(path).size } catch {
      if error.isNotFound { return 0 }
      throw StorageError("stat", path, .system(error))
    }
  }

  /// The .log of a closed segment, to read.
  public func openClosed(_ baseOffset: Int64) throws(StorageError) -> OwnedFD {
    let path = path(.log, baseOffset)
    return try about("open", path) { () throws(Errno) in try device.open(path, .readOnly) }
  }

  /// A file in which a cleaner may write a segment.
  public func openUnnamed() throws(StorageError) -> OwnedFD {
    try about("create a file in", path) { () throws(Errno) in
      try device.openUnnamed(in: path)
    }
  }

  /// Calls `body` with each producer, its epoch and the last offset of its data, -1 without any.
  public func forEachProducer(nowMs: Int64, _ body: (Int64, Int16, Int64) -> Void)
    throws(StorageError)
  {
    _ = try openedSegment(nowMs: nowMs)
    for producer in producers.all {
      body(producer.producerId, producer.producerEpoch, producer.lastBatch?.lastOffset ?? -1)
    }
  }

  /// Everything below `offset` is clean.
  public func cleaned(upTo offset: Int64) {
    cleanedOffset = max(cleanedOffset, min(offset, logEndOffset))
  }
}
