// Making a log durable beside the loop: one flush of a log at a time, of all files that the records
// up to its target need. What is appended meanwhile goes with the next one, which begins as soon as
// this one ends while somebody waits: so one fdatasync answers all who came during the one before,
// and nobody is held back to make a group larger.
//
// A file is never synced twice at once: the kernel reports a failed write-back to one fsync of an
// open file only (errseq_t), so of two the wrong one might succeed. After a failure the log is
// offline; a second fsync would report success although the pages are lost.
//
// Which files: see `PartitionLog.filesToSync`.

import Linux

/// Files beside the log's own records that are not known to be on disk.
struct UnsyncedFiles: OptionSet {
  let rawValue: UInt8
  /// Names in the partition's directory.
  static let directory = UnsyncedFiles(rawValue: 1)
  /// The name of the partition's directory.
  static let parent = UnsyncedFiles(rawValue: 2)
  /// partition.metadata
  static let metadata = UnsyncedFiles(rawValue: 4)
  /// leader-epoch-checkpoint
  static let epochs = UnsyncedFiles(rawValue: 8)
  static let all: UnsyncedFiles = [.directory, .parent, .metadata, .epochs]
}

/// What is going on for one log. There is one as long as it flushes now and then.
final class PartitionFlush: SyncOwner {
  private unowned let log: PartitionLog
  /// What the flush that runs makes durable; -1 while none does.
  private(set) var target: Int64 = -1
  /// The indexes of closed segments are synced with it, below here; -1: there are none to sync.
  private var indexed: Int64 = -1
  /// What somebody asked for.
  private(set) var wanted: Int64 = -1
  /// Segments rolled away since, kept open so that a failed write-back cannot be forgotten with the
  /// last descriptor of its file.
  var rolled: [ActiveSegment] = []
  /// What the flush that runs has taken from `PartitionLog.unsynced`: not on disk before it ends.
  private(set) var taken: UnsyncedFiles = []
  private var openSyncs = 0
  /// The log while a flush runs: it may be deleted meanwhile.
  private var held: PartitionLog?
  private var failure: Errno?
  private var isStopped = false

  init(_ log: PartitionLog) { self.log = log }

  var isRunning: Bool { target >= 0 }

  /// Begins to make everything below `offset` durable, or notes it for the next flush.
  func want(_ offset: Int64) {
    wanted = max(wanted, offset)
    if !isRunning { begin() }
  }

  /// The log was cut: what is above is not what the flush that runs had seen.
  func cut(at offset: Int64) {
    if isRunning { target = min(target, offset) }
    wanted = min(wanted, offset)
    rolled.removeAll { $0.baseOffset >= offset }
  }

  /// The log is deleted or put away: nothing more is begun, and what ends is no news.
  func stop() {
    isStopped = true
    wanted = -1
    held = nil
  }

  private func begin() {
    if isStopped { return }
    let active = log.activeSegment.baseOffset
    let isWithActive = wanted > active
    let queue = log.environment.syncs
    failure = nil
    indexed = -1
    held = log
    target = isWithActive ? log.logEndOffset : active
    // Held until every sync is begun: one may be done at once.
    openSyncs = 1
    if isWithActive, log.recoveryPoint > active, log.unsynced.isEmpty, let open = log.active {
      openSyncs += 1
      queue.begin(open.file.rawValue, keeping: open, dataOnly: true, for: self)
    } else {
      indexed = active
      do throws(StorageError) {
        try log.filesToSync(withActive: isWithActive) { file, descriptor, dataOnly in
          openSyncs += 1
          queue.begin(descriptor, keeping: file, dataOnly: dataOnly, for: self)
        }
        taken = log.unsynced
        log.unsynced = []
      } catch { fail(error) }
    }
    rolled.removeAll(keepingCapacity: true)
    openSyncs -= 1
    if openSyncs == 0 { end() }
  }

  func synced(_ error: Errno?) {
    if let error, failure == nil { failure = error }
    openSyncs -= 1
    if openSyncs == 0 { end() }
  }

  private func end() {
    if isStopped { return }
    if let failure { fail(StorageError("sync", log.path, .system(failure))) }
    let reached = target
    target = -1
    taken = []
    let log = log
    held = nil
    if log.isOffline { return }
    log.indexedBelow = max(log.indexedBelow, min(indexed, reached))
    log.moveRecoveryPoint(to: reached)
    log.environment.noteFlushed(log)
    if wanted > reached { begin() }
  }

  private func fail(_ error: StorageError) {
    if !log.isOffline { log.fail(error) }
  }
}
