// Carries out one order, a window at a time, so that the loop goes on in between (Kafka's
// Cleaner.doClean): first the keys of the dirty part go into the map, as far as it reaches, then
// every segment below that is gone through and written again without what the map makes superfluous.
//
// `step` does a piece of work and says what is needed next. It opens nothing: segments and files to
// write are given to it.

import IPC
import Linux
import Model
import Records

/// How much memory a run may take.
struct CleaningMemory: Equatable {
  /// `log.cleaner.dedupe.buffer.size`: bytes of the map.
  var mapBytesMax: Int
  /// `log.cleaner.io.buffer.load.factor`: how full the map may become.
  var loadFactor: Double
  /// `log.cleaner.io.buffer.size`: bytes of the buffers for reading and writing together.
  var bufferBytes: Int
}

final class CleaningRun {
  enum Need: Equatable {
    /// More to do: call `step` again.
    case work
    /// Give the segment with this base offset with `give(segment:)`.
    case segment(Int64)
    /// Give a file for a group that begins here with `give(output:)`.
    case output(Int64)
    /// Call `step` again when the file has taken the segments' place.
    case replacement(CleanedSegment)
    /// Everything below this offset is clean.
    case finished(endOffset: Int64)
  }

  let order: CleaningOrder
  /// So far.
  var report: CleaningReport {
    var report = counted
    report.recordsRead = filter.recordsRead
    report.recordsKept = filter.recordsKept
    return report
  }
  private var counted = CleaningReport()
  /// Bytes read and written since the last `takeMoved`.
  private var moved: Int64 = 0
  private let map: OffsetMap
  private let memory: CleaningMemory
  private let window: ReadWindow
  private let payload: BatchPayload
  private var filter: BatchFilter
  private var phase: Phase
  private var reader: ReaderBox?
  private var output: CleanedOutput?
  private var groups: [ArraySlice<SegmentToClean>] = []
  private var cleanEnd: Int64 = 0
  /// For the map alone: which batches were aborted.
  private var mapTransactions: TransactionState
  /// Keys whose entries of the map are being loaded.
  private var noted: [(hash: KeyHash, offset: Int64)] = []
  private static let notedMax = 64

  private enum Phase {
    /// The segment whose keys are being noted.
    case mapping(Int)
    /// The group and the segment of it that is being cleaned.
    case cleaning(group: Int, segment: Int)
  }

  private final class ReaderBox {
    var reader: SegmentReader
    init(_ reader: consuming SegmentReader) { self.reader = reader }
  }

  init(_ order: CleaningOrder, _ memory: CleaningMemory) throws(CleaningError) {
    guard
      let map = OffsetMap(
        bytesMax: memory.mapBytesMax, loadFactor: memory.loadFactor,
        recordsMax: max(1, order.endOffset - order.firstDirtyOffset))
    else { throw .noMemory(bytes: memory.mapBytesMax) }
    self.order = order
    self.map = map
    self.memory = memory
    window = ReadWindow(size: memory.bufferBytes / 2)
    payload = BatchPayload(maxMessageBytes: Int(order.maxMessageBytes))
    filter = BatchFilter(order, map)
    mapTransactions = TransactionState(order.abortedTransactions)
    phase = .mapping(
      order.segments.lastIndex { $0.baseOffset <= order.firstDirtyOffset } ?? 0)
  }

  /// Takes the count of bytes moved, for the throttle.
  func takeMoved() -> Int64 {
    defer { moved = 0 }
    return moved
  }

  /// Bytes of the map.
  var mapBytes: Int { map.byteCount }

  func give(segment file: consuming OwnedFD) {
    guard let segment = currentSegment else { return }
    reader = ReaderBox(
      SegmentReader(file, baseOffset: segment.baseOffset, size: segment.size, window))
  }

  func give(output file: consuming OwnedFD) {
    guard case .cleaning(let group, _) = phase, group < groups.count else { return }
    output = CleanedOutput(
      file, bufferSize: memory.bufferBytes / 2, mayBeUnchanged: groups[group].count == 1)
  }

  private var currentSegment: SegmentToClean? {
    switch phase {
    case .mapping(let index): index < order.segments.count ? order.segments[index] : nil
    case .cleaning(let group, let segment):
      group < groups.count && groups[group].indices.contains(segment)
        ? groups[group][segment] : nil
    }
  }

  /// Does a piece of work.
  func step() throws(CleaningError) -> Need {
    switch phase {
    case .mapping(let index): return try map(segment: index)
    case .cleaning(let group, let segment): return try clean(group: group, segment: segment)
    }
  }

  // MARK: The map

  private func map(segment index: Int) throws(CleaningError) -> Need {
    guard index < order.segments.count else { return try beginCleaning() }
    let segment = order.segments[index]
    guard segment.size > 0 else { return mapped(index) }
    guard let box = reader else { return .segment(segment.baseOffset) }
    try count(read: box.reader.fill())
    while !map.isFull {
      let isMore = try box.reader.next { header, batch throws(CleaningError) in
        try note(header, batch)
      }
      if !isMore { break }
    }
    if map.isFull { return try beginCleaning() }
    return box.reader.isAtEnd ? mapped(index) : .work
  }

