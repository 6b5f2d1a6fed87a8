// The checkpoints of a log directory: what they say, and when they are to be written.
//
// A recovery point that the disk knows must never be beyond what it belongs to. So a partition that
// is deleted stays in `forgotten` until a checkpoint without it is on disk; a new one of the same
// name, which would inherit the offset after a crash, waits for that.

import Linux
import Model

extension LogDirectory {
  /// The recovery point of a log has moved.
  func recoveryPointMoved() { recoveryPointsChanged = true }

  /// No checkpoint is being written.
  public var canBeginCheckpoint: Bool { checkpointWriter.isIdle }

  /// Begins to write the recovery points, and the high watermarks with them, beside the loop. While a
  /// checkpoint is being written nothing happens, and `recoveryPointsChanged` stays.
  public func beginCheckpoint() {
    guard checkpointWriter.isIdle else { return }
    recoveryPointsChanged = false
    forgottenInWriting = forgotten
    checkpointWriter.begin([.recoveryPoint, .replication])
  }

  /// What the writer has done.
  func checkpointEnded(
    _ points: [(log: PartitionLog, offset: Int64)], _ failure: StorageError?
  ) {
    if let failure {
      // The old ones are in their places: later is soon enough.
      recoveryPointsChanged = true
      checkpointFailure = failure
      return
    }
    for (log, offset) in points {
      if offset != log.checkpointedRecoveryPoint { environment.noteCleanable(log) }
      log.checkpointedRecoveryPoint = offset
      log.indexedBelow = max(log.indexedBelow, offset)
      // Its indexes were not ready.
      if offset < log.recoveryPoint, !log.isOffline { recoveryPointsChanged = true }
    }
    forgotten.subtract(forgottenInWriting)
    forgottenInWriting = []
  }

  /// Why the last checkpoint could not be written, once.
  public func takeCheckpointFailure() -> StorageError? {
    defer { checkpointFailure = nil }
    return checkpointFailure
  }

  /// Writes the checkpoints as the logs are now, on the spot; that of the cleaner is written when
  /// something was cleaned.
  public func writeCheckpoints(durable: Bool) throws(StorageError) {
    checkpointWriter.cancel()
    for kind in OffsetCheckpoint.allCases where kind != .cleaner {
      try kind.write(offsets(of: kind), in: path, environment.device, durable: durable)
    }
    recoveryPointsChanged = false
    if durable {
      for log in logs.values { log.checkpointedRecoveryPoint = log.writtenRecoveryPoint }
      forgotten = []
    }
  }

  /// Writes cleaner-offset-checkpoint as the logs are now, on the spot. A cleaned offset that is lost
  /// costs another cleaning; one that outlives its partition would cost more, hence `durable`.
  public func writeCleanedOffsets(durable: Bool) throws(StorageError) {
    try OffsetCheckpoint.cleaner.write(
      offsets(of: .cleaner), in: path, environment.device, durable: durable)
  }

  /// The entries of a checkpoint, in order.
  func offsets(of kind: OffsetCheckpoint) -> [(partition: TopicPartition, offset: Int64)] {
    var all: [(partition: TopicPartition, offset: Int64)] = []
    for log in logs.values {
      switch kind {
      case .recoveryPoint: all.append((log.partition, log.writtenRecoveryPoint))
      case .replication: all.append((log.partition, log.highWatermark))
      case .logStart where log.logStartOffset > 0:
        all.append((log.partition, log.logStartOffset))
      case .cleaner where log.cleanedOffset >= 0:
        all.append((log.partition, log.cleanedOffset))
      case .logStart, .cleaner: break
      }
    }
    if kind == .logStart { all += unloadedLogStarts }
    if kind == .cleaner { all += unloadedCleanedOffsets }
    return all.sorted { $0.partition < $1.partition }
  }
}

extension PartitionLog {
  /// The recovery point as it may be written down now.
  var writtenRecoveryPoint: Int64 {
    isOffline || needsRecovery ? checkpointedRecoveryPoint : min(recoveryPoint, indexedBelow)
  }
}
