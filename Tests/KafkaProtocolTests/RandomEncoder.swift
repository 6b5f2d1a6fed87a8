// Encodes random values straight from the definitions. It knows nothing of the generated code, so
// that a message which it made and the generated code reproduces byte for byte is understood by
// both in the same way.

@testable import WireGen

struct RandomEncoder {
  var message: Message
  var version: Int
  var random: SeededGenerator
  private(set) var bytes: [UInt8] = []

  init(_ message: Message, version: Int, seed: UInt64) {
    self.message = message
    self.version = version
    random = SeededGenerator(seed: seed)
  }

  static func encode(_ message: Message, version: Int, seed: UInt64) -> [UInt8] {
    var encoder = RandomEncoder(message, version: version, seed: seed)
    encoder.structure(message.root)
    return encoder.bytes
  }

  private var isFlexible: Bool { message.flexible.map { version >= $0 } ?? false }

  private mutating func structure(_ structure: Structure) {
    for field in structure.fields where field.tag == nil && field.versions.contains(version) {
      value(field)
    }
    if isFlexible { tags(structure) }
  }

  private mutating func value(_ field: Field) {
    let isCompact = isFlexible && !field.isInflexible
    let isNull = field.nullable?.contains(version) == true && random.oneIn(4)
    if field.isArray {
      let count = isNull ? -1 : Int.random(in: 0...3, using: &random)
      length(count, isCompact: isCompact, wide: true)
      for _ in 0..<max(0, count) { element(field, isCompact: isCompact, isNull: false) }
      return
    }
    if field.structName != nil, field.nullable?.contains(version) == true {
      bytes.append(isNull ? 0xFF : 1)
      if isNull { return }
    }
    element(field, isCompact: isCompact, isNull: isNull)
  }

  private mutating func element(_ field: Field, isCompact: Bool, isNull: Bool) {
    switch field.element {
    case .structure(let name):
      if let structure = message.structure(name) { self.structure(structure) }
    case .primitive(let primitive):
      switch primitive {
      case .bool: bytes.append(random.oneIn(2) ? 1 : 0)
      case .int8: integer(size: 1)
      case .int16, .uint16, .errorCode: integer(size: 2)
      case .int32: integer(size: 4)
      case .int64, .float64: integer(size: 8)
      case .uuid: integer(size: 16)
      case .string:
        let text = isNull ? nil : randomText()
        length(text?.count ?? -1, isCompact: isCompact, wide: false)
        bytes += text ?? []
      case .bytes, .records:
        let count = isNull ? -1 : Int.random(in: 0...9, using: &random)
        length(count, isCompact: isCompact, wide: true)
        if count > 0 { integer(size: count) }
      }
    }
  }

  /// Tagged fields of the definition whose values are not their defaults, and others in between.
  private mutating func tags(_ structure: Structure) {
    let known = structure.fields.filter { $0.tag != nil && $0.versions.contains(version) }
    var sections: [(tag: Int, data: [UInt8])] = []
    for field in known where random.oneIn(2) {
      let data = encodedValue(field)
      // The generated code leaves out what equals the default, so the value must differ.
      if data != defaultEncodings(field) { sections.append((field.tag ?? 0, data)) }
    }
    if random.oneIn(3) {
      for _ in 0..<Int.random(in: 1...2, using: &random) {
        let tag = random.oneIn(2) ? Int.random(in: 0...9, using: &random) : 123_456_789
        if known.contains(where: { $0.tag == tag }) || sections.contains(where: { $0.tag == tag }) {
          continue
        }
        sections.append((tag, [7, 7, 7].dropLast(Int.random(in: 0...3, using: &random))))
      }
    }
    varint(UInt32(sections.count))
    for section in sections.sorted(by: { $0.tag < $1.tag }) {
      varint(UInt32(section.tag))
      varint(UInt32(section.data.count))
      bytes += section.data
    }
  }

  private mutating func encodedValue(_ field: Field) -> [UInt8] {
    let before = bytes
    bytes = []
    value(field)
    let data = bytes
    bytes = before
    return data
  }

  /// The encoding of the default of a tagged field.
  private func defaultEncodings(_ field: Field) -> [UInt8] {
    if field.defaultValue == .null { return field.structName == nil ? [0] : [0xFF] }
    if field.isArray { return [1] }
    switch field.element {
    case .structure(let name):
      let fields = message.structure(name)?.fields.filter { $0.tag == nil } ?? []
      return fields.flatMap(defaultEncodings) + [0]
    case .primitive(let primitive):
      var default64: Int64 = 0
      if case .integer(let integer) = field.defaultValue { default64 = integer }
      let big = (0..<8).map { UInt8(truncatingIfNeeded: default64 >> (56 - 8 * $0)) }
      switch primitive {
      case .bool: return [field.defaultValue == .boolTrue ? 1 : 0]
      case .int8: return big.suffix(1)
      case .int16, .uint16, .errorCode: return big.suffix(2)
      case .int32: return big.suffix(4)
      case .int64, .float64: return big
      case .uuid: return [UInt8](repeating: 0, count: 16)
      case .string, .bytes, .records: return [1]
      }
    }
  }

  // MARK: Primitives

  private mutating func integer(size: Int) {
    switch Int.random(in: 0...3, using: &random) {
    case 0: bytes += [UInt8](repeating: 0, count: size)
    case 1: bytes += [UInt8](repeating: 0xFF, count: size)
    default: for _ in 0..<size { bytes.append(UInt8.random(in: 0...255, using: &random)) }
    }
  }

  private mutating func randomText() -> [UInt8] {
    let texts = ["", "a", "topic-1", "Grüße", "日本", "🐟", String(repeating: "x", count: 200)]
    return Array((texts.randomElement(using: &random) ?? "").utf8)
  }

  private mutating func length(_ count: Int, isCompact: Bool, wide: Bool) {
    if isCompact { return varint(UInt32(count + 1)) }
    for shift in stride(from: wide ? 24 : 8, through: 0, by: -8) {
      bytes.append(UInt8(truncatingIfNeeded: count >> shift))
    }
  }

  private mutating func varint(_ value: UInt32) {
    var rest = value
    while rest > 0x7F {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }
}
