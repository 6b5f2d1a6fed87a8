// The indexes of one segment beside the walk through its batches. An entry of the offset index names
// the last offset of the batch at its position; an entry of the time index names the greatest
// timestamp up to there and an offset of the batch that has it; an entry of the transaction index
// names an aborted transaction, and there is one for each marker that aborts.

import Records

struct IndexCheck {
  private let stem: String
  private let baseOffset: Int64
  private let report: VerifyReport
  private let isComplete: Bool
  private var offsets: IndexCursor?
  private var times: IndexCursor?
  private var transactions: IndexCursor?
  private var lastEntry: (relative: Int32, position: Int32)?
  /// An entry that names an offset behind the batch at its position, which a later batch must end with.
  private var owed: (offset: Int64, at: Int64)?
  private var widestGap: Int64 = 0
  private var lastTime: (timestamp: Int64, relative: Int32)?
  private var timesBehindOffsets = 0
  private var maxTimestamp = RecordBatchHeader.noTimestamp
  private var lastPosition: Int64 = 0

  /// A lookup reads so many bytes without being slow: less without an entry is not told.
  private static let gapMax: Int64 = 64 << 10

  /// - Parameters:
  ///   - stem: the path of the segment's files without the kind.
  ///   - isComplete: nothing waits in a writer's memory, or was lost with it.
  ///   - isActive: the segment is the last.
  init(
    _ stem: String, baseOffset: Int64, isComplete: Bool, isActive: Bool, _ report: VerifyReport
  ) throws(DumpFailure) {
    self.isComplete = isComplete
    self.stem = stem
    self.baseOffset = baseOffset
    self.report = report
    offsets = try IndexCursor("\(stem).index", entrySize: 8, mayBeLonger: isActive)
    times = try IndexCursor("\(stem).timeindex", entrySize: 12, mayBeLonger: isActive)
    transactions = try IndexCursor("\(stem).txnindex", entrySize: AbortedTransaction.size)
  }

  private var remedy: Remedy { .indexes(baseOffset) }

  private func add(_ path: String, at position: Int64? = nil, _ reason: String) {
    report.add(Finding(path, at: position, reason, remedy))
  }

  /// - Parameter aborted: the transaction that this batch, a marker, ends.
  mutating func take(
    _ header: RecordBatchHeader, at position: Int64, _ aborted: AbortedTransaction?
  )
    throws(DumpFailure)
  {
    try takeOffsets(header, at: position)
    try takeTimes(header)
    if header.isControlBatch { try takeTransactions(header, aborted) }
    maxTimestamp = max(maxTimestamp, header.maxTimestamp)
    lastPosition = position
  }

  private mutating func takeOffsets(_ header: RecordBatchHeader, at position: Int64)
    throws(DumpFailure)
  {
    if let owed, header.lastOffset >= owed.offset, let path = offsets?.path {
      if header.lastOffset > owed.offset {
        add(path, at: owed.at, "offset \(owed.offset) is the last one of no batch")
      }
      self.owed = nil
    }
    while let entry = offsets?.current, let at = offsets?.position, let path = offsets?.path {
      let (relative, target) = entry.withUnsafeBytes {
        ($0.bigEndian(at: 0) as Int32, $0.bigEndian(at: 4) as Int32)
      }
      if Int64(target) > position { return }
      let offset = baseOffset + Int64(relative)
      if let lastEntry, relative <= lastEntry.relative || target <= lastEntry.position {
        add(path, at: at, "the entry does not follow the one before")
      } else if Int64(target) < position {
        add(path, at: at, "no batch begins at byte \(target)")
      } else if offset < header.lastOffset {
        add(
          path, at: at,
          "offset \(offset) is not the last one of the batch at byte \(target), \(header.lastOffset)"
        )
      } else if offset > header.lastOffset {
        // Versions of Kafka that wrote several batches at once name the last one's offset.
        owed = (offset, at)
      }
      widestGap = max(widestGap, Int64(target) - Int64(lastEntry?.position ?? 0))
      lastEntry = (relative, target)
      timesBehindOffsets = 0
      try offsets?.advance()
    }
  }

  private mutating func takeTimes(_ header: RecordBatchHeader) throws(DumpFailure) {
    while let entry = times?.current, let at = times?.position, let path = times?.path {
      let (timestamp, relative) = entry.withUnsafeBytes {
        ($0.bigEndian(at: 0) as Int64, $0.bigEndian(at: 8) as Int32)
      }
      let offset = baseOffset + Int64(relative)
      if offset > header.lastOffset { return }
      if let lastTime, timestamp <= lastTime.timestamp || relative < lastTime.relative {
        add(path, at: at, "the entry does not follow the one before")
      } else if offset < header.baseOffset {
        add(path, at: at, "no batch has offset \(offset)")
      } else if timestamp != header.maxTimestamp || maxTimestamp > timestamp {
        add(
          path, at: at,
          "\(timestamp) is not the greatest timestamp up to offset \(offset), "
            + "\(max(maxTimestamp, header.maxTimestamp))")
      }
      if relative > lastEntry?.relative ?? -1 { timesBehindOffsets += 1 }
      lastTime = (timestamp, relative)
      try times?.advance()
    }
  }

