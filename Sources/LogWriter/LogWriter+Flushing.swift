// What happens when syncs are done, and when they and the checkpoints are due. The timers run only
// while there is something to be flushed or written down: a broker at rest has none.

import IPC
import Linux
import Logging
import Model
import Service
import Storage

/// Which timers run.
struct FlushTimers {
  var timedFlush: TimerID?
  var timedFlushDueMs: Int64 = 0
  /// When logs were last looked at for `flush.ms`, in ms of the monotonic clock.
  var lookedMs: Int64 = 0
  var isCheckpointArmed = false
}

extension LogWriter {
  /// A log has more on disk: who waited for that is answered.
  func flushed(_ log: PartitionLog) {
    waiting.release(log.place, upTo: log.recoveryPoint, deliver)
  }

  /// A log went offline with the answers that waited for it.
  func failed(_ log: PartitionLog) { waiting.fail(log.place, .kafkaStorageError, deliver) }

  /// Partitions were deleted: nobody is left waiting.
  func released(_ slot: UInt32) { waiting.fail(slot, .unknownTopicOrPartition, deliver) }

  func flushTimerExpired(_ source: Source) {
    switch source {
    case .timedFlush:
      flushTimers.timedFlush = nil
      flushTimers.lookedMs = Clock.monotonicMs()
      store.environment.beginTimedFlushes(nowMs: flushTimers.lookedMs)
    case .checkpoint:
      flushTimers.isCheckpointArmed = false
      for directory in store.directories where directory.recoveryPointsChanged {
        directory.beginCheckpoint()
      }
    default: preconditionFailure("not a timer of flushing")
    }
  }

  /// At the end of each round: arms what the round has given reason to.
  func armFlushTimers() {
    armTimedFlush()
    for directory in store.directories {
      if let failure = directory.takeCheckpointFailure() {
        context.log.event(
          .partitionChangeFailed,
          "a checkpoint could not be written, and will be tried again: \(failure)")
      }
      guard directory.canBeginCheckpoint else { continue }
      if directory.recoveryPointsChanged, !flushTimers.isCheckpointArmed {
        flushTimers.isCheckpointArmed = true
        loop.schedule(afterMs: store.intervals.checkpointMs, .checkpoint)
      }
    }
  }

  private func armTimedFlush() {
    guard let next = store.environment.nextTimedFlushMs else { return }
    let due = max(next, flushTimers.lookedMs &+ store.intervals.flushLookMs)
    if let armed = flushTimers.timedFlush {
      if flushTimers.timedFlushDueMs <= due { return }
      loop.cancel(armed)
    }
    flushTimers.timedFlushDueMs = due
    flushTimers.timedFlush = loop.schedule(afterMs: due - Clock.monotonicMs(), .timedFlush)
  }
}
