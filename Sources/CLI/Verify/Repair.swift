// Makes what is derived anew: indexes, aborted transactions and leader epochs from the batches; a snapshot that is wrong
// goes, because an older one and the batches behind it tell the producers. Batches are never touched.
// Every file is replaced by rename, so that a crash leaves the old one or the new one.

import Linux
import Records

struct Repair {
  private let directory: String
  private let report: VerifyReport

  /// Kafka's default of `index.interval.bytes`; any spacing is right.
  private static let indexIntervalBytes: Int64 = 4096

  init(_ directory: String, _ report: VerifyReport) {
    self.directory = directory
    self.report = report
  }

  mutating func run(_ remedies: [Remedy]) throws(VerifyFailure) {
    do throws(DumpFailure) {
      let segments = Set(
        remedies.compactMap { if case .transactions(let base) = $0 { base } else { nil } })
      if !segments.isEmpty { try makeTransactionIndexes(segments) }
      for remedy in Set(remedies) {
        switch remedy {
        case .indexes(let base): try makeIndexes(base)
        case .leaderEpochs: try makeEpochs()
        case .snapshot(let offset): try removeSnapshot(offset)
        case .transactions, .checkpoint: break
        }
      }
    } catch {
      switch error {
      case .system(let errno): throw .system(errno)
      case .unknown(let line): throw .refused(line)
      }
    }
  }

  private func replace(_ path: String, _ bytes: [UInt8], _ remedy: Remedy) throws(DumpFailure) {
    do throws(Errno) { try File.replace(path, with: bytes) } catch { throw .system(error) }
    report.repaired(path, remedy.text)
  }

  private func removeSnapshot(_ offset: Int64) throws(DumpFailure) {
    let path = "\(directory)/\(SegmentFile.stem(offset)).snapshot"
    do throws(Errno) {
      _ = try File.remove(path)
      try File.syncDirectory(directory)
    } catch { throw .system(error) }
    report.repaired(path, Remedy.snapshot(offset).text)
  }

  // MARK: Indexes

  /// Both indexes of a segment as an appender would have made them (Storage's IndexFormat.swift).
  private func makeIndexes(_ base: Int64) throws(DumpFailure) {
    var offsets: [UInt8] = []
    var times: [UInt8] = []
    var bytesSinceEntry: Int64 = 0
    var greatest = (timestamp: RecordBatchHeader.noTimestamp, relative: Int32(0))
    var lastTimestamp = RecordBatchHeader.noTimestamp
    func addTime() {
      guard greatest.timestamp > lastTimestamp else { return }
      lastTimestamp = greatest.timestamp
      append(greatest.timestamp, to: &times)
      append(greatest.relative, to: &times)
    }
    try forEachBatch(base) { header, position in
      let relative = Int32(clamping: header.lastOffset - base)
      if header.maxTimestamp > greatest.timestamp { greatest = (header.maxTimestamp, relative) }
      if bytesSinceEntry > Self.indexIntervalBytes {
        append(relative, to: &offsets)
        append(Int32(clamping: position), to: &offsets)
        addTime()
        bytesSinceEntry = 0
      }
      bytesSinceEntry += Int64(header.sizeInBytes)
    }
    addTime()
    let stem = "\(directory)/\(SegmentFile.stem(base))"
    try replace("\(stem).index", offsets, .indexes(base))
    try replace("\(stem).timeindex", times, .indexes(base))
  }

  private func append<T: FixedWidthInteger>(_ value: T, to bytes: inout [UInt8]) {
    withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
  }

  // MARK: Leader epochs

  private func makeEpochs() throws(DumpFailure) {
    var lines: [String] = []
    var last: Int32 = -1
    for base in try bases() {
      try forEachBatch(base) { header, _ in
        guard header.partitionLeaderEpoch > last else { return }
        last = header.partitionLeaderEpoch
        lines.append("\(last) \(header.baseOffset)\n")
      }
    }
    let text = "0\n\(lines.count)\n" + lines.joined()
    try replace("\(directory)/leader-epoch-checkpoint", Array(text.utf8), .leaderEpochs)
  }

  private func bases() throws(DumpFailure) -> [Int64] {
    do throws(Errno) {
      return try File.names(in: directory).compactMap(SegmentFile.parse)
        .filter { $0.kind == "log" }.map(\.offset).sorted()
    } catch { throw .system(error) }
  }

  // MARK: Transactions

  /// The transaction indexes of some segments. Of a transaction that began before the log does, the
  /// old entry is kept; without one it cannot be told from where on readers must skip.
  private func makeTransactionIndexes(_ wanted: Set<Int64>) throws(DumpFailure) {
    let bases = try bases()
    var producers = ProducerReplay()
    producers.isFromStart = bases.first == 0
    for base in bases {
      let path = "\(directory)/\(SegmentFile.stem(base)).txnindex"
      let old = wanted.contains(base) ? try entries(path) : [:]
      var made: [UInt8] = []
      var unknown: Int64?
      let walk = BatchWalk(file: try DumpFile("\(directory)/\(SegmentFile.stem(base)).log"))
      try forEachBatch(base) { (header, position) throws(DumpFailure) in
        // A batch that cannot be trusted tells nothing of producers.
        guard try walk.checksum(header, at: position) == header.crc else { return }
        let marker = try walk.marker(header, at: position) { _ in }
        guard var aborted = producers.take(header, marker) else { return }
        if !aborted.isKnown {
          guard let kept = old[aborted.lastOffset], kept.producerId == aborted.producerId else {
            unknown = unknown ?? aborted.lastOffset
            return
          }
          aborted = kept
        }
        aborted.append(to: &made)
      }
      guard wanted.contains(base) else { continue }
      if let unknown {
        report.failed(
          "\(path): the beginning of the transaction aborted at offset \(unknown) is not known")
      } else {
        try replace(path, made, .transactions(base))
      }
    }
  }

  private func entries(_ path: String) throws(DumpFailure) -> [Int64: AbortedTransaction] {
    guard var cursor = try IndexCursor(path, entrySize: AbortedTransaction.size) else { return [:] }
    var found: [Int64: AbortedTransaction] = [:]
    while let bytes = cursor.current {
      if let entry = bytes.withUnsafeBytes({ AbortedTransaction($0) }) {
        found[entry.lastOffset] = entry
      }
      try cursor.advance()
    }
    return found
  }

  /// Every whole batch of a segment, those behind damage too.
  private func forEachBatch(
    _ base: Int64, _ body: (RecordBatchHeader, Int64) throws(DumpFailure) -> Void
  ) throws(DumpFailure) {
    let file = try DumpFile("\(directory)/\(SegmentFile.stem(base)).log")
    let walk = BatchWalk(file: file)
    var position: Int64 = 0
    var nextOffset = base
    while position < file.size {
      guard case .success(let header) = try walk.header(at: position),
        header.baseOffset >= nextOffset
      else {
        guard let found = try walk.find(from: position + 1, offsets: nextOffset..<(.max)) else {
          return
        }
        position = found.position
        continue
      }
      try body(header, position)
      nextOffset = header.nextOffset
      position += Int64(header.sizeInBytes)
    }
  }
}
