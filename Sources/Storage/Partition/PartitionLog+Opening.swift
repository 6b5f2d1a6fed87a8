// Opening the active segment: for the first time since the start with everything that is derived
// from batches (producers, leader epochs, the end of the indexes), later with the file alone.
//
// Producers are the newest snapshot plus the batches behind it. A log without any snapshot had no
// producers when its active segment began, because a roll writes one otherwise.

import Linux
import Model
import Records

extension PartitionLog {
  /// The active segment, opened if it is not.
  @inline(__always)
  func openedSegment(nowMs: Int64) throws(StorageError) -> ActiveSegment {
    if let active {
      wasUsed = true
      return active
    }
    return try open(nowMs: nowMs)
  }

  private func open(nowMs: Int64) throws(StorageError) -> ActiveSegment {
    do throws(StorageError) {
      environment.openLogs.admit(self)
      let segment = activeSegment
      let opened = try openSegment(
        segment, keepBelow: logEndOffset, transactionsBelow: logEndOffset, nowMs: nowMs)
      let size = try about("stat", path(.log, segment.baseOffset)) { () throws(Errno) in
        try File.status(opened.active.file).size
      }
      guard size == segment.size else {
        throw corrupt("the file has \(size) bytes instead of \(segment.size)", from: logStartOffset)
      }
      if !isLoaded { try load(opened) }
      active = opened.active
      wasUsed = true
      return opened.active
    } catch {
      if error.mayPass { drop() } else { fail(error) }
      throw error
    }
  }

  func corrupt(_ reason: String, from offset: Int64) -> StorageError {
    let from = min(offset, logEndOffset)
    return StorageError(
      "read", path(.log, activeSegment.baseOffset),
      .corruption(reason, offsets: from..<max(from + 1, logEndOffset)))
  }

  /// A segment's file with the ends of its indexes.
  struct Opened {
    let active: ActiveSegment
    /// The last batch that the offset index knows: batches from here on may lack entries.
    let indexedPosition: Int64
    let indexedOffset: Int64
    /// The indexes were no good or lost, and are begun anew.
    let isRebuilt: Bool
  }

  /// Opens a segment with those index entries that are below offset `keepBelow` and fit the log, and
  /// those of transactions aborted below `transactionsBelow`; the files are cut to them.
  func openSegment(
    _ segment: LogSegment, keepBelow offset: Int64, transactionsBelow: Int64, nowMs: Int64
  ) throws(StorageError) -> Opened {
    let path = path(.log, segment.baseOffset)
    let file = try about("open", path) { () throws(Errno) in
      try device.open(path, .readWrite)
    }
    let bound = Int32(clamping: offset - segment.baseOffset)
    let size = segment.size
    var offsets = try keep(segment.baseOffset) { (entry: OffsetIndexEntry) in
      entry.relativeOffset >= bound || Int64(entry.position) >= size
    }
    var times = try keep(segment.baseOffset) { (entry: TimeIndexEntry) in
      entry.relativeOffset >= bound
    }
    var isTrusted = times.last != nil
    if isTrusted, let last = offsets.last {
      isTrusted = try fits(last, segment.baseOffset, file, path)
    }
    // An index that may have had entries and has none was lost, perhaps; what the time index says
    // is still true.
    let isLost =
      offsets.count == 0 && indexedBelow > segment.baseOffset
      && size > Int64(settings.config.indexIntervalBytes)
    let isWrong = offsets.count > 0 && !isTrusted
    if isWrong {
      offsets = try keep(segment.baseOffset) { (_: OffsetIndexEntry) in true }
      times = try keep(segment.baseOffset) { (_: TimeIndexEntry) in true }
    }
    let indexedPosition = Int64(offsets.last?.position ?? 0)
    let indexedOffset = segment.baseOffset + Int64(offsets.last?.relativeOffset ?? 0)
    let first = try header(file, path, at: 0)
    let active = ActiveSegment(
      baseOffset: segment.baseOffset, file: file,
      offsetIndex: IndexTail(flushedCount: offsets.count, last: offsets.last),
      timeIndex: IndexTail(flushedCount: times.count, last: times.last),
      transactionIndex: try keptTransactions(segment.baseOffset, below: transactionsBelow),
      openedMs: nowMs, rollJitterMs: rollJitterMs())
    active.firstTimestamp = first?.maxTimestamp ?? RecordBatchHeader.noTimestamp
    return Opened(
      active: active, indexedPosition: indexedPosition, indexedOffset: indexedOffset,
      isRebuilt: isLost || isWrong)
  }

