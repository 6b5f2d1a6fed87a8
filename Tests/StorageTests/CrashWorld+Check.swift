// The check of a disk after a crash: it is opened and recovered as a broker would, and then has what was
// promised before the crash, nothing that was never written, and everything that is derived from it.

import Foundation
import Linux
import Model
import Records

@testable import Storage

extension CrashWorld {
  /// Writes one of the disks that the crash may have left, and checks it.
  /// - Returns: what is wrong with it.
  func check(_ image: DiskModel, _ loss: DiskModel.Loss, _ promises: [Promise]) throws -> String? {
    imageCount += 1
    let path = "\(temporary.path)/\(imageCount)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try image.write(to: path, loss, &seed)
    do {
      let recovered = try LogDirectory(
        "\(path)/data", nodeId: 1, clusterId: "c", settings: settings,
        environment: LogEnvironment(openSegmentsMax: 4))
      for promise in promises where !promise.one.isDeleted {
        if let finding = try check(recovered, promise) {
          return "\(promise.one.partition) (\(promise.one.topicId.low)): \(finding)"
        }
      }
      return nil
    } catch { return "the directory cannot be opened: \(error)" }
  }

  private func check(_ directory: LogDirectory, _ promise: Promise) throws -> String? {
    let one = promise.one
    guard let log = directory.logs[one.partition], log.topicId == one.topicId else {
      let other = directory.logs[one.partition]?.topicId.low
      return promise.end > 0 ? "not there, topic id \(other.map { "\($0)" } ?? "-")" : nil
    }
    let point = log.recoveryPoint
    if log.needsRecovery || !log.unindexed.isEmpty {
      do { try log.recover(nowMs: nowMs) } catch { return "recovery failed: \(error)" }
    }
    if let failure = log.failure { return "offline: \(failure)" }
    if log.logStartOffset < promise.start {
      return "starts at \(log.logStartOffset), deleted below \(promise.start)"
    }
    if log.logEndOffset < max(promise.end, promise.start) {
      return "ends at \(log.logEndOffset), promised \(promise.end)"
    }
    let found = try Self.batches(of: log, in: "\(directory.path)/\(one.partition)")
    if let finding = checkBatches(log, one, found) { return finding }
    _ = try log.openedSegment(nowMs: nowMs)
    let written = one.batches.filter { $0.header.nextOffset <= log.logEndOffset }
    // Deletion up to what is on disk takes nothing away that is derived from records.
    let isKept = log.logStartOffset == 0 || log.segments[0].baseOffset < point
    let finding =
      isKept ? try checkKept(log, written) : try checkLeft(log, written, found)
    if let finding {
      return "\(finding); \(log.logStartOffset)..<\(log.logEndOffset), recovery point \(point), "
        + "segments \(log.segments.map(\.baseOffset))"
    }
    return try checkUse(log, found.map(\.header.maxTimestamp).max())
  }

  /// The batches are those that were written, byte by byte.
  private func checkBatches(
    _ log: PartitionLog, _ one: Incarnation, _ found: [(header: RecordBatchHeader, bytes: [UInt8])]
  ) -> String? {
    let first = log.segments[0].baseOffset
    let isThere = Set(found.map(\.header.baseOffset))
    let expected = one.batches.filter {
      guard $0.header.baseOffset >= first, $0.header.nextOffset <= log.logEndOffset else {
        return false
      }
      // What compaction has removed may come back, and goes with the next one.
      return isThere.contains($0.header.baseOffset) || !one.removable.contains($0.header.baseOffset)
    }
    guard found.map(\.bytes) == expected.map(\.bytes) else {
      return "has \(found.map(\.header.baseOffset)) of \(expected.map(\.header.baseOffset))"
    }
    return first > log.logStartOffset ? "its first segment \(first) is behind its start" : nil
  }

  /// The time index tells the greatest timestamp, and the log goes on.
  private func checkUse(_ log: PartitionLog, _ greatest: Int64?) throws -> String? {
    let told = try log.maxTimestamp(nowMs: nowMs)?.timestampMs
    if log.logStartOffset == 0, told != greatest {
      return "greatest timestamp \(told ?? -1), not \(greatest ?? -1), segments "
        + "\(log.segments), recovery point \(log.checkpointedRecoveryPoint)"
    }
    let end = log.logEndOffset
    let bytes = Batch(timestamp: nowMs).bytes
    let outcome = try bytes.withUnsafeBytes { raw in
      let outcome = try log.stage(raw, from: .client, nowMs: nowMs)
      try log.commit()
      return outcome
    }
    return outcome == .staged(baseOffset: end, logAppendTimeMs: -1)
      ? nil : "the next append was answered with \(outcome)"
  }

  /// Producers, all remembered batches of each, and leader epochs are those of all that was ever
  /// written: neither retention nor compaction takes them away. (Of what compaction has removed Kafka
  /// may forget all but a producer's last batch; see `SegmentReplacement` for why we do not.)
  private func checkKept(_ log: PartitionLog, _ written: [WrittenBatch]) throws -> String? {
    let (producers, epochs, aborted) = Self.derived(written)
    let first = log.segments[0].baseOffset
    let (indexed, due) = (
      try log.abortedTransactions(), aborted.filter { $0.lastOffset >= first }
    )
    if indexed != due { return "aborted transactions \(indexed), not \(due)" }
    if log.firstUnstableOffset != producers.firstUnstableOffset {
      return "unstable from \(log.firstUnstableOffset), not \(producers.firstUnstableOffset)"
    }
    for id in Int64(1)...5
    where Self.batches(producers[id]) != Self.batches(log.producers[id]) {
      return "producer \(id) is \(log.producers[id]?.batches.map(\.lastSequence) ?? []), not "
        + "\(producers[id]?.batches.map(\.lastSequence) ?? [])"
    }
    let offsets = log.logStartOffset..<log.logEndOffset
    let (told, expected) = (Self.epochs(log.epochs, of: offsets), Self.epochs(epochs, of: offsets))
    return told == expected ? nil : "leader epochs \(told), not \(expected)"
  }

