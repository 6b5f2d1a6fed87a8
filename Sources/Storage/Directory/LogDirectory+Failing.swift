// A directory that cannot be used any more: its disk fails, became read-only, or is gone. All its
// partitions go offline, those of other directories do not (Kafka's LogDirFailureChannel).

import Linux

extension LogDirectory {
  /// Gives the directory up if what happened to one of its files says that it must be.
  /// - Returns: whether that is new.
  public func giveUp(because error: StorageError) -> Bool {
    guard failure == nil, error.isOfDisk || !File.exists(path) else { return false }
    failure = error
    for log in logs.values { log.fail(error) }
    return true
  }
}
