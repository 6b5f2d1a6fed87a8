// The three indexes of a segment: fixed entries, big-endian, without a checksum. Storage's
// IndexFormat.swift specifies the first two. An entry of .txnindex has 34 bytes:
//   0  2  version            0
//   2  8  producerId
//  10  8  firstOffset        of the aborted transaction
//  18  8  lastOffset         of its marker
//  26  8  lastStableOffset   when it was written

enum IndexDump {
  static func offsets(_ file: DumpFile, _ printer: DumpPrinter) throws(DumpFailure) {
    let base = file.baseOffset ?? 0
    var last: (relative: Int32, position: Int32)?
    try entries(file, printer, size: 8) { entry, at in
      let relative: Int32 = entry.bigEndian(at: 0)
      let position: Int32 = entry.bigEndian(at: 4)
      if let last, relative <= last.relative || position <= last.position {
        printer.defect(
          at: at, "offset \(base + Int64(relative)) at \(position) does not follow the entry before"
        )
      }
      last = (relative, position)
      var fields = Fields()
      fields.add("offset", base + Int64(relative))
      fields.add("position", position)
      return fields
    }
  }

  static func times(_ file: DumpFile, _ printer: DumpPrinter) throws(DumpFailure) {
    let base = file.baseOffset ?? 0
    var last: (timestamp: Int64, relative: Int32)?
    try entries(file, printer, size: 12) { entry, at in
      let timestamp: Int64 = entry.bigEndian(at: 0)
      let relative: Int32 = entry.bigEndian(at: 8)
      if let last, timestamp <= last.timestamp || relative < last.relative {
        printer.defect(
          at: at,
          "timestamp \(timestamp) at offset \(base + Int64(relative)) does not follow the entry before"
        )
      }
      last = (timestamp, relative)
      var fields = Fields()
      fields.add("timestamp", timestamp)
      fields.add("offset", base + Int64(relative))
      return fields
    }
  }

  static func transactions(_ file: DumpFile, _ printer: DumpPrinter) throws(DumpFailure) {
    try entries(file, printer, size: 34) { entry, at in
      let version: Int16 = entry.bigEndian(at: 0)
      if version != 0 { printer.defect(at: at, "an entry of version \(version), only 0 is known") }
      var fields = Fields()
      fields.add("version", version)
      fields.add("producerId", entry.bigEndian(at: 2) as Int64)
      fields.add("firstOffset", entry.bigEndian(at: 10) as Int64)
      fields.add("lastOffset", entry.bigEndian(at: 18) as Int64)
      fields.add("lastStableOffset", entry.bigEndian(at: 26) as Int64)
      return fields
    }
  }

  /// Shows entry by entry. Zeros up to the end are room that Kafka made in advance.
  private static func entries(
    _ file: DumpFile, _ printer: DumpPrinter, size: Int,
    _ show: (UnsafeRawBufferPointer, Int64) -> Fields
  ) throws(DumpFailure) {
    var position: Int64 = 0
    var count = 0
    while position + Int64(size) <= file.size {
      let fields = try file.read(size, at: position) { entry -> Fields? in
        entry.allSatisfy { $0 == 0 } ? nil : show(entry, position)
      }.get()
      if fields == nil, try isZero(file, from: position) { break }
      var entry = fields ?? Fields()
      if fields == nil { printer.defect(at: position, "an entry of zeros before other entries") }
      entry.add("at", position)
      printer.item("entry", entry)
      count += 1
      position += Int64(size)
      printer.progress(position, of: file.size)
    }
    let left = file.size - position
    if left > 0, try !isZero(file, from: position) {
      printer.defect(at: position, "\(left) bytes are no whole entry of \(size)")
      return
    }
    printer.summary("\(count) entries" + (left > 0 ? ", then \(left) bytes of zeros" : ""))
  }

  private static func isZero(_ file: DumpFile, from start: Int64) throws(DumpFailure) -> Bool {
    var position = start
    while position < file.size {
      let isZero = try file.read(DumpFile.window, at: position) { bytes in
        bytes.allSatisfy { $0 == 0 }
      }.get()
      if !isZero { return false }
      position += Int64(DumpFile.window)
    }
    return true
  }
}
