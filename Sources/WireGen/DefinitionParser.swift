// Parses one definition file. The grammar is described in `protocol/README.md`: a head of
// keyword lines, then sections whose indented lines are fields, two spaces per level.

struct DefinitionParser {
  private let file: String
  private var lines: [Line] = []
  private var position = 0
  private var head = Head()

  private struct Line {
    var number: Int
    var indent: Int
    var words: [String]
    var documentation: [String]
  }

  private struct Head {
    var keyword = ""
    var name = ""
    var number = 0
    var documentation = ""
    var versions: VersionRange?
    var advertised: VersionRange??
    var flexible: Int?
  }

  static func parse(_ text: String, file: String) throws(DefinitionError) -> Definition {
    var parser = try DefinitionParser(text, file: file)
    return try parser.parseFile()
  }

  private init(_ text: String, file: String) throws(DefinitionError) {
    self.file = file
    var documentation: [String] = []
    for (index, raw) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let content = raw.drop { $0 == " " }
      if content.isEmpty { continue }
      if content.hasPrefix("//") {
        documentation.append(String(content.dropFirst(2).drop { $0 == " " }))
        continue
      }
      let spaces = raw.count - content.count
      guard spaces % 2 == 0 else {
        throw DefinitionError(file: file, line: index + 1, message: "odd indentation")
      }
      lines.append(
        Line(
          number: index + 1, indent: spaces / 2,
          words: content.split(separator: " ").map(String.init), documentation: documentation))
      documentation = []
    }
  }

  private func failure(_ message: String, _ line: Line?) -> DefinitionError {
    DefinitionError(file: file, line: line?.number ?? 0, message: message)
  }

  private mutating func parseFile() throws(DefinitionError) -> Definition {
    try parseHead()
    guard let versions = head.versions else { throw failure("no versions", nil) }
    var messages: [Message] = []
    while position < lines.count {
      messages.append(try parseSection(versions: versions))
    }
    var api: Api?
    if head.keyword == "api" {
      api = Api(
        name: head.name, key: head.number, documentation: head.documentation, versions: versions,
        advertised: head.advertised ?? versions, flexible: head.flexible)
    }
    return Definition(api: api, messages: messages)
  }

  private mutating func parseHead() throws(DefinitionError) {
    while position < lines.count, lines[position].words.count > 1,
      !["request", "response", "key", "value", "fields"].contains(lines[position].words[0])
    {
      let line = lines[position]
      guard line.indent == 0 else { throw failure("indented line outside a section", line) }
      position += 1
      switch line.words[0] {
      case "api", "record", "data":
        head.keyword = line.words[0]
        head.name = line.words[1]
        head.documentation = line.documentation.joined(separator: "\n")
        if head.keyword != "data" {
          guard line.words.count >= 3, let number = Int(line.words[2]) else {
            throw failure("a number is missing", line)
          }
          head.number = number
        }
      case "versions": head.versions = try range(line.words[1], within: nil, line)
      case "advertised":
        head.advertised =
          line.words[1] == "none" ? .some(nil) : try range(line.words[1], within: nil, line)
      case "flexible":
        if line.words[1] == "none" { break }
        guard line.words[1].hasSuffix("+"), let first = Int(line.words[1].dropLast()) else {
          throw failure("flexible takes N+ or none", line)
        }
        head.flexible = first
      default: throw failure("unknown keyword \(line.words[0])", line)
      }
    }
  }

  private mutating func parseSection(versions: VersionRange) throws(DefinitionError) -> Message {
    let line = lines[position]
    position += 1
    guard line.indent == 0 else { throw failure("indented line outside a section", line) }
    var message = Message(
      name: head.name, kind: .data, documentation: head.documentation, versions: versions,
      flexible: head.flexible, isWalked: line.words.dropFirst() == ["walk"],
      root: Structure(name: "", versions: versions, fields: []), structures: [])
    switch (head.keyword, line.words[0]) {
    case ("api", "request"):
      message.name += "Request"
      message.kind = .request(apiKey: head.number)
    case ("api", "response"):
      message.name += "Response"
      message.kind = .response(apiKey: head.number)
    case ("record", "key"):
      // The type of a record is what precedes its key, so keys have a single version.
      message.name += "Key"
      message.kind = .recordKey(type: head.number)
      message.versions = VersionRange(low: 0, high: 0)
      message.flexible = nil
    case ("record", "value"):
      message.name += "Value"
      message.kind = .recordValue(type: head.number)
    case ("data", "fields"): break
    default: throw failure("no such section: \(line.words[0])", line)
    }
    let root = try parseFields(indent: 1, name: message.name, versions: message.versions, &message)
    message.root = root
    try DefinitionCheck(file: file).check(message)
    return message
  }

  private mutating func parseFields(
    indent: Int, name: String, versions: VersionRange, _ message: inout Message
  ) throws(DefinitionError) -> Structure {
    var structure = Structure(name: name, versions: versions, fields: [])
    while position < lines.count, lines[position].indent >= indent {
      let line = lines[position]
      guard line.indent == indent else { throw failure("indented too far", line) }
      position += 1
      if line.words[0] == "struct", line.words.count == 2 {
        let shared = try parseFields(
          indent: indent + 1, name: line.words[1], versions: versions, &message)
        message.structures.append(shared)
        continue
      }
      let field = try parseField(line, within: versions)
      structure.fields.append(field)
      if position < lines.count, lines[position].indent > indent {
        guard let child = field.structName else { throw failure("not a struct", line) }
        let nested = try parseFields(
          indent: indent + 1, name: child, versions: field.versions, &message)
        message.structures.append(nested)
      }
    }
    return structure
  }

  private func parseField(_ line: Line, within parent: VersionRange) throws(DefinitionError)
    -> Field
  {
    var words = line.words[...]
    guard let first = words.popFirst(), first.hasSuffix(":"), let type = words.popFirst() else {
      throw failure("a field reads `name: type …`", line)
    }
    let typeParts = type.split(separator: "?", omittingEmptySubsequences: false).map(String.init)
    var field = Field(
      name: String(first.dropLast()), element: .primitive(.int8), isArray: false, versions: parent,
      nullable: nil, tag: nil, defaultValue: .zero, isIgnorable: false, isInflexible: false,
      documentation: line.documentation)
    var typeName = typeParts[0]
    if typeName.hasPrefix("["), typeName.hasSuffix("]") {
      field.isArray = true
      typeName = String(typeName.dropFirst().dropLast())
    }
    if let primitive = Primitive(rawValue: typeName) {
      field.element = .primitive(primitive)
    } else if let initial = typeName.first, initial.isUppercase {
      field.element = .structure(typeName)
    } else {
      throw failure("unknown type \(typeName)", line)
    }
    while let word = words.popFirst() {
      switch word {
      case "ignorable": field.isIgnorable = true
      case "inflexible": field.isInflexible = true
      case "tag":
        guard let tag = words.popFirst().flatMap({ Int($0) }) else { throw failure("no tag", line) }
        field.tag = tag
      case "=": field.defaultValue = try defaultValue(words.popFirst() ?? "", line)
      default: field.versions = try range(word, within: parent, line)
      }
    }
    if typeParts.count == 2 {
      field.nullable =
        typeParts[1].isEmpty
        ? field.versions : try range(typeParts[1], within: field.versions, line)
    }
    return field
  }

  private func defaultValue(_ word: String, _ line: Line) throws(DefinitionError) -> DefaultValue {
    if word == "null" { return .null }
    if word == "true" { return .boolTrue }
    guard let integer = Int64(word) else { throw failure("unknown default \(word)", line) }
    return .integer(integer)
  }

  private func range(
    _ word: String, within parent: VersionRange?, _ line: Line
  ) throws(DefinitionError) -> VersionRange {
    let parts = word.split(separator: "-", omittingEmptySubsequences: false)
    var result: VersionRange?
    if word.hasSuffix("+"), let low = Int(word.dropLast()), let parent {
      result = VersionRange(low: low, high: parent.high)
    } else if parts.count == 2, let low = Int(parts[0]), let high = Int(parts[1]) {
      result = VersionRange(low: low, high: high)
    } else if let only = Int(word) {
      result = VersionRange(low: only, high: only)
    }
    guard let result, result.low <= result.high, parent?.covers(result) ?? true else {
      throw failure("bad version range \(word)", line)
    }
    return result
  }
}