  /// Cuts an index file before the first entry that `isBeyond`; says what is left. Behind it a crash
  /// may have kept some writes and not others, so that entries there are in no order: the last one
  /// that is kept follows the one before it.
  func keep<Entry: IndexEntry>(_ baseOffset: Int64, _ isBeyond: (Entry) -> Bool)
    throws(StorageError) -> (count: Int, last: Entry?)
  {
    let path = path(Entry.kind, baseOffset)
    guard let reader = try IndexReader<Entry>.open(path, device) else { return (0, nil) }
    var count = try reader.firstIndex(below: reader.count, isBeyond)
    var last: Entry?
    while count > 0 {
      let entry = try reader.entry(count - 1)
      let before = count == 1 ? nil : try reader.entry(count - 2)
      if before.map(entry.follows) ?? true, !isBeyond(entry) {
        last = entry
        break
      }
      count -= 1
    }
    if reader.size != Int64(count * Entry.size) {
      try about("cut", path) { () throws(Errno) in
        try device.truncate(
          try device.open(path, .readWrite), to: Int64(count * Entry.size))
      }
    }
    return (count, last)
  }

  /// Whether an index entry names a batch of the log.
  private func fits(
    _ entry: OffsetIndexEntry, _ baseOffset: Int64, _ file: borrowing OwnedFD, _ path: String
  ) throws(StorageError) -> Bool {
    guard let header = try header(file, path, at: Int64(entry.position)) else { return false }
    return header.isPlausible && header.lastOffset == baseOffset + Int64(entry.relativeOffset)
  }

