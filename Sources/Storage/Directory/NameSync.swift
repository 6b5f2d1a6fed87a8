// Making the names of new partitions durable beside the loop. Who is told that a partition was
// created holds its absence against the disk from then on: after a power loss its directory must be
// there, be it empty. What is in it is not waited for; nothing was promised of that yet.

import Linux

extension LogDirectory {
  /// A partition was created whose name may not be on disk yet.
  public var hasUnsyncedNames: Bool { namesMade > namesSynced }

  /// Makes the names of all partitions durable.
  /// - Parameter then: is told why they are not, if they are not; at once or from
  ///   `LogEnvironment.finishSyncs`.
  public func syncNames(then: @escaping (StorageError?) -> Void) {
    let file: SyncedFile
    do throws(StorageError) {
      file = SyncedFile(
        path,
        try about("sync", path) { () throws(Errno) in
          try environment.device.open(path, [.readOnly, .directory])
        })
    } catch { return then(error) }
    let sync = NameSync(self, then)
    environment.syncs.begin(
      file.descriptor.rawValue, keeping: file, dataOnly: false, for: sync)
  }
}

/// One sync of a log directory; lives until it is done.
private final class NameSync: SyncOwner {
  private weak var directory: LogDirectory?
  private let path: String
  private let names: UInt64
  private let then: (StorageError?) -> Void

  init(_ directory: LogDirectory, _ then: @escaping (StorageError?) -> Void) {
    self.directory = directory
    path = directory.path
    names = directory.namesMade
    self.then = then
  }

  func synced(_ error: Errno?) {
    if let error { return then(StorageError("sync", path, .system(error))) }
    if let directory { directory.namesSynced = max(directory.namesSynced, names) }
    then(nil)
  }
}
