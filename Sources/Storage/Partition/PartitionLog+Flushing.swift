// When a log is made durable, and which files that takes. `PartitionFlush` does it beside the loop;
// `flush` on the spot, where there is nothing else to do.

import Linux
import Model

extension PartitionLog {
  /// Longer than any process lives, and leaves sums room.
  private static var flushMsMax: Int64 { 1 << 42 }

  /// What an answer waits for before it may be sent.
  public enum Durability: Equatable, Sendable {
    /// The records are in the page cache: they survive the death of any process.
    case written
    /// The records below this offset must be on disk.
    case onDisk(below: Int64)
  }

  /// Begins what the topic's settings ask for after appends: call it once behind their `commit`.
  /// - Parameters:
  ///   - acksAll: whether a producer waits for all replicas. This one is all there are, so it waits
  ///     for the disk, unless the topic has `sluice.acks.all.durable=false`.
  ///   - nowMs: of the clock that `LogEnvironment.timedFlushes` is asked with.
  /// - Returns: what a producer's answer has to wait for: with acks=all, and with any other acks.
  public func flushAfterAppend(acksAll: Bool, nowMs: Int64) -> (
    acksAll: Durability, any: Durability
  ) {
    let config = settings.config
    let end = logEndOffset
    var reached = Durability.written
    if config.flushMessages < .max,
      end - max(recoveryPoint, flushing?.wanted ?? 0) >= config.flushMessages
    {
      // Kafka flushes within the append that makes the number full: its answer comes after.
      requestFlush()
      reached = isOffline ? .written : .onDisk(below: end)
    }
    if config.flushMs < .max, flushDueMs == 0, recoveryPoint < end {
      flushDueMs = nowMs + min(max(1, config.flushMs), Self.flushMsMax)
      environment.noteTimedFlush(self)
    }
    guard acksAll, config.acksAllDurable, recoveryPoint < end, !isOffline else {
      return (reached, reached)
    }
    requestFlush()
    return (.onDisk(below: end), reached)
  }

  /// Begins to make everything up to the end of the log durable, unless it is.
  public func requestFlush() {
    if isOffline || needsRecovery || recoveryPoint >= logEndOffset { return }
    flush(below: logEndOffset)
  }

  /// Begins to make the closed segments durable, unless they are. A roll does that by itself, but what
  /// a crash left and recovery took back was never asked for.
  public func flushClosedSegments() {
    if isOffline || needsRecovery || recoveryPoint >= activeSegment.baseOffset { return }
    flush(below: activeSegment.baseOffset)
  }

  /// Begins to make what is below `offset` durable.
  func flush(below offset: Int64) {
    if flushing == nil { flushing = PartitionFlush(self) }
    flushing?.want(offset)
  }

  /// `flush.ms` has passed for the oldest record that is not on disk.
  func timedFlushIsDue() {
    flushDueMs = 0
    requestFlush()
  }

  /// Whether `flush` has anything to do.
  var isChangedSinceFlush: Bool {
    min(recoveryPoint, indexedBelow) < logEndOffset || !unsynced.isEmpty
      || flushing?.taken.isEmpty == false
  }

  /// Makes everything durable now: the log, and what goes with it, indexes included. Nothing may be
  /// staged.
  public func flush() throws(StorageError) {
    unsynced.formUnion(flushing?.taken ?? [])
    if isOffline || needsRecovery || !isChangedSinceFlush { return }
    var failure: Errno?
    do throws(StorageError) {
      if let active { try flushTails(active) }
      try filesToSync(withActive: true, withItsIndexes: true) { _, descriptor, dataOnly in
        if failure != nil { return }
        do throws(Errno) {
          try device.sync(descriptor: descriptor, dataOnly: dataOnly)
        } catch { failure = error }
      }
      if let failure { throw StorageError("sync", path, .system(failure)) }
    } catch {
      fail(error)
      throw error
    }
    unsynced = []
    indexedBelow = logEndOffset
    moveRecoveryPoint(to: logEndOffset)
  }

  /// Opens the index files of the active segment, brought up to date, to be synced.
  func indexesToSync(_ body: (SyncedFile) -> Void) throws(StorageError) {
    if let active { try flushTails(active) }
    let base = activeSegment.baseOffset
    for kind in [LogFileKind.index, .timeindex, .txnindex] {
      if kind == .txnindex, transactionIndexes.last != base { continue }
      let path = path(kind, base)
      do throws(Errno) { body(SyncedFile(path, try device.open(path, .readOnly))) } catch {
        if !error.isNotFound { throw StorageError("sync", path, .system(error)) }
      }
    }
  }

  /// The files that must be on disk before the recovery point may move to the end of the log (or, not
  /// `withActive`, to the end of its closed segments), opened: their data, and the names that lead to
  /// them. Everything that recovery does not derive from batches behind the recovery point.
  ///
  /// - closed segments from the recovery point on: records, indexes (their last time index entry
  ///   tells the greatest timestamp), aborted transactions; of the active one the records, and its
  ///   indexes when a recovery point is written down (`indexesToSync`);
  /// - producers as of the beginning of a segment: without them recovery would know those only that
  ///   wrote since;
  /// - leader epochs: recovery reads no batch below its point, where they stand too;
  /// - the directory's names, its own name, the topic's id.
  func filesToSync(
    withActive: Bool, withItsIndexes: Bool = false,
    _ body: (AnyObject, _ descriptor: Int32, _ dataOnly: Bool) -> Void
  ) throws(StorageError) {
    func add(_ path: String, _ mode: OpenMode = .readOnly, mayBeMissing: Bool = false)
      throws(StorageError)
    {
      do throws(Errno) {
        let file = SyncedFile(path, try device.open(path, mode))
        body(file, file.descriptor.rawValue, !mode.contains(.directory))
      } catch {
        if mayBeMissing, error.isNotFound { return }
        throw StorageError("sync", path, .system(error))
      }
    }
    for (index, segment) in segments.enumerated() {
      let isActive = index + 1 == segments.count
      if !isActive, segments[index + 1].baseOffset < recoveryPoint { continue }
      let base = segment.baseOffset
      if base >= recoveryPoint { try add(path(.snapshot, base), mayBeMissing: true) }
      if isActive, !withActive { continue }
      if let open = isActive ? active : flushing?.rolled.first(where: { $0.baseOffset == base }) {
        body(open, open.file.rawValue, true)
      } else {
        try add(path(.log, base))
      }
      if isActive, !withItsIndexes { continue }
      for kind in [LogFileKind.index, .timeindex, .txnindex] {
        if kind == .txnindex, !transactionIndexes.contains(base) { continue }
        try add(path(kind, base), mayBeMissing: true)
      }
    }
    if unsynced.contains(.epochs) {
      try add("\(path)/\(LogFileName.leaderEpochCheckpoint)", mayBeMissing: true)
    }
    if unsynced.contains(.metadata) {
      try add("\(path)/\(LogFileName.partitionMetadata)", mayBeMissing: true)
    }
    if unsynced.contains(.directory) { try add(path, [.readOnly, .directory]) }
    if unsynced.contains(.parent) { try add(directory.path, [.readOnly, .directory]) }
  }

  /// Everything below `offset` is on disk, and what recovery needs to begin there.
  func moveRecoveryPoint(to offset: Int64) {
    let reached = min(offset, logEndOffset)
    guard reached > recoveryPoint else { return }
    recoveryPoint = reached
    directory.recoveryPointMoved()
  }
}