  /// The batch header at a position, or nil at the end of the file.
  func header(_ file: borrowing OwnedFD, _ path: String, at position: Int64)
    throws(StorageError) -> RecordBatchHeader?
  {
    let result: Result<RecordBatchHeader?, StorageError> = withUnsafeTemporaryAllocation(
      byteCount: RecordBatchHeader.size, alignment: 8
    ) { buffer in
      do throws(StorageError) {
        let count = try about("read", path) { () throws(Errno) in
          try device.read(file, into: buffer, at: position)
        }
        return .success(
          RecordBatchHeader(
            UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<count])))
      } catch { return .failure(error) }
    }
    return try result.get()
  }

  /// Reads back producers and epochs, and the index entries that only memory held.
  private func load(_ opened: Opened) throws(StorageError) {
    epochs = try readEpochs(mayBeTorn: unsynced.contains(.epochs))
    epochs.removeAll { $0.startOffset >= logEndOffset }
    let replayFrom = try loadSnapshot(upTo: logEndOffset) ?? activeSegment.baseOffset
    for (index, segment) in segments.dropLast().enumerated()
    where segments[index + 1].baseOffset > replayFrom {
      try replay(segment, from: replayFrom)
    }
    let start = try walkStart(opened, activeSegment, replayFrom: replayFrom)
    let end = try walk(
      opened, activeSegment, at: start, replayFrom: replayFrom, checkedFrom: .max,
      abortedFrom: .max, isIndexed: !opened.isRebuilt)
    if opened.isRebuilt { try syncRebuilt(opened.active) }
    if let defect = end.defect { throw corrupt(defect, from: end.nextOffset) }
    guard end.nextOffset == logEndOffset else {
      throw corrupt("the log ends at offset \(end.nextOffset)", from: end.nextOffset)
    }
    firstUnstableOffset = producers.firstUnstableOffset
    isLoaded = true
  }

  /// Takes the newest valid snapshot at or below `offset`; without one there are no producers.
  /// - Returns: its offset.
  func loadSnapshot(upTo offset: Int64) throws(StorageError) -> Int64? {
    producers = ProducerState()
    snapshotOffset = -1
    for candidate in try snapshots().sorted(by: >) where candidate <= offset {
      let path = path(.snapshot, candidate)
      guard let bytes = try device.contents(path), let entries = ProducerSnapshot.decode(bytes)
      else {
        try about("remove", path) { () throws(Errno) in try device.remove(path) }
        continue
      }
      producers = ProducerState(entries)
      snapshotOffset = candidate
      return candidate
    }
    return nil
  }

  /// Offsets of all snapshot files.
  func snapshots() throws(StorageError) -> [Int64] {
    let names = try about("list", path) { () throws(Errno) in try File.names(in: path) }
    return names.compactMap { name in
      LogFileName.parse(name).flatMap { $0.kind == .snapshot ? $0.offset : nil }
    }
  }

  /// Takes the producers of a closed segment over, from the first batch that may be at `offset`.
  func replay(_ segment: LogSegment, from offset: Int64) throws(StorageError) {
    let end = try replay(
      segment, from: offset, at: ScanEnd(position: 0, nextOffset: segment.baseOffset),
      bytesMax: .max)
    if let defect = end.defect { throw corrupt(defect, from: end.nextOffset) }
  }

  /// The same in slices.
  func replay(_ segment: LogSegment, from offset: Int64, at start: ScanEnd, bytesMax: Int64)
    throws(StorageError) -> ScanEnd
  {
    let path = path(.log, segment.baseOffset)
    let file = try about("open", path) { () throws(Errno) in try device.open(path, .readOnly) }
    return try environment.scanner.scan(
      file, path: path, from: start.position, size: segment.size, segmentBase: segment.baseOffset,
      nextOffset: start.nextOffset, nextSegmentBase: nil, checkedFrom: .max, bytesMax: bytesMax
    ) { (header, _, marker) throws(StorageError) in
      if header.baseOffset >= offset, header.hasProducerId { take(header, marker) }
    }
  }

  /// Where `walk` has to begin: at the last batch that the index knows, or before, to meet every
  /// producer from `replayFrom` on.
  func walkStart(_ opened: Opened, _ segment: LogSegment, replayFrom: Int64) throws(StorageError)
    -> ScanEnd
  {
    if replayFrom < opened.indexedOffset {
      let position = try indexedPosition(of: replayFrom, in: segment)
      return ScanEnd(position: position, nextOffset: segment.baseOffset)
    }
    return ScanEnd(position: opened.indexedPosition, nextOffset: segment.baseOffset)
  }

  /// Makes indexes durable that were made anew below the recovery point, where a later recovery will
  /// believe them.
  func syncRebuilt(_ active: ActiveSegment) throws(StorageError) {
    // A segment of one large batch has no entries.
    if active.offsetIndex.count == 0, active.timeIndex.count == 0 { return }
    try flushTails(active)
    for kind in [LogFileKind.index, .timeindex] {
      let path = path(kind, active.baseOffset)
      try about("sync", path) { () throws(Errno) in
        try device.syncData(try device.open(path, [.readWrite, .create]))
      }
    }
    try device.syncDirectory(path)
  }

  /// Walks a segment to its end: index entries from the last one on, producers from `replayFrom`,
  /// checksums from `checkedFrom`, leader epochs all the way.
  /// - Parameters:
  ///   - abortedFrom: markers from here on lack their entries in the transaction index.
  ///   - isIndexed: what is below `indexedBelow` gets no more entries. They would not be on disk, and
  ///     one index might lose them and not the other.
  func walk(
    _ opened: Opened, _ segment: LogSegment, at start: ScanEnd, replayFrom: Int64,
    checkedFrom: Int64, abortedFrom: Int64, isIndexed: Bool, bytesMax: Int64 = .max
  ) throws(StorageError) -> ScanEnd {
    let settled = isIndexed ? indexedBelow : 0
    let active = opened.active
    let interval = settings.config.indexIntervalBytes
    return try environment.scanner.scan(
      active.file, path: path(.log, segment.baseOffset), from: start.position, size: segment.size,
      segmentBase: segment.baseOffset, nextOffset: start.nextOffset,
      nextSegmentBase: segments.first { $0.baseOffset > segment.baseOffset }?.baseOffset,
      checkedFrom: checkedFrom, bytesMax: bytesMax
    ) { (header, position, marker) throws(StorageError) in
      if position >= opened.indexedPosition {
        let batch = StagedBatch(
          baseOffset: header.baseOffset, lastOffset: header.lastOffset,
          maxTimestamp: header.maxTimestamp, size: header.sizeInBytes)
        if header.nextOffset <= settled {
          active.passed(batch, at: position)
        } else {
          if active.isTailFull { try flushTails(active) }
          active.added(batch, at: position, indexIntervalBytes: interval)
        }
      }
      if header.partitionLeaderEpoch > epochs.last?.epoch ?? -1 {
        epochs.append(
          LeaderEpochEntry(epoch: header.partitionLeaderEpoch, startOffset: header.baseOffset))
      }
      guard header.baseOffset >= replayFrom, header.hasProducerId,
        let aborted = take(header, marker), header.baseOffset >= abortedFrom
      else { return }
      if active.transactionIndex.isFull { try flushTransactionIndex(active) }
      active.transactionIndex.append(TransactionIndexEntry(aborted))
    }
  }
}
