// One segment: every batch, and beside it the entries of its indexes. Behind a place where there is no
// batch the next whole one is looked for, so that what is told as lost is exactly what is lost.

import Records

struct SegmentCheck {
  private let path: String
  private let report: VerifyReport
  private let readsRecords: Bool
  private var indexes: IndexCheck
  private let place: Place

  /// Bytes of decompressed records of one batch at most.
  private static let decompressedBytesMax = 1 << 30

  /// Where a segment is in its log.
  struct Place {
    let baseOffset: Int64
    /// Where the next segment begins; nil: it is the last.
    let nextBase: Int64?
    /// Compaction has been up to here: below, offsets may be missing.
    let cleanedOffset: Int64
    /// A writer is at work in it, or was killed: it may end in half a batch, and not everything may be
    /// in its indexes.
    let mayEndEarly: Bool
  }

  /// - Parameters:
  ///   - directory: of the partition.
  ///   - readsRecords: decompresses batches and goes through their records.
  init(_ directory: String, _ place: Place, _ report: VerifyReport, readsRecords: Bool)
    throws(DumpFailure)
  {
    self.report = report
    self.readsRecords = readsRecords
    self.place = place
    let stem = "\(directory)/\(SegmentFile.stem(place.baseOffset))"
    path = "\(stem).log"
    indexes = try IndexCheck(
      stem, baseOffset: place.baseOffset, isComplete: !place.mayEndEarly,
      isActive: place.nextBase == nil, report)
  }

  /// Takes a batch whose checksum is right, and the marker that it is; tells the transaction which that
  /// one aborted.
  typealias Taking = (RecordBatchHeader, EndTransactionMarker?) -> AbortedTransaction?

  /// Goes through the segment.
  /// - Returns: the offset behind its last batch.
  mutating func run(_ taking: Taking) throws(DumpFailure) -> Int64 {
    let file = try DumpFile(path)
    let walk = BatchWalk(file: file)
    var nextOffset = place.baseOffset
    var position: Int64 = 0
    var isWhole = true
    while position < file.size {
      let (found, reason) = try look(walk, at: position, nextOffset)
      guard var header = found else {
        isWhole = false
        let found = try walk.find(
          from: position + 1, offsets: nextOffset..<(place.nextBase ?? .max))
        tell(reason, position, nextOffset, file.size, found)
        report.progress((found?.position ?? file.size) - position)
        position = found?.position ?? file.size
        nextOffset = found?.header.baseOffset ?? place.nextBase ?? nextOffset
        continue
      }
      let isSound = reason == nil
      let range = header.baseOffset...header.lastOffset
      if let reason { report.add(Finding(path, at: position, offsets: range, reason)) }
      if header.baseOffset != nextOffset {
        try compareOffset(&header, walk, at: position, nextOffset)
      }
      var aborted: AbortedTransaction?
      if isSound {
        if readsRecords { try readRecords(header, file, at: position) }
        aborted = taking(header, try marker(header, file, at: position))
      }
      try indexes.take(header, at: position, aborted)
      nextOffset = max(nextOffset, header.nextOffset)
      position += Int64(header.sizeInBytes)
      report.progress(Int64(header.sizeInBytes))
    }
    try indexes.finish(isWhole: isWhole, isEmpty: file.size == 0)
    return nextOffset
  }

  /// The batch at a place and what is wrong with it. Without a batch something is always wrong.
  private func look(_ walk: BatchWalk, at position: Int64, _ nextOffset: Int64)
    throws(DumpFailure) -> (RecordBatchHeader?, String?)
  {
    let header: RecordBatchHeader
    switch try walk.header(at: position) {
    case .success(let found): header = found
    case .failure(let defect): return (nil, defect.reason)
    }
    if try walk.checksum(header, at: position) == header.crc { return (header, nil) }
    // Whether its length can be believed is told by what follows.
    let behind = position + Int64(header.sizeInBytes)
    let isFollowed: Bool
    if behind == walk.file.size {
      isFollowed = place.nextBase.map { header.nextOffset <= $0 } ?? true
    } else if case .success(let next) = try walk.header(at: behind) {
      isFollowed = next.baseOffset >= header.nextOffset
    } else {
      isFollowed = false
    }
    let isPlausible = isFollowed && header.baseOffset == nextOffset
    return (isPlausible ? header : nil, "the checksum is wrong")
  }

