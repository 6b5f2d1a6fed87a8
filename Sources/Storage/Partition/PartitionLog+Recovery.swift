// After a crash: read every batch behind the recovery point, cut the log before the first one that is
// not whole, and derive the rest (indexes, producers, leader epochs) from what is left.
//
// What was below the recovery point had been promised to be on disk. If it cannot be walked through,
// nothing is cut: the log goes offline and its files stay as they are. A recovery point beyond the
// end of a log that is otherwise whole counts as unknown: then everything is read.

import Linux
import Model
import Records

/// What a recovery did, for the log line.
public struct RecoveryReport: Equatable, Sendable, CustomStringConvertible {
  /// Bytes that were read and whose checksums were compared.
  public var checkedBytes: Int64 = 0
  /// What was cut off, in bytes, whole segments included.
  public var cutBytes: Int64 = 0
  /// Segments that were removed because they lay behind the cut.
  public var removedSegments = 0
  /// Where the log was cut, or would have been: its end.
  public var logEndOffset: Int64 = 0
  /// Why it was cut; nil when all was whole.
  public var defect: String?
  /// The recovery point lay beyond the end, so the whole log was read.
  public var lostRecoveryPoint: Int64?

  public var description: String {
    var text = "read \(checkedBytes) bytes, ends at offset \(logEndOffset)"
    if let point = lostRecoveryPoint { text += ", ends before its recovery point \(point)" }
    if let defect { text += ", cut \(cutBytes) bytes: \(defect)" }
    if removedSegments > 0 { text += ", removed \(removedSegments) later segments" }
    return text
  }
}

extension PartitionLog {
  /// Makes the log usable after a crash. An error takes it offline.
  public func recover(nowMs: Int64) throws(StorageError) -> RecoveryReport {
    precondition(needsRecovery, "nothing to recover")
    do throws(StorageError) {
      var report = try recover(from: recoveryPoint, nowMs: nowMs)
      if logEndOffset < recoveryPoint {
        let point = recoveryPoint
        recoveryPoint = 0
        report = try recover(from: 0, nowMs: nowMs)
        report.lostRecoveryPoint = point
      }
      recoveryPoint = min(recoveryPoint, logEndOffset)
      if logEndOffset < logStartOffset { try beginAgainAtLogStart() }
      needsRecovery = false
      isLoaded = true
      return report
    } catch {
      fail(error)
      throw error
    }
  }

  private func recover(from point: Int64, nowMs: Int64) throws(StorageError) -> RecoveryReport {
    var report = RecoveryReport()
    var index = segments.lastIndex { $0.baseOffset <= point } ?? 0
    let known = try loadForRecovery(upTo: max(point, segments[index].baseOffset))
    let replayFrom = snapshotOffset >= 0 ? snapshotOffset : segments[index].baseOffset
    for (earlier, segment) in segments[..<index].enumerated()
    where segments[earlier + 1].baseOffset > replayFrom {
      try replay(segment, from: replayFrom)
    }
    logEndOffset = segments[index].baseOffset
    while index < segments.count {
      let segment = segments[index]
      if segment.baseOffset < logEndOffset {
        report.defect = "segment \(segment.baseOffset) begins before the end of the one before"
        break
      }
      let end = try recover(segment, from: point, replayFrom: replayFrom, nowMs, &report)
      logEndOffset = end.nextOffset
      index += 1
      if let defect = end.defect {
        if end.nextOffset < point { throw promised(defect, segment, end.nextOffset..<point) }
        report.defect = defect
        report.cutBytes = segment.size - end.position
        segments[index - 1].size = end.position
        break
      }
    }
    try removeSegments(from: index, &report)
    try finishRecovery(above: point, known)
    report.logEndOffset = logEndOffset
    return report
  }

  /// Checks one segment, cuts it, and completes its indexes.
  private func recover(
    _ segment: LogSegment, from point: Int64, replayFrom: Int64, _ nowMs: Int64,
    _ report: inout RecoveryReport
  ) throws(StorageError) -> ScanEnd {
    let opened = try openSegment(segment, keepBelow: point, nowMs: nowMs)
    let end = try walk(opened, segment, replayFrom: replayFrom, checkedFrom: point)
    report.checkedBytes += end.position - (point <= segment.baseOffset ? 0 : opened.indexedPosition)
    if end.defect != nil, end.nextOffset >= point {
      try about("cut", path(.log, segment.baseOffset)) { () throws(Errno) in
        try device.truncate(opened.active.file, to: end.position)
      }
    }
    try finishIndexes(opened.active)
    return end
  }

  /// - Returns: the leader epochs as the checkpoint has them.
  private func loadForRecovery(upTo offset: Int64) throws(StorageError) -> [LeaderEpochEntry] {
    do throws(StorageError) {
      epochs = try LeaderEpochCheckpoint.read(
        "\(path)/\(LogFileName.leaderEpochCheckpoint)", device)
    } catch {
      // The batches behind the recovery point carry their epochs; a checkpoint torn by the crash is
      // written anew from them.
      guard case .format = error.cause else { throw error }
      epochs = []
    }
    _ = try loadSnapshot(upTo: offset)
    return epochs
  }

  private func removeSegments(from index: Int, _ report: inout RecoveryReport)
    throws(StorageError)
  {
    for segment in segments[index...] {
      report.cutBytes += segment.size
      report.removedSegments += 1
      try removeFiles(of: segment)
    }
    if index == segments.count { return }
    segments.removeSubrange(index...)
    // What is appended from now on must not meet them again.
    try device.syncDirectory(path)
    if segments.isEmpty {
      let segment = LogSegment(baseOffset: logEndOffset, size: 0)
      _ = try createFiles(of: segment)
      segments.append(segment)
    }
  }

  /// Snapshots and epochs as the recovered batches have them; `known` are those on disk.
  private func finishRecovery(above point: Int64, _ known: [LeaderEpochEntry])
    throws(StorageError)
  {
    for offset in try snapshots() where offset > point {
      let path = path(.snapshot, offset)
      try about("remove", path) { () throws(Errno) in try device.remove(path) }
    }
    isLoaded = true
    try takeSnapshot()
    epochs.removeAll { $0.startOffset >= logEndOffset }
    if epochs != known { try writeEpochs() }
  }

  /// Damage to what was promised to be on disk: kept as it is.
  private func promised(_ defect: String, _ segment: LogSegment, _ offsets: Range<Int64>)
    -> StorageError
  {
    StorageError(
      "recover", path(.log, segment.baseOffset), .corruption(defect, offsets: offsets))
  }

  func removeFiles(of segment: LogSegment) throws(StorageError) {
    for kind in [LogFileKind.log, .index, .timeindex, .txnindex, .snapshot] {
      let path = path(kind, segment.baseOffset)
      try about("remove", path) { () throws(Errno) in try device.remove(path) }
    }
  }
}
