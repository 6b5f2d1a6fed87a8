// Writing the checkpoints of a log directory beside the loop. Each is written beside its place, synced
// on a helper thread, renamed over the old one, and then the directory is synced: power loss at any
// moment leaves the old one or the new one. The offsets are those of the moment of writing, all of
// them on disk by then; the logs learn what the disk knows when all of it is done.

import Linux
import Model

final class CheckpointWriter: SyncOwner {
  private enum Phase {
    case idle
    /// The new files are being synced.
    case contents
    /// The directory is being synced.
    case names
    /// Overtaken by a write on the spot: what is under way counts for nothing.
    case cancelled
  }

  private unowned let directory: LogDirectory
  private var phase = Phase.idle
  private var kinds: [OffsetCheckpoint] = []
  private var points: [(log: PartitionLog, offset: Int64)] = []
  private var openSyncs = 0
  private var failure: StorageError?

  init(_ directory: LogDirectory) { self.directory = directory }

  var isIdle: Bool { phase == .idle }

  /// Begins to write these checkpoints as the logs are now.
  func begin(_ kinds: [OffsetCheckpoint]) {
    precondition(isIdle, "a checkpoint is being written")
    self.kinds = kinds
    failure = nil
    phase = .contents
    openSyncs = 1
    points.removeAll(keepingCapacity: true)
    // In order, which is the order of the file.
    for log in directory.logs.values.sorted(by: { $0.partition < $1.partition }) {
      points.append((log, point(of: log)))
    }
    do throws(StorageError) {
      for kind in kinds {
        let temporary = "\(directory.path)/\(kind.rawValue).tmp"
        let entries =
          kind == .recoveryPoint
          ? points.map { ($0.log.partition, $0.offset) }
          : directory.offsets(of: kind)
        let bytes = OffsetCheckpoint.encode(entries)
        let file = try about("write", temporary) { () throws(Errno) in
          let file = try device.open(temporary, [.readWrite, .create, .truncate])
          try bytes.withRawBytes { raw throws(Errno) in try device.write(file, raw, at: 0) }
          return SyncedFile(temporary, file)
        }
        sync(file, dataOnly: false)
      }
    } catch { failure = error }
    ended()
  }

  /// The recovery point to be written, and a sync of the indexes that it takes.
  private func point(of log: PartitionLog) -> Int64 {
    if log.isOffline || log.needsRecovery { return log.checkpointedRecoveryPoint }
    guard log.indexedBelow < log.recoveryPoint else { return log.recoveryPoint }
    // A closed segment's indexes are with the flush that its roll began.
    guard log.indexedBelow >= log.activeSegment.baseOffset else { return log.indexedBelow }
    do throws(StorageError) {
      try log.indexesToSync { sync($0, dataOnly: true) }
      return log.recoveryPoint
    } catch {
      if !error.mayPass { log.fail(error) }
      return log.checkpointedRecoveryPoint
    }
  }

  /// Forgets what is under way.
  func cancel() {
    if phase != .idle { phase = .cancelled }
    points = []
  }

  func synced(_ error: Errno?) {
    if let error, failure == nil { failure = StorageError("sync", directory.path, .system(error)) }
    ended()
  }

  private var device: LogDevice { directory.environment.device }

  private func sync(_ file: SyncedFile, dataOnly: Bool) {
    openSyncs += 1
    directory.environment.syncs.begin(
      file.descriptor.rawValue, keeping: file, dataOnly: dataOnly, for: self)
  }

  private func ended() {
    openSyncs -= 1
    if openSyncs > 0 { return }
    if phase == .cancelled {
      phase = .idle
      return
    }
    if failure == nil, phase == .contents { return rename() }
    phase = .idle
    directory.checkpointEnded(points, failure)
    points.removeAll(keepingCapacity: true)
  }

  private func rename() {
    phase = .names
    openSyncs = 1
    do throws(StorageError) {
      for kind in kinds {
        let path = "\(directory.path)/\(kind.rawValue)"
        try about("write", path) { () throws(Errno) in
          try device.rename(path + ".tmp", to: path)
        }
      }
      let path = directory.path
      sync(
        SyncedFile(
          path,
          try about("sync", path) { () throws(Errno) in
            try device.open(path, [.readOnly, .directory])
          }), dataOnly: false)
    } catch { failure = error }
    ended()
  }
}