  /// Tells of bytes that are no batch.
  private func tell(
    _ reason: String?, _ position: Int64, _ nextOffset: Int64, _ size: Int64,
    _ found: (position: Int64, header: RecordBatchHeader)?
  ) {
    let reason = reason ?? "no batch"
    if found == nil, place.mayEndEarly {
      return report.note("\(path): at byte \(position): \(reason); a start cuts it off")
    }
    let end = found?.header.baseOffset ?? place.nextBase
    let lost = "bytes \(position) to \((found?.position ?? size) - 1) are lost"
    let offsets = end.flatMap { $0 > nextOffset ? nextOffset...($0 - 1) : nil }
    report.add(
      Finding(
        path, at: position, offsets: offsets,
        end == nil ? "\(reason); \(lost), and offsets from \(nextOffset) on" : "\(reason); \(lost)")
    )
  }

  /// A batch does not begin where the one before ends. No checksum covers its base offset: the batch
  /// behind it tells whether that is wrong or others are missing.
  private func compareOffset(
    _ header: inout RecordBatchHeader, _ walk: BatchWalk, at position: Int64, _ nextOffset: Int64
  ) throws(DumpFailure) {
    let behind = position + Int64(header.sizeInBytes)
    let expected = nextOffset + Int64(header.lastOffsetDelta) + 1
    var follows = place.nextBase
    if behind < walk.file.size, case .success(let next) = try walk.header(at: behind) {
      follows = next.baseOffset
    }
    let said = header.baseOffset
    if follows == expected || said < nextOffset {
      report.add(
        Finding(
          path, at: position, offsets: nextOffset...(expected - 1),
          said < nextOffset && follows != expected
            ? "it begins with offset \(said), before offset \(nextOffset)"
            : "it begins with offset \(said) instead of \(nextOffset)"))
      header.baseOffset = nextOffset
    } else if said > place.cleanedOffset {
      report.add(
        Finding(
          path, at: position, offsets: nextOffset...(said - 1), "no batch has these offsets"))
    }
  }

  private func marker(_ header: RecordBatchHeader, _ file: DumpFile, at position: Int64)
    throws(DumpFailure) -> EndTransactionMarker?
  {
    try BatchWalk(file: file).marker(header, at: position) { reason in
      report.add(
        Finding(path, at: position, offsets: header.baseOffset...header.lastOffset, reason))
    }
  }

  private func readRecords(_ header: RecordBatchHeader, _ file: DumpFile, at position: Int64)
    throws(DumpFailure)
  {
    var count: Int32 = 0
    var isAscending = true
    var last: Int32 = -1
    let outcome = try file.read(header.sizeInBytes, at: position) {
      (batch) throws(BatchRecordsError) in
      try BatchRecords.forEach(header, batch, limit: Self.decompressedBytesMax) { record in
        count += 1
        isAscending = isAscending && record.offsetDelta > last
        last = record.offsetDelta
      }
    }
    let range = header.baseOffset...header.lastOffset
    if case .failure(let error) = outcome {
      report.add(
        Finding(path, at: position, offsets: range, "record \(count) cannot be read: \(error)"))
    } else if !isAscending || last > header.lastOffsetDelta {
      report.add(
        Finding(path, at: position, offsets: range, "the offsets of its records are not in order"))
    }
  }
}

enum SegmentFile {
  /// Twenty digits.
  static func stem(_ offset: Int64) -> String {
    let digits = String(offset)
    return String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits
  }

  /// Offset and kind of a file such as `00000000000000000042.log`.
  static func parse(_ name: String) -> (offset: Int64, kind: String)? {
    guard name.utf8.count > 21, name.utf8.prefix(20).allSatisfy({ $0 >= 48 && $0 <= 57 }),
      let offset = Int64(name.prefix(20)), name.dropFirst(20).first == "."
    else { return nil }
    return (offset, String(name.dropFirst(21)))
  }
}
