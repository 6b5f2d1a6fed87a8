// <offset>.snapshot: the producers of a partition as of that offset (Kafka's ProducerStateManager).
// Taken when a segment is rolled (with the new segment's base offset) and when the log is closed.
// All integers big-endian.
//
//   0  2  version        1
//   2  4  crc            CRC-32C of everything from byte 6 to the end of the file
//   6  4  number of entries, each 46 bytes:
//         8 producerId  2 producerEpoch  4 lastSequence  8 lastOffset  4 offsetDelta
//         8 timestamp (ms)  4 coordinatorEpoch  8 currentTxnFirstOffset (-1: none)
//
// lastSequence, lastOffset and offsetDelta are those of the producer's last batch: -1, -1, 0 when it
// has none in this epoch. Kafka keeps only that one, so a retry of an earlier batch is not recognised
// after it restarts. We do better with a second part, which Kafka's reader passes over (it checks the
// CRC of the whole file and reads as many entries as were announced):
//
//   0  4  magic          "SL5B"
//   4  4  number of producers with earlier batches, each:
//         8 producerId  1 number of batches (1 to 4), oldest first, each 24 bytes:
//           4 lastSequence  8 lastOffset  4 offsetDelta  8 timestamp
//
// A crash may leave a snapshot torn (the CRC fails: it is removed and an older one used) or lose it.

import Records

enum ProducerSnapshot {
  private static let version: Int16 = 1
  private static let entriesOffset = 6
  private static let entrySize = 46
  private static let earlierMagic: UInt32 = 0x534C_3542

  /// The file of `producers`.
  static func encode(_ producers: some Collection<ProducerEntry>) -> [UInt8] {
    var out = BigEndianWriter()
    out.put(version)
    out.put(UInt32(0))
    out.put(Int32(producers.count))
    for producer in producers {
      let last = producer.lastBatch
      out.put(producer.producerId)
      out.put(producer.producerEpoch)
      out.put(last?.lastSequence ?? -1)
      out.put(last?.lastOffset ?? -1)
      out.put(last?.offsetDelta ?? 0)
      out.put(producer.lastTimestamp)
      out.put(producer.coordinatorEpoch)
      out.put(producer.currentTxnFirstOffset)
    }
    let longer = producers.filter { $0.batchCount > 1 }
    if !longer.isEmpty {
      out.put(earlierMagic)
      out.put(Int32(longer.count))
      for producer in longer {
        out.put(producer.producerId)
        out.put(UInt8(producer.batchCount - 1))
        for index in 0..<producer.batchCount - 1 {
          let batch = producer.batch(index)
          out.put(batch.lastSequence)
          out.put(batch.lastOffset)
          out.put(batch.offsetDelta)
          out.put(batch.timestamp)
        }
      }
    }
    let crc = out.bytes.withUnsafeBytes {
      CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[entriesOffset...]))
    }
    withUnsafeBytes(of: crc.bigEndian) { out.bytes.replaceSubrange(2..<6, with: $0) }
    return out.bytes
  }

  /// The producers in a snapshot file, or nil when it is torn or in another format.
  static func decode(_ bytes: [UInt8]) -> [ProducerEntry]? {
    bytes.withUnsafeBytes { raw in
      guard raw.count >= entriesOffset + 4, raw.bigEndian(at: 0) == version,
        CRC32C.checksum(UnsafeRawBufferPointer(rebasing: raw[entriesOffset...]))
          == raw.bigEndian(at: 2)
      else { return nil }
      var reader = BigEndianReader(raw, at: entriesOffset)
      guard let count: Int32 = reader.next(), count >= 0,
        Int(count) <= (raw.count - entriesOffset) / entrySize
      else { return nil }
      var producers: [ProducerEntry] = []
      producers.reserveCapacity(Int(count))
      for _ in 0..<count {
        guard let entry = entry(&reader) else { return nil }
        producers.append(entry)
      }
      return addEarlierBatches(&reader, to: &producers) ? producers : nil
    }
  }

  private static func entry(_ reader: inout BigEndianReader) -> ProducerEntry? {
    guard let producerId: Int64 = reader.next(), let epoch: Int16 = reader.next(),
      let lastSequence: Int32 = reader.next(), let lastOffset: Int64 = reader.next(),
      let offsetDelta: Int32 = reader.next(), let timestamp: Int64 = reader.next(),
      let coordinatorEpoch: Int32 = reader.next(), let txnFirstOffset: Int64 = reader.next()
    else { return nil }
    var entry = ProducerEntry(producerId: producerId)
    entry.producerEpoch = epoch
    entry.lastTimestamp = timestamp
    entry.coordinatorEpoch = coordinatorEpoch
    entry.currentTxnFirstOffset = max(-1, txnFirstOffset)
    if lastOffset >= 0 {
      entry.remember(
        ProducerBatch(
          lastSequence: lastSequence, lastOffset: lastOffset, offsetDelta: offsetDelta,
          timestamp: timestamp))
    }
    return entry
  }

  /// Reads the second part, if there is one. False when it is there but does not fit.
  private static func addEarlierBatches(
    _ reader: inout BigEndianReader, to producers: inout [ProducerEntry]
  ) -> Bool {
    guard let magic: UInt32 = reader.next(), magic == earlierMagic else { return true }
    guard let count: Int32 = reader.next() else { return false }
    var indices: [Int64: Int] = [:]
    for (index, producer) in producers.enumerated() { indices[producer.producerId] = index }
    for _ in 0..<max(0, count) {
      guard let producerId: Int64 = reader.next(), let batches: UInt8 = reader.next(),
        batches < ProducerEntry.batchesMax, let index = indices[producerId],
        let last = producers[index].lastBatch
      else { return false }
      producers[index].forgetBatches()
      for _ in 0..<batches {
        guard let lastSequence: Int32 = reader.next(), let lastOffset: Int64 = reader.next(),
          let offsetDelta: Int32 = reader.next(), let timestamp: Int64 = reader.next()
        else { return false }
        producers[index].remember(
          ProducerBatch(
            lastSequence: lastSequence, lastOffset: lastOffset, offsetDelta: offsetDelta,
            timestamp: timestamp))
      }
      producers[index].remember(last)
    }
    return true
  }
}

private struct BigEndianWriter {
  var bytes: [UInt8] = []
  mutating func put<T: FixedWidthInteger>(_ value: T) {
    withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
  }
}

private struct BigEndianReader {
  private let bytes: UnsafeRawBufferPointer
  private var position: Int

  init(_ bytes: UnsafeRawBufferPointer, at position: Int) {
    self.bytes = bytes
    self.position = position
  }

  mutating func next<T: FixedWidthInteger>() -> T? {
    let size = MemoryLayout<T>.size
    guard bytes.count - position >= size else { return nil }
    defer { position += size }
    return bytes.bigEndian(at: position)
  }
}
