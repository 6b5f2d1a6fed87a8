// Carrying out what retention and clients delete: in slices, so that appends go on in between. The
// order of the steps, and why, is told in `Storage/PartitionLog+Retention`.

import IPC
import Linux
import Logging
import Model
import Service
import Storage

extension LogStore {
  /// How long one slice may take, ns.
  private static var sliceNs: UInt64 { 2_000_000 }

  /// One slice of what retention has to do; `retention.wakeMs` tells when the next one is due.
  func retain() {
    let nowMs = Clock.wallMs()
    let endNs = Clock.monotonicNs() + Self.sliceNs
    repeat {
      switch retention.next(nowMs: nowMs) {
      case .look(let slot): look(slot, nowMs)
      case .makeDurable(let slots): retention.madeDurable(makeStartsDurable(slots))
      case .remove(let slot): removeSegments(slot, nowMs)
      case .rest: return
      }
    } while Clock.monotonicNs() < endNs
  }

  private func look(_ slot: UInt32, _ nowMs: Int64) {
    guard let partitionLog = log(slot: slot) else {
      return retention.looked(slot, dueMs: .max, wasRaised: false)
    }
    let start = partitionLog.logStartOffset
    var dueMs = Int64.max
    do throws(StorageError) { dueMs = try partitionLog.applyRetention(nowMs: nowMs) } catch {
      tell(.partitionChangeFailed, partitionLog.partition, "retention cannot be applied: \(error)")
    }
    if partitionLog.logStartOffset > start { markChanged(slot) }
    retention.looked(slot, dueMs: dueMs, wasRaised: partitionLog.hasBreachedSegments)
  }

  /// - Returns: the slots in whose directory that could be done.
  private func makeStartsDurable(_ slots: [UInt32]) -> [UInt32] {
    var done: [UInt32] = []
    for directory in directories {
      let here = slots.filter { log(slot: $0)?.directory === directory }
      if here.isEmpty { continue }
      do throws(StorageError) {
        try withBallast(directory) { () throws(StorageError) in
          try directory.writeLogStarts(durable: true)
        }
        done += here
      } catch {
        if giveUp(directory, error) { continue }
        log.event(
          .partitionChangeFailed, "cannot delete old segments in \(directory.path): \(error)")
        // Without room for the checkpoint there will never be any: the names of removed segments
        // tell the next start the same, if the machine does not lose power at once.
        if error.isOutOfSpace {
          done += here
        } else {
          for slot in here { retention.touch(slot) }
        }
      }
    }
    return done
  }

  private func removeSegments(_ slot: UInt32, _ nowMs: Int64) {
    guard let partitionLog = log(slot: slot) else { return }
    do throws(StorageError) {
      let gone = try partitionLog.removeBreachedSegments(nowMs: nowMs)
      if gone.isEmpty { return }
      segmentsDropped(slot, gone)
      log.event(
        .segmentsDeleted, "deleted segments below offset \(gone.upperBound)",
        metadata: [
          "topic": "\(partitionLog.partition.topic)",
          "partition": "\(partitionLog.partition.partition)",
        ])
    } catch {
      retention.touch(slot)
      tell(
        .partitionChangeFailed, partitionLog.partition, "cannot delete old segments: \(error)")
    }
  }

  /// Deletes records for a client: durably, when this returns.
  func delete(_ records: [RecordsToDelete]) -> [RecordsDeleted] {
    var answers: [RecordsDeleted] = []
    var raised: [UInt32] = []
    for wanted in records {
      guard let partitionLog = log(slot: wanted.slot, generation: wanted.generation) else {
        answers.append(RecordsDeleted(error: .notLeaderOrFollower))
        continue
      }
      let start = partitionLog.logStartOffset
      let error = partitionLog.deleteRecords(before: wanted.beforeOffset)
      if partitionLog.logStartOffset > start { raised.append(wanted.slot) }
      answers.append(
        RecordsDeleted(
          error: error, lowWatermark: error == .none ? partitionLog.logStartOffset : -1))
    }
    let durable = raised.isEmpty ? [] : Set(makeStartsDurable(raised))
    for slot in raised {
      markChanged(slot)
      if durable.contains(slot) { retention.addBreached(slot) }
    }
    for index in records.indices where answers[index].error == .none {
      let slot = records[index].slot
      if raised.contains(slot), !durable.contains(slot) {
        answers[index] = RecordsDeleted(error: .kafkaStorageError)
      }
    }
    return answers
  }

  /// Removes some of the files whose time has come.
  func sweep() {
    let nowMs = Clock.wallMs()
    for directory in directories {
      if directory.failure != nil { continue }
      do throws(StorageError) { try directory.sweep(nowMs: nowMs) } catch {
        if giveUp(directory, error) { continue }
        log.event(
          .partitionChangeFailed, "cannot remove deleted files in \(directory.path): \(error)")
      }
    }
  }

  /// When `sweep` has something to do, ms since 1970; nil for never.
  var nextSweepMs: Int64? {
    directories.lazy.filter { $0.failure == nil }.compactMap(\.nextRemovalMs).min()
  }
}
