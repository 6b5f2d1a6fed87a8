// What a command tells about one thing, as named values in order: printed as `name: value` pairs for
// people and as one JSON object for scripts. Written here and not with an encoder, because a command
// prints millions of them, in the order of the format that they show.

import Model

/// A value of a field.
indirect enum FieldValue {
  case null
  case bool(Bool)
  case number(Int64)
  case text(String)
  /// Any bytes: text where they are UTF-8. In JSON other bytes go under the field's name with
  /// `Base64` behind it, so that nothing is lost.
  case bytes([UInt8])
  case list([FieldValue])
  case fields(Fields)
}

struct Field {
  let name: String
  let value: FieldValue
}

struct Fields {
  private(set) var entries: [Field] = []

  init() {}

  mutating func add(_ name: String, _ value: FieldValue) {
    entries.append(Field(name: name, value: value))
  }

  mutating func add(_ name: String, _ value: some BinaryInteger) {
    add(name, .number(Int64(value)))
  }

  mutating func add(_ name: String, _ value: String) { add(name, .text(value)) }
  mutating func add(_ name: String, _ value: Bool) { add(name, .bool(value)) }

  mutating func add(_ name: String, _ value: [UInt8]?) {
    add(name, value.map { .bytes($0) } ?? .null)
  }

  // MARK: For people

  /// `name: value name: value`, without what is null.
  var text: String {
    var text = ""
    for entry in entries {
      if case .null = entry.value { continue }
      if !text.isEmpty { text += " " }
      text += "\(entry.name): \(Self.text(entry.value))"
    }
    return text
  }

  private static func text(_ value: FieldValue) -> String {
    switch value {
    case .null: "null"
    case .bool(let value): "\(value)"
    case .number(let value): "\(value)"
    case .text(let text): printable(Array(text.utf8))
    case .bytes(let bytes): printable(bytes)
    case .list(let values): "[" + values.map(Self.text).joined(separator: ", ") + "]"
    case .fields(let fields): "{" + fields.text + "}"
    }
  }

  /// What is neither UTF-8 nor printable as `\xNN`: a record must not be able to steer a terminal.
  static func printable(_ bytes: [UInt8]) -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      return bytes.map { (0x20..<0x7F).contains($0) ? String(UnicodeScalar($0)) : escaped($0) }
        .joined()
    }
    if bytes.allSatisfy({ (0x20..<0x7F).contains($0) }) { return text }
    return text.unicodeScalars.map { scalar in
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator:
        String(scalar).utf8.map(escaped).joined()
      default: String(scalar)
      }
    }.joined()
  }

  private static func escaped(_ byte: UInt8) -> String {
    "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
  }

  // MARK: For scripts

  /// Appends the fields as one JSON object without a newline.
  func appendJSON(to output: inout [UInt8]) {
    output.append(UInt8(ascii: "{"))
    for (index, entry) in entries.enumerated() {
      if index > 0 { output.append(UInt8(ascii: ",")) }
      if case .bytes(let bytes) = entry.value,
        String(validating: bytes, as: UTF8.self) == nil
      {
        JSONText.append(entry.name + "Base64", to: &output)
        output.append(UInt8(ascii: ":"))
        JSONText.append(Base64.encode(bytes), to: &output)
      } else {
        JSONText.append(entry.name, to: &output)
        output.append(UInt8(ascii: ":"))
        Self.appendJSON(entry.value, to: &output)
      }
    }
    output.append(UInt8(ascii: "}"))
  }

  private static func appendJSON(_ value: FieldValue, to output: inout [UInt8]) {
    switch value {
    case .null: output += "null".utf8
    case .bool(let value): output += (value ? "true" : "false").utf8
    case .number(let value): output += "\(value)".utf8
    case .text(let text): JSONText.append(text, to: &output)
    case .bytes(let bytes): JSONText.append(String(decoding: bytes, as: UTF8.self), to: &output)
    case .list(let values):
      output.append(UInt8(ascii: "["))
      for (index, value) in values.enumerated() {
        if index > 0 { output.append(UInt8(ascii: ",")) }
        appendJSON(value, to: &output)
      }
      output.append(UInt8(ascii: "]"))
    case .fields(let fields): fields.appendJSON(to: &output)
    }
  }
}

enum JSONText {
  private static let hex = Array("0123456789abcdef".utf8)

  /// Appends `text` in quotes (RFC 8259, section 7).
  static func append(_ text: String, to output: inout [UInt8]) {
    output.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        output.append(UInt8(ascii: "\\"))
        output.append(byte)
      case 0x0A: output += "\\n".utf8
      case 0x0D: output += "\\r".utf8
      case 0x09: output += "\\t".utf8
      case 0..<0x20, 0x7F:
        output += "\\u00".utf8
        output.append(hex[Int(byte >> 4)])
        output.append(hex[Int(byte & 15)])
      default: output.append(byte)
      }
    }
    output.append(UInt8(ascii: "\""))
  }
}

enum Base64 {
  private static let alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  /// RFC 4648, section 4, with padding.
  static func encode(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      var bits: UInt32 = 0
      for (index, byte) in group.enumerated() { bits |= UInt32(byte) << UInt32(16 - 8 * index) }
      for index in 0..<4 {
        let sextet = Int(bits >> UInt32(18 - 6 * index)) & 63
        text.append(index <= group.count ? alphabet[sextet] : UInt8(ascii: "="))
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
