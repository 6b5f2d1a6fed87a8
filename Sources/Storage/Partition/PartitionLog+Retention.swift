// Where the log starts, and which segments are too old or too many (Kafka's
// UnifiedLog.deleteOldSegments and maybeIncrementLogStartOffset).
//
// Deleting has three steps, and a crash after any of them brings no record back:
// 1. The log start offset is raised in memory: nobody reads below it any more.
// 2. `LogDirectory.writeLogStarts` makes it durable. A start that finds segments below it drops them.
// 3. `removeBreachedSegments` renames the files of segments below it to *.deleted, the oldest first,
//    the .log of each before its other files. They are unlinked when `file.delete.delay.ms` has
//    passed (`LogDirectory.sweep`), or after the next start.
// Until step 2 is done a power loss may bring back what a client was not yet told to be gone.
//
// A segment is as old as its newest record, but not younger than its last append: a timestamp that
// lay in the future when it was written keeps nothing alive. Records without timestamps count by
// the time of the append alone. That time is the modification time of the .log file.

import Linux
import Model
import Records

extension PartitionLog {
  /// Raises the log start offset past segments that `retention.bytes` and `retention.ms` give up;
  /// with `compact` alone none are. If that is all of the log, a new segment is begun first.
  /// - Returns: when the oldest segment left will be too old, in ms since 1970; `.max` for never.
  public func applyRetention(nowMs: Int64) throws(StorageError) -> Int64 {
    let config = settings.config
    if isOffline || needsRecovery || !config.deletes { return .max }
    var count = breachedCount
    skipSurplus(&count, config.retentionBytes)
    var dueMs = Int64.max
    if config.retentionMs >= 0 {
      while count < segments.count, !isEmptyEnd(count) {
        dueMs = try expiryMs(of: count, retentionMs: config.retentionMs, nowMs: nowMs)
        if dueMs > nowMs { break }
        dueMs = .max
        count += 1
      }
    }
    if count == segments.count {
      _ = try openedSegment(nowMs: nowMs)
      // To make room must not fail for want of room.
      try roll(nowMs: nowMs)
    }
    raiseLogStart(to: segments[count].baseOffset)
    return dueMs
  }

  /// Raises the log start offset for a client (DeleteRecords, KIP-107).
  /// - Parameter offset: the first offset to keep; -1 means the high watermark.
  public func deleteRecords(before offset: Int64) -> ErrorCode {
    if isOffline { return .kafkaStorageError }
    if needsRecovery { return .notLeaderOrFollower }
    if !settings.config.deletes { return .policyViolation }
    let start = offset == -1 ? highWatermark : offset
    guard start >= 0, start <= highWatermark else { return .offsetOutOfRange }
    raiseLogStart(to: start)
    return .none
  }

  /// Never lowers it, and never raises it beyond the high watermark.
  func raiseLogStart(to offset: Int64) {
    precondition(offset <= highWatermark, "a log start behind the high watermark")
    logStartOffset = max(logStartOffset, offset)
  }

  /// Whether segments lie wholly below the log start offset.
  public var hasBreachedSegments: Bool { breachedCount > 0 }

  /// Takes segments below the log start offset away, which must be durable. Readers that have them
  /// open keep what they have.
  /// - Returns: the base offsets that are gone; empty if there were none.
  public func removeBreachedSegments(nowMs: Int64) throws(StorageError) -> Range<Int64> {
    let first = segments[0].baseOffset
    let count = breachedCount
    if isOffline || count == 0 { return first..<first }
    do throws(StorageError) {
      for _ in 0..<count {
        try directory.discard(
          segments[0].baseOffset, of: partition, dueMs: nowMs + settings.config.fileDeleteDelayMs)
        segments.removeFirst()
      }
      forgetTransactionIndexes()
      try trimEpochs()
    } catch {
      if !error.mayPass { fail(error) }
      throw error
    }
    return first..<segments[0].baseOffset
  }

  /// After a crash that lost more than retention had left: offsets below the log start were given
  /// out once and must not be given out again, so the log goes on, empty, at its start.
  func beginAgainAtLogStart() throws(StorageError) {
    precondition(logEndOffset < logStartOffset, "the log reaches its start")
    drop()
    for segment in segments { try directory.discard(segment.baseOffset, of: partition, dueMs: 0) }
    for offset in try snapshots() {
      let path = path(.snapshot, offset)
      try about("remove", path) { () throws(Errno) in try device.remove(path) }
    }
    let segment = LogSegment(baseOffset: logStartOffset, size: 0)
    isRoomSetAside = false
    _ = try createFiles(of: segment, .ifThereIsSome)
    segments = [segment]
    logEndOffset = logStartOffset
    recoveryPoint = logStartOffset
    indexedBelow = logStartOffset
    producers = ProducerState()
    firstUnstableOffset = -1
    transactionIndexes = []
    snapshotOffset = -1
    epochs = []
    try writeEpochs(isFirst: false)
  }