  /// The segment's keys are noted, as far as the next segment's base offset: offsets that it lacks are
  /// clean, too.
  private func mapped(_ index: Int) -> Need {
    reader = nil
    window.shrink()
    let end =
      index + 1 < order.segments.count
      ? order.segments[index + 1].baseOffset : order.endOffset
    map.latestOffset = max(map.latestOffset, end - 1)
    phase = .mapping(index + 1)
    return .work
  }

  private func note(_ header: RecordBatchHeader, _ batch: UnsafeRawBufferPointer)
    throws(CleaningError)
  {
    if header.isControlBatch {
      // What kind it is makes no difference to which batches are aborted, as long as it ends one.
      _ = mapTransactions.isUnneeded(header, .abort)
    } else if !mapTransactions.isAborted(header), header.lastOffset >= order.firstDirtyOffset {
      var isWhole = true
      try payload.forEachRecord(header, batch) { record, _ throws(CleaningError) in
        guard isWhole, let key = record.key else { return }
        let offset = header.offset(of: record)
        guard offset >= order.firstDirtyOffset else { return }
        noted.append((map.hash(key), offset))
        if noted.count == Self.notedMax { isWhole = putNoted() }
      }
      guard putNoted(), isWhole else { return }
    }
    if header.lastOffset >= order.firstDirtyOffset {
      map.latestOffset = max(map.latestOffset, header.lastOffset)
    }
  }

  /// - Returns: false when the map has no room for all of them.
  private func putNoted() -> Bool {
    defer { noted.removeAll(keepingCapacity: true) }
    for (hash, offset) in noted {
      if map.isFull { return false }
      map.put(hash, offset)
    }
    return true
  }

  // MARK: Cleaning

  private func beginCleaning() throws(CleaningError) -> Need {
    reader = nil
    window.shrink()
    guard map.latestOffset >= order.firstDirtyOffset else {
      throw .mapTooSmall(keys: map.countMax)
    }
    cleanEnd = min(map.latestOffset + 1, order.endOffset)
    groups = SegmentGroups.group(
      order.segments.filter { $0.baseOffset < cleanEnd },
      segmentBytes: Int64(order.segmentBytes), indexBytes: Int64(order.segmentIndexBytes),
      endOffset: order.endOffset)
    phase = .cleaning(group: 0, segment: 0)
    return .work
  }

  private func clean(group: Int, segment: Int) throws(CleaningError) -> Need {
    guard group < groups.count else {
      return .finished(endOffset: cleanEnd)
    }
    let segments = groups[group]
    guard let output else { return .output(segments[segments.startIndex].baseOffset) }
    if segment == segments.endIndex { return try end(group, segments, output) }
    guard segments[segment].size > 0 else { return next(group, segment) }
    guard let box = reader else { return .segment(segments[segment].baseOffset) }
    try count(read: box.reader.fill())
    while try step(box, output) {}
    return box.reader.isAtEnd ? next(group, segment) : .work
  }

  /// One batch.
  /// - Returns: false when the window holds no more.
  private func step(_ box: ReaderBox, _ output: CleanedOutput) throws(CleaningError) -> Bool {
    var verdict = BatchVerdict.keep
    let isMore = try box.reader.next { header, batch throws(CleaningError) in
      verdict = try filter.judge(header, batch)
      if verdict == .keep { try output.keep(batch) }
    }
    guard isMore, verdict != .keep else { return isMore }
    moved += try output.change(from: box.reader.file)
    if verdict == .rewrite {
      let result: Result<Void, CleaningError> = filter.rewritten.withUnsafeBytes { bytes in
        do throws(CleaningError) { return .success(try output.append(bytes)) } catch {
          return .failure(error)
        }
      }
      try result.get()
    }
    return true
  }

  private func next(_ group: Int, _ segment: Int) -> Need {
    reader = nil
    window.shrink()
    phase = .cleaning(group: group, segment: segment + 1)
    return .work
  }

  private func end(
    _ group: Int, _ segments: ArraySlice<SegmentToClean>, _ output: CleanedOutput
  ) throws(CleaningError) -> Need {
    self.output = nil
    let kept = filter.takeKeptTransactions()
    let first = group + 1 < groups.count ? groups[group + 1].startIndex : 0
    phase = .cleaning(group: group + 1, segment: first)
    if output.isUnchanged { return .work }
    try output.flush()
    count(written: output.size)
    return .replacement(
      CleanedSegment(
        token: order.token, baseOffset: segments[segments.startIndex].baseOffset,
        lastBaseOffset: segments[segments.endIndex - 1].baseOffset, size: output.size,
        abortedTransactions: kept))
  }

  private func count(read bytes: Int) {
    counted.bytesRead += UInt64(bytes)
    moved += Int64(bytes)
  }

  private func count(written bytes: Int64) {
    counted.bytesWritten += UInt64(bytes)
    moved += bytes
  }
}