  // MARK: Transactions

  private mutating func takeTransactions(
    _ header: RecordBatchHeader, _ aborted: AbortedTransaction?
  )
    throws(DumpFailure)
  {
    var isThere = false
    while let bytes = transactions?.current, let at = transactions?.position,
      let path = transactions?.path
    {
      let entry = bytes.withUnsafeBytes { AbortedTransaction($0) }
      if let entry, entry.lastOffset > header.lastOffset { break }
      if let why = Self.contradiction(entry, aborted, header) {
        report.add(Finding(path, at: at, why, .transactions(baseOffset)))
      }
      if entry?.lastOffset == header.lastOffset { isThere = true }
      try transactions?.advance()
    }
    guard let aborted, isComplete, !isThere else { return }
    report.add(
      Finding(
        "\(stem).txnindex",
        offsets: (aborted.isKnown ? aborted.firstOffset : aborted.lastOffset)...aborted.lastOffset,
        "the aborted transaction of producer \(aborted.producerId) has no entry",
        .transactions(baseOffset)))
  }

  /// What is wrong with an entry of a marker up to this one.
  private static func contradiction(
    _ entry: AbortedTransaction?, _ aborted: AbortedTransaction?, _ header: RecordBatchHeader
  ) -> String? {
    guard let entry else { return "it is no entry of version 0" }
    guard let aborted, entry.lastOffset == header.lastOffset, entry.producerId == header.producerId
    else {
      return "no marker aborts producer \(entry.producerId) at offset \(entry.lastOffset)"
    }
    if aborted.isKnown
      ? entry.firstOffset != aborted.firstOffset : entry.firstOffset > entry.lastOffset
    {
      return "the aborted transaction begins at offset \(aborted.firstOffset), "
        + "not at \(entry.firstOffset)"
    }
    // A transaction of which the log has not the beginning may hold the last stable offset back.
    if entry.lastStableOffset > aborted.lastStableOffset
      || aborted.isAlone && entry.lastStableOffset != aborted.lastStableOffset
    {
      return "the last stable offset was \(aborted.lastStableOffset), not "
        + "\(entry.lastStableOffset)"
    }
    return nil
  }

  // MARK: The end

  /// - Parameters:
  ///   - isWhole: every batch of the segment was met.
  ///   - isEmpty: it has no bytes at all.
  mutating func finish(isWhole: Bool, isEmpty: Bool) throws(DumpFailure) {
    for cursor in [offsets, times] {
      guard let cursor else { continue }
      if cursor.isCut { add(cursor.path, "it ends in part of an entry") }
      if cursor.hasZeros { add(cursor.path, "zeros follow its last entry") }
      if cursor.current != nil, isWhole {
        add(cursor.path, at: cursor.position, "the entry points behind the batches")
      }
    }
    if let owed, isWhole, let path = offsets?.path {
      add(path, at: owed.at, "offset \(owed.offset) is behind the batches")
    }
    if let transactions {
      let isBehind = transactions.current != nil && isWhole
      if isBehind || transactions.isCut || transactions.hasZeros {
        report.add(
          Finding(
            transactions.path, at: transactions.position,
            isBehind
              ? "the entry names no batch"
              : transactions.isCut ? "it ends in part of an entry" : "zeros follow its last entry",
            .transactions(baseOffset)))
      }
    }
    if !isEmpty {
      for (cursor, kind) in [(offsets, "index"), (times, "timeindex")] where cursor == nil {
        add("\(stem).\(kind)", "it is missing")
      }
    }
    if isWhole, isComplete { finishComplete() }
  }

  private func finishComplete() {
    if let path = times?.path, maxTimestamp > lastTime?.timestamp ?? RecordBatchHeader.noTimestamp {
      add(path, "it does not know the greatest timestamp, \(maxTimestamp)")
    }
    // Both indexes get their entries together, but for the last time: when more times than offsets
    // were noted, the offsets were cut off.
    let from = Int64(lastEntry?.position ?? 0)
    if let path = offsets?.path, timesBehindOffsets > 1,
      lastPosition - from > max(Self.gapMax, 2 * widestGap)
    {
      add(path, "it ends early: nothing leads to bytes \(from) to \(lastPosition) of the log")
    }
  }
}