  /// Segments that lie wholly below the log start offset; never the active one.
  private var breachedCount: Int {
    var count = 0
    while count + 1 < segments.count, segments[count + 1].baseOffset <= logStartOffset {
      count += 1
    }
    return count
  }

  /// An active segment without records is not worth deleting.
  private func isEmptyEnd(_ index: Int) -> Bool {
    index + 1 == segments.count && segments[index].size == 0
  }

  /// Skips the oldest segments as long as what is left has `retentionBytes` or more.
  private func skipSurplus(_ count: inout Int, _ retentionBytes: Int64) {
    if retentionBytes < 0 { return }
    var surplus = segments[count...].reduce(0) { $0 + $1.size } - retentionBytes
    while count < segments.count, !isEmptyEnd(count), surplus >= segments[count].size {
      surplus -= segments[count].size
      count += 1
    }
  }

  // MARK: Age

  /// When a segment becomes too old.
  private func expiryMs(of index: Int, retentionMs: Int64, nowMs: Int64) throws(StorageError)
    -> Int64
  {
    func expiry(_ newestMs: Int64) -> Int64 {
      let (sum, overflow) = newestMs.addingReportingOverflow(retentionMs)
      return overflow || sum == .max ? .max : sum + 1
    }
    let segment = segments[index]
    let logPath = path(.log, segment.baseOffset)
    let appendedMs = try about("stat", logPath) { () throws(Errno) in
      try File.status(logPath).modifiedMs
    }
    if expiry(appendedMs) <= nowMs { return expiry(appendedMs) }
    let told = try toldTimestamp(of: index)
    if told < 0 { return expiry(appendedMs) }
    if expiry(told) > nowMs { return expiry(min(told, appendedMs)) }
    // Nothing is deleted because an index says so: they have no checksums, and may end early.
    let newest = try greatestTimestamp(of: index)
    return expiry(newest < 0 ? appendedMs : min(newest, appendedMs))
  }

  /// The greatest timestamp that is known without reading batches, -1 if there is none.
  private func toldTimestamp(of index: Int) throws(StorageError) -> Int64 {
    if let active, index + 1 == segments.count { return active.maxTimestamp }
    return try lastTimeIndexEntry(segments[index], notAfter: .max)?.timestamp
      ?? RecordBatchHeader.noTimestamp
  }

  /// The greatest timestamp of a segment's batches, -1 if none has one or they cannot be read. The
  /// time index is believed for the batches before its last entry if that entry is true.
  private func greatestTimestamp(of index: Int) throws(StorageError) -> Int64 {
    if let active, index + 1 == segments.count { return active.maxTimestamp }
    let segment = segments[index]
    if let entry = try lastTimeIndexEntry(segment, notAfter: .max) {
      let offset = segment.baseOffset + Int64(entry.relativeOffset)
      let position = try indexedPosition(of: offset, in: segment)
      let (greatest, ofEntry) = try timestamps(in: segment, from: position, offset: offset)
      if ofEntry == entry.timestamp { return max(greatest, entry.timestamp) }
    }
    return try timestamps(in: segment, from: 0, offset: -1).greatest
  }

  /// The greatest timestamp from a position on, and the one of the batch that ends with `offset`.
  private func timestamps(in segment: LogSegment, from position: Int64, offset: Int64)
    throws(StorageError) -> (greatest: Int64, ofOffset: Int64?)
  {
    let path = path(.log, segment.baseOffset)
    let file = try about("open", path) { () throws(Errno) in try device.open(path, .readOnly) }
    var greatest = RecordBatchHeader.noTimestamp
    var found: Int64?
    let end = try environment.scanner.scan(
      file, path: path, from: position, size: segment.size, segmentBase: segment.baseOffset,
      nextOffset: segment.baseOffset, nextSegmentBase: nil, checkedFrom: .max
    ) { (header, _, _) throws(StorageError) in
      greatest = max(greatest, header.maxTimestamp)
      if header.lastOffset == offset { found = header.maxTimestamp }
    }
    // A damaged segment counts by the time of its last append, which is not before its records'.
    return end.defect == nil ? (greatest, found) : (RecordBatchHeader.noTimestamp, nil)
  }

  // MARK: Leader epochs

  /// Forgets leader epochs that ended below the log start offset; the one that goes on begins there
  /// (Kafka's `LeaderEpochFileCache.truncateFromStart`).
  private func trimEpochs() throws(StorageError) {
    if !isLoaded {
      do throws(StorageError) {
        epochs = try LeaderEpochCheckpoint.read(
          "\(path)/\(LogFileName.leaderEpochCheckpoint)", device)
      } catch {
        // Whoever loads the log judges the file.
        guard case .format = error.cause else { throw error }
        return
      }
    }
    guard let last = epochs.lastIndex(where: { $0.startOffset <= logStartOffset }),
      epochs[0].startOffset < logStartOffset
    else { return }
    epochs.removeFirst(last)
    epochs[0].startOffset = logStartOffset
    try writeEpochs(isFirst: false)
  }
}
