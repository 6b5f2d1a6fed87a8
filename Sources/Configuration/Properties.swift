// The syntax of Java .properties files, which is that of Kafka's server.properties.

/// One `name=value` of a properties file.
public struct Property: Hashable, Sendable {
  public var name: String
  public var value: String
  /// The line on which it begins, counted from 1.
  public var line: Int
}

/// Reads the text of a properties file (java.util.Properties, `load`).
///
/// - a line whose first character that is not white space is `#` or `!` is a comment, an empty line
///   is nothing;
/// - a line that ends in an odd number of `\` goes on in the next one, without the white space that
///   begins it;
/// - a name ends at the first `=`, `:` or white space that has no `\` before it; the value is what
///   comes after one separator and the white space around it, to the end of the line;
/// - `\t`, `\n`, `\r`, `\f` and `\uXXXX` stand for characters, `\` before anything else for that.
///
/// Unlike Java the text is UTF-8, and half of a surrogate pair is an error.
public enum Properties {
  /// The properties in `text` in their order, repeated names included.
  ///
  /// - Parameter file: the file's name, for errors.
  public static func parse(
    _ text: String, file: String
  ) throws(ConfigurationError) -> [Property] {
    var properties: [Property] = []
    var lines = LogicalLines(text)
    while let (line, number) = lines.next() {
      let (rawName, rawValue) = split(line)
      let source = ConfigurationSource.file(file, line: number)
      properties.append(
        Property(
          name: try unescape(rawName, source: source),
          value: try unescape(rawValue, source: source),
          line: number))
    }
    return properties
  }

  private static func split(_ line: ArraySlice<UInt8>) -> (ArraySlice<UInt8>, ArraySlice<UInt8>) {
    var end = line.startIndex
    while end < line.endIndex, !isSeparator(line[end]), !isSpace(line[end]) {
      end += line[end] == UInt8(ascii: "\\") ? 2 : 1
    }
    end = min(end, line.endIndex)
    var start = end
    while start < line.endIndex, isSpace(line[start]) { start += 1 }
    if start < line.endIndex, isSeparator(line[start]) {
      start += 1
      while start < line.endIndex, isSpace(line[start]) { start += 1 }
    }
    return (line[..<end], line[start...])
  }

  private static func unescape(
    _ raw: ArraySlice<UInt8>, source: ConfigurationSource
  ) throws(ConfigurationError) -> String {
    guard raw.contains(UInt8(ascii: "\\")) else { return String(decoding: raw, as: UTF8.self) }
    var bytes: [UInt8] = []
    var units: [UInt16] = []
    var i = raw.startIndex
    while i < raw.endIndex {
      if raw[i] == UInt8(ascii: "\\"), i + 1 < raw.endIndex, raw[i + 1] == UInt8(ascii: "u") {
        units.append(try codeUnit(in: raw, at: i + 2, source: source))
        i += 6
        continue
      }
      try append(&units, to: &bytes, source: source)
      if raw[i] != UInt8(ascii: "\\") {
        bytes.append(raw[i])
        i += 1
      } else if i + 1 < raw.endIndex {
        bytes.append(escaped(raw[i + 1]))
        i += 2
      } else {
        i += 1
      }
    }
    try append(&units, to: &bytes, source: source)
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func escaped(_ byte: UInt8) -> UInt8 {
    switch byte {
    case UInt8(ascii: "t"): 0x09
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "f"): 0x0C
    default: byte
    }
  }

  private static func codeUnit(
    in raw: ArraySlice<UInt8>, at start: Int, source: ConfigurationSource
  ) throws(ConfigurationError) -> UInt16 {
    let digits = raw[start...].prefix(4)
    guard digits.count == 4,
      let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16),
      digits.first != UInt8(ascii: "+")
    else {
      throw ConfigurationError(
        source: source, key: nil, value: nil,
        reason: "\\u is not followed by four hexadecimal digits")
    }
    return unit
  }

  /// Moves a run of UTF-16 code units over as UTF-8.
  private static func append(
    _ units: inout [UInt16], to bytes: inout [UInt8], source: ConfigurationSource
  ) throws(ConfigurationError) {
    guard !units.isEmpty else { return }
    guard let text = String(validating: units, as: UTF16.self) else {
      throw ConfigurationError(
        source: source, key: nil, value: nil, reason: "\\u gives half of a surrogate pair")
    }
    bytes.append(contentsOf: text.utf8)
    units.removeAll(keepingCapacity: true)
  }

  fileprivate static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x0C
  }

  private static func isSeparator(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "=") || byte == UInt8(ascii: ":")
  }
}

/// The lines of a properties file that say something, continued lines joined.
private struct LogicalLines {
  private let bytes: [UInt8]
  private var position = 0
  private var number = 0

  init(_ text: String) { bytes = Array(text.utf8) }

  mutating func next() -> (ArraySlice<UInt8>, Int)? {
    while var line = nextNatural() {
      guard let first = line.first, first != UInt8(ascii: "#"), first != UInt8(ascii: "!") else {
        continue
      }
      let start = number
      while Self.isContinued(line) {
        line.removeLast()
        guard let more = nextNatural() else { break }
        line += more
      }
      return (line, start)
    }
    return nil
  }

  /// The next line of the file without the white space that begins it.
  private mutating func nextNatural() -> ArraySlice<UInt8>? {
    guard position < bytes.count else { return nil }
    number += 1
    let rest = bytes[position...]
    let end = rest.firstIndex { $0 == 0x0A || $0 == 0x0D } ?? bytes.count
    position = end + 1
    if end + 1 < bytes.count, bytes[end] == 0x0D, bytes[end + 1] == 0x0A { position += 1 }
    return rest[..<end].drop(while: Properties.isSpace)
  }

  private static func isContinued(_ line: ArraySlice<UInt8>) -> Bool {
    var count = 0
    for byte in line.reversed() {
      guard byte == UInt8(ascii: "\\") else { break }
      count += 1
    }
    return count % 2 == 1
  }
}