  /// DeleteRecords went beyond what was on disk. Snapshot and epochs as of the new start need not be
  /// there either, and nothing is left to derive them from, as in Kafka: what is left tells of at
  /// least itself, and what is known of before is true.
  private func checkLeft(
    _ log: PartitionLog, _ written: [WrittenBatch], _ found: [WrittenBatch]
  ) throws -> String? {
    let (producers, epochs, aborted) = Self.derived(written)
    let first = log.segments[0].baseOffset
    // Of a transaction that began in what is deleted, what is left tells: it may begin later, and so
    // may hold the last stable offset back less.
    let indexed = try log.abortedTransactions()
    let due = aborted.filter { $0.firstOffset >= first }
    let isThere = due.allSatisfy { wanted in
      indexed.contains {
        $0.producerId == wanted.producerId && $0.firstOffset == wanted.firstOffset
          && $0.lastOffset == wanted.lastOffset && $0.lastStableOffset >= wanted.lastStableOffset
      }
    }
    if !isThere
      || indexed.contains(where: { told in
        !aborted.contains { $0.producerId == told.producerId && $0.lastOffset == told.lastOffset }
      })
    {
      return "aborted transactions \(indexed), not \(due) of \(aborted)"
    }
    for id in Int64(1)...5 {
      let (told, expected) = (Self.batches(log.producers[id]), Self.batches(producers[id]))
      let left = expected.filter { $0.firstOffset >= first }
      if told.count < left.count || told != expected.suffix(told.count) {
        return "producer \(id) is \(told.map(\.lastSequence)), not "
          + "\(expected.map(\.lastSequence)), left \(left.map(\.lastSequence))"
      }
    }
    for (header, _) in found where header.lastOffset >= log.logStartOffset {
      let epoch = log.epochs.last { $0.startOffset <= header.lastOffset }?.epoch
      if epoch != header.partitionLeaderEpoch {
        return "leader epochs \(log.epochs), not \(epochs)"
      }
    }
    return nil
  }

  /// A snapshot has one timestamp for a producer and its last batch: with transactions that of the
  /// last marker, as in Kafka.
  private static func batches(_ producer: ProducerEntry?) -> [ProducerBatch] {
    guard let producer else { return [] }
    return producer.batches.map { batch in
      var batch = batch
      if producer.producerId > 3 { batch.timestamp = -1 }
      return batch
    }
  }

  private typealias WrittenBatch = (header: RecordBatchHeader, bytes: [UInt8])

  private static func derived(_ written: [WrittenBatch]) -> (
    ProducerState, [LeaderEpochEntry], [AbortedTransaction]
  ) {
    var producers = ProducerState()
    var epochs: [LeaderEpochEntry] = []
    var aborted: [AbortedTransaction] = []
    for (header, bytes) in written {
      let marker = bytes.withUnsafeBytes {
        EndTransactionMarker(
          header, records: UnsafeRawBufferPointer(rebasing: $0[RecordBatchHeader.size...]))
      }
      if let marker {
        if let transaction = producers.apply(marker, header) { aborted.append(transaction) }
      } else if header.hasProducerId {
        producers.apply(header)
      }
      if header.partitionLeaderEpoch > epochs.last?.epoch ?? -1 {
        epochs.append(
          LeaderEpochEntry(epoch: header.partitionLeaderEpoch, startOffset: header.baseOffset))
      }
    }
    return (producers, epochs, aborted)
  }

  /// What epochs say of these offsets.
  private static func epochs(_ all: [LeaderEpochEntry], of offsets: Range<Int64>)
    -> [LeaderEpochEntry]
  {
    let first = all.lastIndex { $0.startOffset <= offsets.lowerBound } ?? 0
    return all[first...].map {
      LeaderEpochEntry(epoch: $0.epoch, startOffset: max($0.startOffset, offsets.lowerBound))
    }.filter { offsets.contains($0.startOffset) }
  }
}

extension CrashWorld {
  /// All batches of the log's files, their checksums compared.
  static func batches(of log: PartitionLog, in path: String) throws
    -> [(header: RecordBatchHeader, bytes: [UInt8])]
  {
    var found: [(RecordBatchHeader, [UInt8])] = []
    for segment in log.segments {
      let batches = try batches(in: "\(path)/\(LogFileName.name(.log, segment.baseOffset))")
      let size = batches.reduce(0) { $0 + $1.bytes.count }
      guard Int64(size) == segment.size else {
        throw CrashFinding("segment \(segment.baseOffset) has \(size) bytes")
      }
      found += batches
    }
    return found
  }

  static func batches(in file: String) throws
    -> [(header: RecordBatchHeader, bytes: [UInt8])]
  {
    var found: [(RecordBatchHeader, [UInt8])] = []
    let bytes = try File.contents(file)
    var position = 0
    while position < bytes.count {
      let rest = bytes[position...]
      guard let header = rest.withUnsafeBytes({ RecordBatchHeader($0) }),
        header.sizeInBytes <= rest.count
      else { throw CrashFinding("no batch at \(position) of \(file)") }
      let batch = Array(rest.prefix(header.sizeInBytes))
      guard batch.withUnsafeBytes({ header.checksumMatches($0) }) else {
        throw CrashFinding("wrong checksum at offset \(header.baseOffset)")
      }
      found.append((header, batch))
      position += header.sizeInBytes
    }
    return found
  }
}
