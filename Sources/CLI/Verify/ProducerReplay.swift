// The producers of a partition as its batches tell them, to hold snapshots against. A log whose
// beginning was removed does not tell everything: what it does not know is not compared. Nor does a
// log that was compacted: of a producer only the last batch of all stays, not the one that was its
// last when a snapshot was taken.

import Records

struct ProducerReplay {
  struct Producer: Equatable {
    var epoch: Int16
    var lastSequence: Int32
    var lastOffset: Int64
  }

  private var producers: [Int64: Producer] = [:]
  /// More would take more memory than a verification may.
  private static let producersMax = 1 << 20
  private(set) var isFull = false

  /// The log has not lost its beginning, and with it the beginnings of transactions.
  var isFromStart = true
  /// Below here compaction may have removed batches.
  var cleanedOffset: Int64 = -1
  /// First offsets of open transactions by producer.
  private var open: [Int64: Int64] = [:]

  /// - Parameter marker: what the batch is, if it ends a transaction.
  /// - Returns: the transaction that it aborts.
  mutating func take(_ header: RecordBatchHeader, _ marker: EndTransactionMarker?)
    -> AbortedTransaction?
  {
    guard header.hasProducerId, !isFull else { return nil }
    var producer =
      producers[header.producerId]
      ?? Producer(epoch: header.producerEpoch, lastSequence: -1, lastOffset: -1)
    if producer.epoch != header.producerEpoch {
      producer.epoch = header.producerEpoch
      producer.lastSequence = -1
      producer.lastOffset = -1
    }
    var aborted: AbortedTransaction?
    if header.isControlBatch {
      aborted = end(header, marker)
    } else {
      producer.lastSequence = header.lastSequence
      producer.lastOffset = header.lastOffset
      if header.isTransactional, open[header.producerId] == nil {
        open[header.producerId] = header.baseOffset
      }
    }
    producers[header.producerId] = producer
    if producers.count >= Self.producersMax {
      isFull = true
      producers = [:]
      open = [:]
    }
    return aborted
  }

  private mutating func end(_ header: RecordBatchHeader, _ marker: EndTransactionMarker?)
    -> AbortedTransaction?
  {
    guard let marker else { return nil }
    let first = open.removeValue(forKey: header.producerId)
    guard !marker.isCommit, first != nil || !isFromStart else { return nil }
    return AbortedTransaction(
      producerId: header.producerId, firstOffset: first ?? -1, lastOffset: header.lastOffset,
      lastStableOffset: open.values.min() ?? header.nextOffset, isAlone: isFromStart)
  }

  /// What is wrong with an entry of a snapshot of `offset`, or nil.
  func contradiction(_ entry: SnapshotEntry, of offset: Int64) -> String? {
    if entry.lastOffset >= offset {
      return "producer \(entry.producerId) is at offset \(entry.lastOffset), behind the snapshot"
    }
    guard let known = producers[entry.producerId], !mayBeCleaned(entry, known) else { return nil }
    // Without batches in this epoch a snapshot may remember none.
    let isSame =
      entry.epoch == known.epoch
      && (known.lastOffset < 0
        || (entry.lastOffset == known.lastOffset && entry.lastSequence == known.lastSequence))
    if isSame, entry.transactionFirstOffset == open[entry.producerId] ?? -1 { return nil }
    if isSame {
      // A transaction without a beginning in the log is not known here.
      if !isFromStart, open[entry.producerId] == nil { return nil }
      return "producer \(entry.producerId) has a transaction from offset "
        + "\(entry.transactionFirstOffset), but the batches say "
        + "\(open[entry.producerId].map { "\($0)" } ?? "none")"
    }
    return "producer \(entry.producerId) has epoch \(entry.epoch), sequence \(entry.lastSequence) "
      + "at offset \(entry.lastOffset), but the batches say epoch \(known.epoch), sequence "
      + "\(known.lastSequence) at offset \(known.lastOffset)"
  }
}

extension ProducerReplay {
  /// Whether the batches that a snapshot's entry was made from may have been removed by compaction: it
  /// says more than is left, and all of that lies below `cleanedOffset`.
  private func mayBeCleaned(_ entry: SnapshotEntry, _ known: Producer) -> Bool {
    let end = max(entry.lastOffset, entry.transactionFirstOffset, known.lastOffset)
    if end >= cleanedOffset { return false }
    return entry.epoch > known.epoch
      || (entry.epoch == known.epoch && entry.lastOffset > known.lastOffset)
  }
}

/// One producer in a snapshot file; Storage's ProducerSnapshot.swift has the format.
struct SnapshotEntry {
  let producerId: Int64
  let epoch: Int16
  let lastSequence: Int32
  let lastOffset: Int64
  /// -1: none is open.
  let transactionFirstOffset: Int64

  private static let start = 6
  private static let size = 46

  /// The entries of a file, or what is wrong with it.
  static func all(_ bytes: [UInt8]) -> Result<[SnapshotEntry], BatchDefect> {
    bytes.withUnsafeBytes { raw in
      guard raw.count >= start + 4 else {
        return .failure(BatchDefect(reason: "\(raw.count) bytes are too few"))
      }
      let version: Int16 = raw.bigEndian(at: 0)
      let crc: UInt32 = raw.bigEndian(at: 2)
      guard version == 1 else { return .failure(BatchDefect(reason: "version \(version)")) }
      guard crc == CRC32C.checksum(UnsafeRawBufferPointer(rebasing: raw[start...])) else {
        return .failure(BatchDefect(reason: "the checksum is wrong"))
      }
      let count: Int32 = raw.bigEndian(at: start)
      guard count >= 0, Int(count) * size <= raw.count - start - 4 else {
        return .failure(BatchDefect(reason: "\(count) entries in \(raw.count) bytes"))
      }
      return .success(
        (0..<Int(count)).map { index in
          let at = start + 4 + index * size
          return SnapshotEntry(
            producerId: raw.bigEndian(at: at), epoch: raw.bigEndian(at: at + 8),
            lastSequence: raw.bigEndian(at: at + 10), lastOffset: raw.bigEndian(at: at + 14),
            transactionFirstOffset: raw.bigEndian(at: at + 38))
        })
    }
  }
}
