// What recovery changes on disk: files that go, snapshots, leader epochs. `LogRecovery` decides.

import Linux
import Model

extension PartitionLog {
  /// Makes the log usable after a crash, in one go. An error takes it offline.
  @discardableResult
  public func recover(nowMs: Int64) throws(StorageError) -> RecoveryReport {
    let recovery = LogRecovery(self, nowMs: nowMs)
    while true {
      if let report = try recovery.advance(bytesMax: .max) { return report }
    }
  }

  /// Bytes that a recovery has to look at, at most.
  public var unrecoveredBytes: Int64 {
    let first = segments.lastIndex { $0.baseOffset <= recoveryPoint } ?? 0
    return segments[first...].reduce(0) { $0 + $1.size }
  }

  /// Reads leader epochs and the newest producers at or below `offset`.
  /// - Returns: the leader epochs as the checkpoint has them.
  func loadForRecovery(upTo offset: Int64) throws(StorageError) -> [LeaderEpochEntry] {
    epochs = try readEpochs(mayBeTorn: true)
    _ = try loadSnapshot(upTo: offset)
    isLoaded = true
    return epochs
  }

  /// The leader epochs as the checkpoint has them. After a crash it may be torn: the batches behind
  /// the recovery point carry their epochs, and what is below it was synced with its checkpoint.
  func readEpochs(mayBeTorn: Bool) throws(StorageError) -> [LeaderEpochEntry] {
    do throws(StorageError) {
      return try LeaderEpochCheckpoint.read(
        "\(path)/\(LogFileName.leaderEpochCheckpoint)", device)
    } catch {
      guard mayBeTorn, case .format = error.cause else { throw error }
      return []
    }
  }

  /// Removes the producers as of offsets that may be cut off.
  func removeSnapshots(above point: Int64) throws(StorageError) {
    for offset in try snapshots() where offset > point {
      let path = path(.snapshot, offset)
      try about("remove", path) { () throws(Errno) in try device.remove(path) }
    }
  }

  /// Removes segments behind a cut. They are gone for good when this returns: what is appended from
  /// now on must not meet them after another crash.
  func removeSegments(from index: Int, _ report: inout RecoveryReport) throws(StorageError) {
    if index == segments.count { return }
    for segment in segments[index...] {
      report.cutBytes += segment.size
      report.removedSegments += 1
      try removeFiles(of: segment)
    }
    segments.removeSubrange(index...)
    forgetTransactionIndexes()
    try device.syncDirectory(path)
  }

  /// Brings a segment's indexes up to date. Those that have no entry are there too, as a roll leaves
  /// them: a segment without them is one that has lost them.
  func finishRecoveredIndexes(_ active: ActiveSegment) throws(StorageError) {
    try finishIndexes(active)
    for kind in [LogFileKind.index, .timeindex] {
      let path = path(kind, active.baseOffset)
      try about("create", path) { () throws(Errno) in
        _ = try device.open(path, [.readWrite, .create])
      }
    }
    unsynced.insert(.directory)
  }

  /// Snapshots and epochs as the recovered batches have them; `known` are those on disk.
  func finishRecovery(_ known: [LeaderEpochEntry]) throws(StorageError) {
    try takeSnapshot(at: logEndOffset)
    firstUnstableOffset = producers.firstUnstableOffset
    epochs.removeAll { $0.startOffset >= logEndOffset }
    if epochs != known { try writeEpochs(isFirst: known.isEmpty) }
  }

  func removeFiles(of segment: LogSegment) throws(StorageError) {
    for kind in [LogFileKind.log, .index, .timeindex, .txnindex, .snapshot] {
      let path = path(kind, segment.baseOffset)
      try about("remove", path) { () throws(Errno) in try device.remove(path) }
    }
  }
}
