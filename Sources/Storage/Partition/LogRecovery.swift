// After a crash: read every batch behind the recovery point, cut the log before the first one that is
// not whole, and derive the rest (indexes, aborted transactions, producers, leader epochs) from what
// is left.
//
// What was below the recovery point had been promised to be on disk. If it cannot be walked through,
// or is not there, nothing is cut: the log goes offline with an error that names the offsets, and its
// files stay as they are. Behind it offsets follow one another without a gap, unless compaction made
// one; so a segment whose end was lost at a boundary of batches is noticed.
//
// It goes in slices, so that the partitions that are ready are served meanwhile. The caller may not
// use the log before it is done. Closed segments that lack an index file get it back on the way, after
// a clean stop as well.

import Linux
import Model
import Records

public final class LogRecovery {
  public let log: PartitionLog
  /// Bytes looked at so far.
  public private(set) var bytesDone: Int64 = 0

  private enum Phase {
    /// Making the indexes of closed segments below the recovery point, the next of `unindexed`.
    case indexing(PartitionLog.Opened?, ScanEnd)
    /// Taking the producers of closed segments over, from segment `index` on.
    case replaying(index: Int, ScanEnd)
    case checking(index: Int, PartitionLog.Opened?, ScanEnd)
    case done
  }

  private let nowMs: Int64
  private let point: Int64
  private var phase = Phase.indexing(nil, .start)
  private var report = RecoveryReport()
  private var knownEpochs: [LeaderEpochEntry] = []
  private var first = 0
  private var replayFrom: Int64 = 0

  public init(_ log: PartitionLog, nowMs: Int64) {
    precondition(log.needsRecovery || !log.unindexed.isEmpty, "nothing to recover")
    self.log = log
    self.nowMs = nowMs
    point = log.recoveryPoint
  }

  /// Goes on for about `bytesMax` bytes. An error takes the log offline.
  /// - Returns: what was done, when it is.
  public func advance(bytesMax: Int64) throws(StorageError) -> RecoveryReport? {
    do throws(StorageError) {
      let budget = bytesDone.addingReportingOverflow(bytesMax)
      let limit = budget.overflow ? .max : budget.partialValue
      while bytesDone < limit {
        if case .done = phase { break }
        try step(bytesMax: limit - bytesDone)
      }
      guard case .done = phase else { return nil }
      // Nobody compacts it before.
      log.environment.noteCleanable(log)
      return report
    } catch {
      phase = .done
      log.fail(error)
      throw error
    }
  }

  private func step(bytesMax: Int64) throws(StorageError) {
    switch phase {
    case .indexing(let opened, let at): try index(opened, at, bytesMax)
    case .replaying(let index, let at): try replay(index, at, bytesMax)
    case .checking(let index, let opened, let at): try check(index, opened, at, bytesMax)
    case .done: break
    }
  }

  // MARK: Indexes of closed segments

  private func index(_ known: PartitionLog.Opened?, _ at: ScanEnd, _ bytesMax: Int64)
    throws(StorageError)
  {
    guard let base = log.unindexed.last,
      let segment = log.segments.first(where: { $0.baseOffset == base })
    else {
      if !log.unindexed.isEmpty {
        _ = log.unindexed.removeLast()
        return
      }
      return log.needsRecovery ? try begin() : finishIndexing()
    }
    let opened: PartitionLog.Opened
    if let known {
      opened = known
    } else {
      opened = try log.openSegment(
        segment, keepBelow: base, transactionsBelow: .max, nowMs: nowMs)
    }
    let from = at.isStart ? ScanEnd(position: 0, nextOffset: base) : at
    let end = try log.walk(
      opened, segment, at: from, replayFrom: .max, checkedFrom: .max, abortedFrom: .max,
      isIndexed: false, bytesMax: bytesMax)
    bytesDone += end.position - from.position
    if let defect = end.defect { throw promised(defect, segment, end.nextOffset) }
    if end.isPaused {
      phase = .indexing(opened, end)
      return
    }
    try log.finishRecoveredIndexes(opened.active)
    try log.syncRebuilt(opened.active)
    report.indexedSegments += 1
    log.unindexed.removeLast()
    phase = .indexing(nil, .start)
  }

  /// There was nothing else to do.
  private func finishIndexing() {
    // The walk has seen epochs; they are read with the producers at the first append.
    log.epochs = []
    report.logEndOffset = log.logEndOffset
    phase = .done
  }

  // MARK: Producers

  private func begin() throws(StorageError) {
    // A segment that begins at the point may be all that is on disk of a roll: the one before it may
    // lack the end of its indexes, and the producers as of the roll may be lost.
    first = log.segments.lastIndex { $0.baseOffset < point } ?? 0
    let base = log.segments[first].baseOffset
    knownEpochs = try log.loadForRecovery(upTo: max(point, base))
    // The one of the first segment is all that tells of producers from before the log start: nothing
    // that it was made from can be cut off, and the next recovery may need it again.
    try log.removeSnapshots(above: max(point, log.segments[0].baseOffset))
    // Without a snapshot there were no producers at the beginning of the segment: those of some would
    // have been synced before the recovery point moved into it.
    replayFrom = log.snapshotOffset >= 0 ? log.snapshotOffset : base
    log.logEndOffset = base
    let index = log.segments[..<first].indices.first {
      log.segments[$0 + 1].baseOffset > replayFrom
    }
    phase = .replaying(index: index ?? first, .start)
  }

