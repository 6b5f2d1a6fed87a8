// The small text files of a log directory, line by line; a defect is named with the byte at which its
// line begins.

enum TextDump {
  /// leader-epoch-checkpoint: epoch, its first offset.
  static func leaderEpochs(_ file: DumpFile, _ printer: DumpPrinter) throws(DumpFailure) {
    try checkpoint(file, printer, words: 2) { words in
      guard let epoch = Int32(words[0]), let offset = Int64(words[1]) else { return nil }
      var fields = Fields()
      fields.add("epoch", epoch)
      fields.add("startOffset", offset)
      return fields
    }
  }

  /// *-offset-checkpoint: topic, partition, offset.
  static func offsets(_ file: DumpFile, _ printer: DumpPrinter) throws(DumpFailure) {
    try checkpoint(file, printer, words: 3) { words in
      guard let partition = Int32(words[1]), let offset = Int64(words[2]) else { return nil }
      var fields = Fields()
      fields.add("topic", String(words[0]))
      fields.add("partition", partition)
      fields.add("offset", offset)
      return fields
    }
  }

  /// meta.properties and partition.metadata: a name and a value a line.
  static func properties(_ file: DumpFile, separator: String, _ printer: DumpPrinter)
    throws(DumpFailure)
  {
    var lines = Lines(try file.contents())
    while let (line, position) = lines.next() {
      if line.isEmpty || line.hasPrefix("#") || line.hasPrefix("!") { continue }
      guard let at = line.firstRange(of: separator) else {
        printer.defect(
          at: position, "'\(Fields.printable(Array(line.utf8)))' has no '\(separator)'")
        continue
      }
      let name = String(line[..<at.lowerBound])
      let value = String(line[at.upperBound...])
      var fields = Fields()
      fields.add("name", name)
      fields.add("value", value)
      printer.item("property", fields, text: Fields.printable(Array("\(name)=\(value)".utf8)))
    }
  }

  /// A version, a count, and so many lines.
  private static func checkpoint(
    _ file: DumpFile, _ printer: DumpPrinter, words: Int, _ parse: ([Substring]) -> Fields?
  ) throws(DumpFailure) {
    var lines = Lines(try file.contents())
    guard let version = lines.next(), version.line == "0" else {
      return printer.defect(at: 0, "the first line is not version 0")
    }
    let second = lines.position
    guard let counted = lines.next(), let count = Int(counted.line), count >= 0 else {
      return printer.defect(at: second, "the second line is not a number of entries")
    }
    var found = 0
    while let (line, position) = lines.next() {
      let parts = line.split(separator: " ")
      guard parts.count == words, let fields = parse(parts) else {
        printer.defect(
          at: position, "'\(Fields.printable(Array(line.utf8)))' is no entry of \(words) words")
        continue
      }
      printer.item("entry", fields, text: String(line))
      found += 1
    }
    if found != count {
      printer.defect(at: counted.position, "\(count) entries are announced, \(found) are there")
    }
  }

  /// Lines with the bytes at which they begin.
  private struct Lines {
    private let bytes: [UInt8]
    private(set) var position: Int64 = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func next() -> (line: String, position: Int64)? {
      let start = Int(position)
      guard start < bytes.count else { return nil }
      let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
      position = Int64(end + 1)
      return (String(decoding: bytes[start..<end], as: UTF8.self), Int64(start))
    }
  }
}
