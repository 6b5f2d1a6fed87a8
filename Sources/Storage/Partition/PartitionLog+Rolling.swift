// Ending a segment and beginning the next, and putting a log down.
//
// A roll writes, in this order: the rest of the old segment's indexes, the producers' snapshot, the
// new segment's empty files. A crash in between leaves the old segment active; recovery adds what its
// indexes lack. Then the old segment is flushed beside the loop, which moves the recovery point. Room
// that was set aside for it and not needed is given back beside the loop, too.

import Linux
import Model
import Records

extension PartitionLog {
  /// Begins a new active segment at the end of the log. Nothing may be staged.
  /// - Parameter room: what to do when the topic wants room set aside and there is none.
  func roll(nowMs: Int64, _ room: RoomForSegment = .ifThereIsSome) throws(StorageError) {
    guard let active else { preconditionFailure("the active segment is not open") }
    do throws(StorageError) {
      try finishIndexes(active)
      try takeSnapshot(at: logEndOffset)
      try giveBackRoomBesideTheLoop(active)
      let segment = LogSegment(baseOffset: logEndOffset, size: 0)
      self.active = try createSegment(segment, nowMs: nowMs, room)
      segments.append(segment)
      // The closed segment goes to the disk now: recovery will not have to read it.
      if flushing == nil { flushing = PartitionFlush(self) }
      flushing?.rolled.append(active)
      flush(below: segment.baseOffset)
      environment.noteCleanable(self)
    } catch {
      // Half a roll is harmless on disk: without its .log the new segment is none yet.
      if !error.mayPass { fail(error) }
      throw error
    }
  }

  /// Writes the files of an empty segment and opens it.
  private func createSegment(_ segment: LogSegment, nowMs: Int64, _ room: RoomForSegment)
    throws(StorageError) -> ActiveSegment
  {
    let file = try createFiles(of: segment, room)
    return ActiveSegment(
      baseOffset: segment.baseOffset, file: file,
      offsetIndex: IndexTail(flushedCount: 0, last: nil),
      timeIndex: IndexTail(flushedCount: 0, last: nil),
      transactionIndex: IndexTail(flushedCount: 0, last: nil), openedMs: nowMs,
      rollJitterMs: rollJitterMs())
  }

  /// The empty .log, .index and .timeindex of a segment that is to be the active one.
  func createFiles(of segment: LogSegment, _ room: RoomForSegment) throws(StorageError) -> OwnedFD {
    unsynced.insert(.directory)
    for kind in [LogFileKind.index, .timeindex] {
      let path = path(kind, segment.baseOffset)
      try about("create", path) { () throws(Errno) in
        _ = try device.open(path, [.readWrite, .create, .truncate])
      }
    }
    let path = path(.log, segment.baseOffset)
    let file = try about("create", path) { () throws(Errno) in
      try device.open(path, [.readWrite, .create, .truncate])
    }
    try setRoomAside(file, path, room)
    return file
  }

  func rollJitterMs() -> Int64 {
    let most = min(settings.config.segmentJitterMs, settings.config.rollMs)
    return most <= 0 ? 0 : Int64.random(in: 0...most)
  }

  /// Brings the index files of a segment up to date, its greatest timestamp included.
  func finishIndexes(_ active: ActiveSegment) throws(StorageError) {
    if active.isTailFull { try flushTails(active) }
    active.addTimeIndexEntry()
    try flushTails(active)
  }

  /// Writes the index entries that are in memory.
  func flushTails(_ active: ActiveSegment) throws(StorageError) {
    try active.offsetIndex.flush(path(.index, active.baseOffset), device)
    try active.timeIndex.flush(path(.timeindex, active.baseOffset), device)
    try flushTransactionIndex(active)
  }

  /// The same behind an append that is done already: entries wait in memory while the disk has no
  /// room for them.
  func flushTailsIfPossible(_ active: ActiveSegment) {
    do throws(StorageError) { try flushTails(active) } catch {
      if !error.mayPass { fail(error) }
    }
  }

  /// Writes the producers of now, as of `offset`, unless there are none and never were.
  func takeSnapshot(at offset: Int64) throws(StorageError) {
    guard isLoaded, snapshotOffset != offset, !producers.isEmpty || snapshotOffset >= 0 else {
      return
    }
    let path = path(.snapshot, offset)
    let bytes = ProducerSnapshot.encode(producers.all)
    try about("write", path) { () throws(Errno) in
      let file = try device.open(path, [.readWrite, .create, .truncate])
      try bytes.withRawBytes { raw throws(Errno) in try device.write(file, raw, at: 0) }
    }
    snapshotOffset = offset
    unsynced.insert(.directory)
  }

  /// Closes the active segment because other logs need its descriptor.
  func putDown() {
    guard let active else { return }
    do throws(StorageError) {
      try finishIndexes(active)
      self.active = nil
    } catch {
      if !error.mayPass { return fail(error) }
      // The entries are made again from batches at the next opening.
      isLoaded = false
      self.active = nil
    }
  }

  /// Writes everything that only memory holds. Not durable before the file system is synced.
  func close() throws(StorageError) {
    if isOffline { return }
    if let active { try finishIndexes(active) }
    try giveBackRoom()
    drop()
    try takeSnapshot(at: logEndOffset)
  }
}
