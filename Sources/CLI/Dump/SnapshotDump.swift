// The producers of a partition in a .snapshot file; Storage's ProducerSnapshot.swift specifies it.

import Records

enum SnapshotDump {
  private static let entriesOffset = 6
  private static let entrySize = 46
  private static let earlierSize = 24
  private static let earlierMagic: UInt32 = 0x534C_3542

  /// Whether a file may be a snapshot: version 1 and as many bytes as it counts entries.
  static func looksRight(_ bytes: UnsafeRawBufferPointer, size: Int64) -> Bool {
    guard bytes.count >= entriesOffset + 4 else { return false }
    let version: Int16 = bytes.bigEndian(at: 0)
    let count: Int32 = bytes.bigEndian(at: entriesOffset)
    return version == 1 && count >= 0
      && Int64(count) * Int64(entrySize) <= size - Int64(entriesOffset) - 4
  }

  static func run(_ file: DumpFile, _ printer: DumpPrinter) throws(DumpFailure) {
    let bytes = try file.contents()
    bytes.withUnsafeBytes { raw in
      guard raw.count >= entriesOffset + 4 else {
        return printer.defect(at: 0, "\(raw.count) bytes are too few for a snapshot")
      }
      let version: Int16 = raw.bigEndian(at: 0)
      guard version == 1 else {
        return printer.defect(at: 0, "a snapshot of version \(version), only 1 is known")
      }
      let crc: UInt32 = raw.bigEndian(at: 2)
      let real = CRC32C.checksum(UnsafeRawBufferPointer(rebasing: raw[entriesOffset...]))
      let count: Int32 = raw.bigEndian(at: entriesOffset)
      var fields = Fields()
      fields.add("version", version)
      fields.add("crc", crc)
      fields.add("isValid", crc == real)
      fields.add("count", count)
      printer.item("snapshot", fields)
      if crc != real { printer.defect(at: 2, "the checksum is \(crc), the bytes have \(real)") }
      showEntries(raw, count: count, printer)
    }
  }

  private static func showEntries(
    _ raw: UnsafeRawBufferPointer, count: Int32, _ printer: DumpPrinter
  ) {
    var at = entriesOffset + 4
    for index in 0..<max(0, count) {
      guard at + entrySize <= raw.count else {
        return printer.defect(
          at: Int64(at), "\(raw.count - at) bytes are left for \(count - index) entries")
      }
      var fields = Fields()
      fields.add("producerId", raw.bigEndian(at: at) as Int64)
      fields.add("producerEpoch", raw.bigEndian(at: at + 8) as Int16)
      fields.add("lastSequence", raw.bigEndian(at: at + 10) as Int32)
      fields.add("lastOffset", raw.bigEndian(at: at + 14) as Int64)
      fields.add("offsetDelta", raw.bigEndian(at: at + 22) as Int32)
      fields.add("timestamp", raw.bigEndian(at: at + 26) as Int64)
      fields.add("coordinatorEpoch", raw.bigEndian(at: at + 34) as Int32)
      fields.add("currentTxnFirstOffset", raw.bigEndian(at: at + 38) as Int64)
      printer.item("producer", fields)
      at += entrySize
    }
    if count < 0 { printer.defect(at: Int64(entriesOffset), "\(count) entries") }
    if at < raw.count { showEarlier(raw, at, printer) }
  }

  /// The second part, which only Sluice writes: earlier batches of each producer.
  private static func showEarlier(
    _ raw: UnsafeRawBufferPointer, _ start: Int, _ printer: DumpPrinter
  ) {
    guard start + 8 <= raw.count, raw.bigEndian(at: start) == earlierMagic else {
      return printer.defect(
        at: Int64(start), "\(raw.count - start) unknown bytes behind the entries")
    }
    let count: Int32 = raw.bigEndian(at: start + 4)
    var at = start + 8
    for _ in 0..<max(0, count) {
      guard at + 9 <= raw.count, at + 9 + Int(raw[at + 8]) * earlierSize <= raw.count else {
        return printer.defect(at: Int64(at), "the earlier batches of a producer are cut off")
      }
      let producerId: Int64 = raw.bigEndian(at: at)
      let batches = Int(raw[at + 8])
      at += 9
      for _ in 0..<batches {
        var fields = Fields()
        fields.add("producerId", producerId)
        fields.add("lastSequence", raw.bigEndian(at: at) as Int32)
        fields.add("lastOffset", raw.bigEndian(at: at + 4) as Int64)
        fields.add("offsetDelta", raw.bigEndian(at: at + 12) as Int32)
        fields.add("timestamp", raw.bigEndian(at: at + 16) as Int64)
        printer.item("earlierBatch", fields, indent: 2)
        at += earlierSize
      }
    }
    if at < raw.count { printer.defect(at: Int64(at), "\(raw.count - at) bytes are left over") }
  }
}
