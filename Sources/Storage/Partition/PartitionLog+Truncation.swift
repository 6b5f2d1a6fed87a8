// Cutting the log at an offset, as a follower does that has batches its leader lacks.

import Linux
import Model
import Records

extension PartitionLog {
  /// Removes every batch with offsets from `offset` on, a batch across it as a whole. Nothing may be
  /// staged. `offset` is not below the first segment.
  public func truncate(to offset: Int64, nowMs: Int64) throws(StorageError) {
    precondition(offset >= segments[0].baseOffset, "truncation below the first segment")
    if offset >= logEndOffset { return }
    do throws(StorageError) {
      flushing?.cut(at: offset)
      if recoveryPoint > offset {
        // First: below a recovery point nothing may be missing.
        recoveryPoint = offset
        indexedBelow = min(indexedBelow, offset)
        try directory.writeCheckpoints(durable: true)
      }
      drop()
      let index = segments.lastIndex { $0.baseOffset <= offset } ?? 0
      for segment in segments[(index + 1)...] { try removeFiles(of: segment) }
      segments.removeSubrange((index + 1)...)
      forgetTransactionIndexes()
      try cut(&segments[index], at: offset)
      for snapshot in try snapshots() where snapshot > logEndOffset {
        let path = path(.snapshot, snapshot)
        try about("remove", path) { () throws(Errno) in try device.remove(path) }
      }
      recoveryPoint = min(recoveryPoint, logEndOffset)
      unsynced.insert(.directory)
      cleanedOffset = min(cleanedOffset, logEndOffset)
      logStartOffset = min(logStartOffset, logEndOffset)
      isLoaded = false
      // Cuts the indexes too, and reads back which transactions are open again.
      _ = try openedSegment(nowMs: nowMs)
    } catch {
      fail(error)
      throw error
    }
  }

  private func cut(_ segment: inout LogSegment, at offset: Int64) throws(StorageError) {
    let path = path(.log, segment.baseOffset)
    let start = try indexedPosition(of: offset, in: segment)
    let file = try about("open", path) { () throws(Errno) in try device.open(path, .readWrite) }
    var end = (position: start, offset: segment.baseOffset)
    while end.position < segment.size, let header = try header(file, path, at: end.position) {
      guard header.isPlausible else { throw corrupt("no batch", from: end.offset) }
      if header.lastOffset >= offset { break }
      end = (end.position + Int64(header.sizeInBytes), header.nextOffset)
    }
    try about("cut", path) { () throws(Errno) in try device.truncate(file, to: end.position) }
    isRoomSetAside = false
    segment.size = end.position
    logEndOffset = end.offset
  }
}
