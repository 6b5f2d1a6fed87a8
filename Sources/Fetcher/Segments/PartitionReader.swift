// One look at one partition, as Kafka's `ReplicaManager.readFromLog` and `UnifiedLog.read` have it:
// checks of epoch and offset, then which bytes of which segment the client gets.

import IPC
import Model

/// How much a look may find.
struct ReadLimit {
  /// Bytes left of the request's maximum.
  var bytes: Int
  /// Nothing was found yet: the first batch is given whole, whatever its size.
  var oneBatch = true
}

struct PartitionReader {
  var cache: SegmentCache
  private var hints = PositionHints()
  let search = SegmentSearch()
  /// Bytes before the end of a log that whoever follows it may be behind.
  private static let recentBytes: Int64 = 16 << 20

  init(descriptorsMax: Int) { cache = SegmentCache(descriptorsMax: descriptorsMax) }

  /// Looks at a partition whose scoreboard entry is `entry`.
  mutating func look(
    _ target: FetchTarget, slot: UInt32, _ entry: ScoreboardEntry, readCommitted: Bool,
    _ limit: ReadLimit
  ) -> FoundRecords {
    if let error = Self.refusal(target, entry) { return FoundRecords(error) }
    var found = FoundRecords()
    found.highWatermark = entry.highWatermark
    found.lastStableOffset = entry.lastStableOffset
    found.logStartOffset = entry.logStartOffset
    if let epoch = Self.divergence(target, entry) {
      found.divergingEpoch = epoch
      return found
    }
    let bound =
      readCommitted
      ? min(entry.lastStableOffset, entry.highWatermark)
      : entry.highWatermark
    guard target.fetchOffset < bound, limit.oneBatch || limit.bytes > 0 else { return found }
    do {
      let upper = try locate(&found, target, slot: slot, entry, bound: bound, limit)
      if readCommitted, entry.abortedTransactionsEdition != 0, found.count > 0 {
        try collectAborted(&found, target, slot: slot, entry, below: upper)
      }
      return found
    } catch .tooFar {
      found.state = .opening
      found.wantedOffset = target.fetchOffset
      return found
    } catch .cold {
      found.state = .reading
      found.segment = nil
      found.count = 0
      return found
    } catch { return FoundRecords(.kafkaStorageError) }
  }

  /// What a look that ended with `reading` needs, for somebody who has it read.
  func takeColdPiece() -> FilePiece? { search.takeColdPiece() }

  /// The error of a request that does not fit the partition's state.
  private static func refusal(_ target: FetchTarget, _ entry: ScoreboardEntry) -> ErrorCode? {
    if entry.isOffline { return .kafkaStorageError }
    if target.currentLeaderEpoch >= 0 {
      if target.currentLeaderEpoch < entry.leaderEpoch { return .fencedLeaderEpoch }
      if target.currentLeaderEpoch > entry.leaderEpoch { return .unknownLeaderEpoch }
    }
    // The end of an epoch that has not begun cannot be told.
    if target.lastFetchedEpoch > entry.leaderEpoch { return .offsetOutOfRange }
    let range = entry.logStartOffset...max(entry.logStartOffset, entry.logEndOffset)
    if target.lastFetchedEpoch >= 0, target.fetchOffset > entry.logEndOffset { return nil }
    return range.contains(target.fetchOffset) ? nil : .offsetOutOfRange
  }

  /// A single leader never truncates what it has published, so that no epoch ends below an offset
  /// that was read, except beyond the log's end.
  private static func divergence(_ target: FetchTarget, _ entry: ScoreboardEntry)
    -> (epoch: Int32, endOffset: Int64)?
  {
    guard target.lastFetchedEpoch >= 0, target.fetchOffset > entry.logEndOffset else { return nil }
    return (entry.leaderEpoch, entry.logEndOffset)
  }

  /// - Returns: an offset that all records found are below, and not many others.
  private mutating func locate(
    _ found: inout FoundRecords, _ target: FetchTarget, slot: UInt32, _ entry: ScoreboardEntry,
    bound: Int64, _ limit: ReadLimit
  ) throws(SegmentFault) -> Int64 {
    var offset = target.fetchOffset
    // More than one turn only where compaction left a segment without records at its end.
    while offset < bound {
      guard
        let segment = cache.find(
          slot: slot, generation: entry.generation, offset: offset, entry)
      else {
        found.state = .opening
        found.wantedOffset = offset
        return offset
      }
      let end = try end(segment, entry, bound: bound)
      if let start = try start(segment, offset, end), start < end {
        found.segment = segment
        found.position = start
        found.isRecent =
          segment.baseOffset == entry.segmentBaseOffset && end - start <= Self.recentBytes
        let (count, next) = try length(
          segment, from: start, to: end, min(target.maxBytes, limit.bytes), limit.oneBatch)
        found.count = count
        if found.count == Int(end - start), segment.baseOffset == entry.segmentBaseOffset,
          bound == entry.highWatermark
        {
          hints.remember(segment, offset: bound, position: end)
        }
        if found.count == 0 { found.segment = nil }
        return next ?? min(bound, segment.nextBaseOffset)
      }
      guard !segment.wasActive, segment.nextBaseOffset > offset else { return offset }
      offset = segment.nextBaseOffset
    }
    return offset
  }

  /// Where reading must stop in the segment.
  private func end(_ segment: CachedSegment, _ entry: ScoreboardEntry, bound: Int64)
    throws(SegmentFault) -> Int64
  {
    let end = segment.readableEnd(entry)
    guard bound < entry.highWatermark, bound < segment.nextBaseOffset else { return end }
    // The last stable offset is the first one of a transaction, where a batch begins.
    return try search.batch(segment, holding: bound, end: end)?.position ?? end
  }

  /// Where the batch that holds `offset` begins, or the first one after it.
  private func start(_ segment: CachedSegment, _ offset: Int64, _ end: Int64)
    throws(SegmentFault) -> Int64?
  {
    if offset <= segment.baseOffset { return 0 }
    if let position = hints.position(segment, offset: offset) { return position }
    return try search.batch(segment, holding: offset, end: end)?.position
  }

  /// How many bytes of whole batches from `start` fit, and where the next batch begins, if it is known.
  private mutating func length(
    _ segment: CachedSegment, from start: Int64, to end: Int64, _ max: Int, _ oneBatch: Bool
  ) throws(SegmentFault) -> (count: Int, nextOffset: Int64?) {
    if end - start <= Int64(max) { return (Int(end - start), nil) }
    let (boundary, next) = try search.boundary(
      segment, from: start, limit: start + Int64(max), end: end)
    if boundary > start {
      if let next { hints.remember(segment, offset: next.baseOffset, position: boundary) }
      return (Int(boundary - start), next?.baseOffset)
    }
    guard oneBatch, let next else { return (0, nil) }
    return (Int(next.endPosition - start), next.lastOffset + 1)
  }
}
