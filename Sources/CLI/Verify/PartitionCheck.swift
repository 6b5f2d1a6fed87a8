// One partition's directory: its segments in order, and what is derived from them.

import Linux
import Records

struct PartitionCheck {
  private let directory: String
  private let report: VerifyReport
  private let readsRecords: Bool
  /// A writer is at work in the directory, or was killed.
  private let isUnclean: Bool
  /// Compaction has been up to here: below, offsets may be missing.
  private let cleanedOffset: Int64
  private var snapshots: ArraySlice<Int64> = []
  private var producers = ProducerReplay()
  private var epochs: [LeaderEpoch] = []
  private var epochsPath: String { "\(directory)/leader-epoch-checkpoint" }
  private var lastEpoch: Int32 = -1
  private(set) var summary: PartitionSummary

  struct LeaderEpoch {
    let epoch: Int32
    let startOffset: Int64
  }

  init(
    _ directory: String, _ report: VerifyReport, readsRecords: Bool, isUnclean: Bool,
    cleanedOffset: Int64
  ) {
    self.cleanedOffset = cleanedOffset
    self.directory = directory
    self.report = report
    self.readsRecords = readsRecords
    self.isUnclean = isUnclean
    summary = PartitionSummary(path: directory)
  }

  mutating func run() throws(DumpFailure) {
    let files: [(offset: Int64, kind: String)]
    do throws(Errno) {
      files = try File.names(in: directory).compactMap(SegmentFile.parse)
    } catch { throw .system(error) }
    let bases = files.filter { $0.kind == "log" }.map(\.offset).sorted()
    snapshots = files.filter { $0.kind == "snapshot" }.map(\.offset).sorted()[...]
    for (offset, kind) in files
    where ["index", "timeindex", "txnindex"].contains(kind) && !bases.contains(offset) {
      report.add(
        Finding("\(directory)/\(SegmentFile.stem(offset)).\(kind)", "it belongs to no segment"))
    }
    if bases.isEmpty {
      report.add(Finding(directory, "there is no segment"))
      return
    }
    readMetadata()
    readEpochs()
    try checkSegments(bases)
    try checkSnapshots(upTo: .max)
    if summary.logEndOffset > 0, epochs.last.map({ $0.startOffset > summary.logEndOffset }) == true
    {
      report.add(Finding(epochsPath, "an epoch begins behind the log's end", .leaderEpochs))
    }
    report.checked(summary)
  }

  private mutating func checkSegments(_ bases: [Int64]) throws(DumpFailure) {
    summary.segments = bases.count
    summary.logStartOffset = bases.first ?? 0
    producers.isFromStart = summary.logStartOffset == 0
    producers.cleanedOffset = cleanedOffset
    var nextOffset = summary.logStartOffset
    for (index, base) in bases.enumerated() {
      let isLast = index == bases.count - 1
      let path = "\(directory)/\(SegmentFile.stem(base)).log"
      if base < nextOffset {
        report.add(Finding(path, "it begins before the end of the segment before, \(nextOffset)"))
      } else if base > nextOffset, base > cleanedOffset {
        report.add(
          Finding(
            path, offsets: nextOffset...(base - 1), "nothing before it has these offsets"))
      }
      var segment = try SegmentCheck(
        directory,
        SegmentCheck.Place(
          baseOffset: base, nextBase: isLast ? nil : bases[index + 1],
          cleanedOffset: cleanedOffset, mayEndEarly: isLast && isUnclean),
        report, readsRecords: readsRecords)
      var damage: DumpFailure?
      let end = try segment.run { header, marker in
        do throws(DumpFailure) { return try take(header, marker, path) } catch {
          damage = damage ?? error
          return nil
        }
      }
      if let damage { throw damage }
      nextOffset = max(end, base)
    }
    summary.logEndOffset = nextOffset
  }

  private mutating func take(
    _ header: RecordBatchHeader, _ marker: EndTransactionMarker?, _ path: String
  ) throws(DumpFailure) -> AbortedTransaction? {
    summary.batches += 1
    summary.records += Int64(header.recordCount)
    summary.bytes += Int64(header.sizeInBytes)
    try checkSnapshots(upTo: header.baseOffset)
    compareEpoch(header, path)
    return producers.take(header, marker)
  }

  // MARK: Leader epochs

  private mutating func readEpochs() {
    guard let bytes = try? File.contents(epochsPath) else { return }
    var lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")[...]
    let version = lines.popFirst()
    let count = lines.popFirst().flatMap { Int($0) }
    for line in lines {
      let words = line.split(separator: " ")
      guard words.count == 2, let epoch = Int32(words[0]), let offset = Int64(words[1]),
        epochs.last.map({ $0.epoch < epoch && $0.startOffset <= offset }) ?? true
      else {
        report.add(Finding(epochsPath, "'\(line)' does not follow the line before", .leaderEpochs))
        return
      }
      epochs.append(LeaderEpoch(epoch: epoch, startOffset: offset))
    }
    if version != "0" || count != epochs.count {
      report.add(
        Finding(epochsPath, "it is no version 0 with as many lines as it says", .leaderEpochs))
    }
  }

  private mutating func compareEpoch(_ header: RecordBatchHeader, _ path: String) {
    let epoch = header.partitionLeaderEpoch
    guard epoch >= 0 else { return }
    if epoch < lastEpoch {
      report.add(
        Finding(
          path, offsets: header.baseOffset...header.lastOffset,
          "leader epoch \(epoch) comes after \(lastEpoch)"))
    }
    let isNew = epoch > lastEpoch
    lastEpoch = max(lastEpoch, epoch)
    // Within an epoch the first batch decides.
    guard isNew else { return }
    let known = epochs.last { $0.startOffset <= header.baseOffset }
    if known?.epoch != epoch {
      report.add(
        Finding(
          epochsPath,
          "offset \(header.baseOffset) is of epoch \(known.map { "\($0.epoch)" } ?? "none"), "
            + "but its batch says \(epoch)", .leaderEpochs))
    }
  }

  // MARK: Snapshots

  /// Holds the snapshots of offsets up to this one against the batches before them.
  private mutating func checkSnapshots(upTo offset: Int64) throws(DumpFailure) {
    while let next = snapshots.first, next <= offset {
      snapshots.removeFirst()
      let path = "\(directory)/\(SegmentFile.stem(next)).snapshot"
      let bytes: [UInt8]
      do throws(Errno) { bytes = try File.contents(path, limit: 1 << 30) } catch {
        throw .system(error)
      }
      if offset == .max, next > max(summary.logEndOffset, summary.logStartOffset) {
        report.add(Finding(path, "it is behind the log's end", .snapshot(next)))
        continue
      }
      switch SnapshotEntry.all(bytes) {
      case .failure(let defect): report.add(Finding(path, defect.reason, .snapshot(next)))
      case .success(let entries):
        for entry in entries {
          guard let why = producers.contradiction(entry, of: next) else { continue }
          report.add(Finding(path, why, .snapshot(next)))
        }
      }
    }
  }

  // MARK: partition.metadata

  private func readMetadata() {
    let path = "\(directory)/partition.metadata"
    guard let bytes = try? File.contents(path) else {
      return report.add(Finding(path, "it is missing or cannot be read"))
    }
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    let id = lines.first { $0.hasPrefix("topic_id: ") }?.dropFirst(10)
    if !lines.contains("version: 0") || id?.utf8.count != 22 {
      report.add(Finding(path, "it has no version 0 and no topic id of 22 characters"))
    }
  }
}
