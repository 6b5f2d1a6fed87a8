// Files on their way out: segments below the log start, and the directories of deleted partitions.
//
// A segment's files are first renamed to *.deleted, which takes them from the log at once. They are
// unlinked when their time has come; what a crash leaves is found by its name at the next start.
// The order of steps that keeps deleted records deleted is in `PartitionLog+Retention`.

import Linux
import Model

/// Frees blocks beside the loop.
public protocol FileCloser: AnyObject {
  /// Closes the last descriptor of a removed file.
  func close(_ file: consuming OwnedFD)
  /// Frees what is set aside behind the end of a file that is complete, and closes it.
  func giveBackRoom(_ file: consuming OwnedFD)
}

/// The files of one segment that have been renamed to *.deleted.
struct DoomedSegment {
  let partition: TopicPartition
  let baseOffset: Int64
  /// When to unlink them, in ms since 1970.
  var dueMs: Int64
}

/// A directory of a deleted partition that is still to be removed.
struct DoomedDirectory {
  let name: String
  /// When to go on, in ms since 1970.
  var dueMs: Int64 = 0
}

extension LogDirectory {
  /// Writes log-start-offset-checkpoint as the logs are now.
  /// - Parameter durable: it survives power loss when this returns.
  public func writeLogStarts(durable: Bool) throws(StorageError) {
    try OffsetCheckpoint.logStart.write(
      offsets(of: .logStart), in: path, environment.device, durable: durable)
    if durable { hasOldStarts = false }
  }

  /// Renames the files of a segment, to be removed when `dueMs` has come. A file that is not there
  /// is no error.
  func discard(_ baseOffset: Int64, of partition: TopicPartition, dueMs: Int64)
    throws(StorageError)
  {
    doomed.append(try putAside(baseOffset, of: partition, dueMs: dueMs, butSnapshot: false))
  }

  /// Renames the files of a segment, all or all but its snapshot.
  /// - Returns: what is to become one of `doomed`.
  func putAside(
    _ baseOffset: Int64, of partition: TopicPartition, dueMs: Int64, butSnapshot: Bool
  ) throws(StorageError) -> DoomedSegment {
    let device = environment.device
    for kind in LogFileKind.allCases where kind != .snapshot || !butSnapshot {
      let file = "\(path)/\(partition)/\(LogFileName.name(kind, baseOffset))"
      do throws(Errno) { try device.rename(file, to: file + LogFileName.deletedSuffix) } catch {
        if !error.isNotFound { throw StorageError("rename", file, .system(error)) }
      }
    }
    return DoomedSegment(partition: partition, baseOffset: baseOffset, dueMs: dueMs)
  }

  /// Has everything that waits for its time go now: the disk is full.
  public func hastenRemoval() {
    for index in doomed.indices { doomed[index].dueMs = 0 }
  }

  /// Removes some of the files whose time has come. What cannot be removed is left alone for a
  /// minute.
  /// - Parameter filesMax: about how many files.
  public func sweep(nowMs: Int64, filesMax: Int = 64) throws(StorageError) {
    var left = filesMax
    var index = 0
    while index < doomed.count, left > 0 {
      guard doomed[index].dueMs <= nowMs else {
        index += 1
        continue
      }
      let segment = doomed[index]
      doomed.swapAt(index, doomed.count - 1)
      doomed.removeLast()
      do throws(StorageError) { try unlink(segment) } catch {
        doomed.append(segment)
        doomed[doomed.count - 1].dueMs = nowMs + Self.retryMs
        throw error
      }
      left -= LogFileKind.allCases.count
    }
    if left > 0, let index = deleted.lastIndex(where: { $0.dueMs <= nowMs }) {
      do throws(StorageError) {
        guard try remove(directory: deleted[index].name, filesMax: left) else { return }
        deleted.swapAt(index, deleted.count - 1)
        deleted.removeLast()
      } catch {
        deleted[index].dueMs = nowMs + Self.retryMs
        throw error
      }
    }
  }

  private static let retryMs: Int64 = 60_000

  /// When `sweep` has something to do, in ms since 1970; nil for never.
  public var nextRemovalMs: Int64? {
    let segments = doomed.lazy.map(\.dueMs).min()
    let directories = deleted.lazy.map(\.dueMs).min()
    guard let segments, let directories else { return segments ?? directories }
    return min(segments, directories)
  }

  private func unlink(_ segment: DoomedSegment) throws(StorageError) {
    for kind in LogFileKind.allCases {
      let name = LogFileName.name(kind, segment.baseOffset) + LogFileName.deletedSuffix
      let file = "\(path)/\(segment.partition)/\(name)"
      // The partition may have been deleted meanwhile, and the file with it.
      try about("remove", file) { () throws(Errno) in try remove(file: file) }
    }
  }

  /// Removes a file. To free the blocks of a large one takes the kernel a while, which it does when
  /// the last descriptor is closed: somebody else is let close ours.
  func remove(file: String) throws(Errno) {
    guard let closer = environment.closer, isLarge(file) else {
      try environment.device.remove(file)
      return
    }
    let held = try environment.device.open(file, .readOnly)
    try environment.device.remove(file)
    closer.close(held)
  }

  private func isLarge(_ file: String) -> Bool {
    do throws(Errno) { return try File.status(file).allocatedBytes >= Self.largeBytes } catch {
      return false
    }
  }

  private static let largeBytes: Int64 = 8 << 20
}