  private func replay(_ index: Int, _ at: ScanEnd, _ bytesMax: Int64) throws(StorageError) {
    if index == first {
      phase = .checking(index: first, nil, .start)
      return
    }
    let segment = log.segments[index]
    let from = at.isStart ? ScanEnd(position: 0, nextOffset: segment.baseOffset) : at
    let end = try log.replay(segment, from: replayFrom, at: from, bytesMax: bytesMax)
    bytesDone += end.position - from.position
    if let defect = end.defect { throw log.corrupt(defect, from: end.nextOffset) }
    phase = end.isPaused ? .replaying(index: index, end) : .replaying(index: index + 1, .start)
  }

  // MARK: Batches behind the recovery point

  private func check(
    _ index: Int, _ known: PartitionLog.Opened?, _ at: ScanEnd, _ bytesMax: Int64
  ) throws(StorageError) {
    let segment = log.segments[index]
    let opened: PartitionLog.Opened
    if let known {
      opened = known
    } else {
      if segment.baseOffset < log.logEndOffset {
        return try finish(
          index, "segment \(segment.baseOffset) begins before the end of the one before")
      }
      opened = try log.openSegment(
        segment, keepBelow: point, transactionsBelow: point, nowMs: nowMs)
    }
    let from =
      at.isStart
      ? try log.walkStart(opened, segment, replayFrom: replayFrom) : at
    let end = try log.walk(
      opened, segment, at: from, replayFrom: replayFrom, checkedFrom: point, abortedFrom: point,
      isIndexed: !opened.isRebuilt, bytesMax: bytesMax)
    let start = at.isStart && point <= segment.baseOffset ? 0 : from.position
    report.checkedBytes += end.position - start
    bytesDone += end.position - from.position
    if end.isPaused {
      phase = .checking(index: index, opened, end)
      return
    }
    try closeSegment(index, opened, end)
  }

  /// A segment has been walked through: cuts it at a defect, completes its indexes, and goes on.
  private func closeSegment(_ index: Int, _ opened: PartitionLog.Opened, _ end: ScanEnd)
    throws(StorageError)
  {
    let segment = log.segments[index]
    if let defect = end.defect {
      if isPromised(end.nextOffset) { throw promised(defect, segment, end.nextOffset) }
      try about("cut", log.path(.log, segment.baseOffset)) { () throws(Errno) in
        try log.device.truncate(opened.active.file, to: end.position)
      }
      report.cutBytes = segment.size - end.position
      log.segments[index].size = end.position
    }
    try log.finishRecoveredIndexes(opened.active)
    if opened.isRebuilt { try log.syncRebuilt(opened.active) }
    log.logEndOffset = end.nextOffset
    if let defect = end.defect { return try finish(index + 1, defect) }
    guard index + 1 < log.segments.count else { return try finish(index + 1, nil) }
    let next = log.segments[index + 1].baseOffset
    if end.nextOffset < next, next > log.cleanedOffset {
      let defect = "offsets \(end.nextOffset) to \(next - 1) are missing"
      if isPromised(end.nextOffset) { throw promised(defect, segment, end.nextOffset) }
      return try finish(index + 1, defect)
    }
    // As the roll had written it, which may not be on disk: the next recovery may begin here.
    try log.takeSnapshot(at: next)
    phase = .checking(index: index + 1, nil, .start)
  }

  /// Cuts off the segments from `index` on, if any, and writes what is derived.
  private func finish(_ index: Int, _ defect: String?) throws(StorageError) {
    if log.logEndOffset < point, log.logStartOffset <= log.logEndOffset {
      let last = log.segments[max(0, index - 1)]
      throw promised("the log ends at offset \(log.logEndOffset)", last, log.logEndOffset)
    }
    report.defect = defect
    try log.removeSegments(from: index, &report)
    try log.finishRecovery(knownEpochs)
    log.recoveryPoint = min(log.recoveryPoint, log.logEndOffset)
    log.indexedBelow = min(log.indexedBelow, log.logEndOffset)
    if log.logEndOffset < log.logStartOffset { try log.beginAgainAtLogStart() }
    log.needsRecovery = false
    report.logEndOffset = log.logEndOffset
    phase = .done
  }

  /// Whether something at or behind `offset` was promised to be on disk. What lies below the log start
  /// was deleted, and whatever a crash brought back of it need not be whole.
  private func isPromised(_ offset: Int64) -> Bool { max(offset, log.logStartOffset) < point }

  /// Damage to what was promised to be on disk, from `offset` to the recovery point, or to the end of
  /// a closed segment below it: kept as it is.
  private func promised(_ defect: String, _ segment: LogSegment, _ offset: Int64) -> StorageError {
    let next = log.segments.first { $0.baseOffset > segment.baseOffset }?.baseOffset
    let end = max(offset + 1, offset < point ? point : next ?? offset)
    return StorageError(
      "recover", log.path(.log, segment.baseOffset),
      .corruption(defect, offsets: offset..<(next.map { min($0, end) } ?? end)))
  }
}

extension ScanEnd {
  /// Nothing has been read yet.
  static let start = ScanEnd(position: -1, nextOffset: -1)
  var isStart: Bool { position < 0 }
}
