// Emits the walker of a message: a pull parser that visits the message in place, without
// allocating, and accepts exactly what the struct's decoder accepts. Every array is a stage; a
// stage either yields its next element or, when none is left, reads what follows the array in
// its parent and moves on.

struct WalkerEmitter {
  var message: Message
  var spelling: Spelling
  private var stages: [Stage] = []

  /// One array: `owner` is the struct that has it, `outer` the stage whose elements `owner` are.
  private struct Stage {
    var field: Field
    var owner: Structure
    var outer: Int?
    var item: String
  }

  init(_ message: Message) {
    self.message = message
    spelling = Spelling(message: message)
    collect(message.root, outer: nil)
  }

  private mutating func collect(_ structure: Structure, outer: Int?) {
    for field in structure.fields where field.isArray {
      let item =
        field.structName ?? (structure.name + SwiftText.capitalized(field.name))
      stages.append(
        Stage(field: field, owner: structure, outer: outer, item: SwiftText.uncapitalized(item)))
      if let name = field.structName, let child = message.structure(name) {
        collect(child, outer: stages.count - 1)
      }
    }
  }

  func emit(_ out: inout SwiftText) {
    out.line()
    out.documentation([
      "Visits a `\(message.name)` in place, without allocating: the fields before the first array",
      "are there at once, `next()` yields the elements of the arrays in their order, and the fields",
      "after the arrays are there when it has returned nil.",
    ])
    out.block("public struct \(message.name)Walker: ~Escapable") { out in
      for name in elementStructures() {
        if let structure = message.structure(name) { emitElement(structure, &out) }
      }
      emitItem(&out)
      for field in message.root.fields where !field.isArray {
        out.line("public private(set) var \(field.name): \(type(field)) = \(zero(field))")
      }
      for field in message.root.fields where field.isArray {
        out.line("public private(set) var \(field.name)Count = 0")
      }
      out.line("public private(set) var reader: WireReader")
      out.line("public let version: Int16")
      out.line("private var stage = 0")
      for index in stages.indices { out.line("private var left\(index) = 0") }
      out.line()
      emitInitialiser(&out)
      out.line()
      emitNext(&out)
    }
  }

  private func elementStructures() -> [String] {
    stages.compactMap(\.field.structName)
  }

  private func emitElement(_ structure: Structure, _ out: inout SwiftText) {
    out.block("public struct \(structure.name): Sendable") { out in
      for field in structure.fields {
        out.line(
          field.isArray
            ? "public var \(field.name)Count = 0"
            : "public var \(field.name): \(type(field)) = \(zero(field))")
      }
    }
    out.line()
  }

  private func emitItem(_ out: inout SwiftText) {
    out.block("public enum Item: Sendable") { out in
      for stage in stages {
        out.line(
          "case \(stage.item)(\(stage.field.structName ?? spelling.elementType(stage.field)))")
      }
    }
    out.line()
  }

  private func emitInitialiser(_ out: inout SwiftText) {
    out.line("@_lifetime(copy reader)")
    out.block("public init(reading reader: WireReader, version: Int16) throws(WireError)") { out in
      out.line("self.reader = reader")
      out.line("self.version = version")
      out.block("guard \(message.name).validVersions.contains(version) else") { out in
        out.line("throw reader.failure(.unsupportedVersion, \(message.name).messageName)")
      }
      spelling.declareFlexible(message.root, &out)
      emitRun(message.root, from: 0, outer: nil, target: "self", &out)
    }
  }

  private func emitNext(_ out: inout SwiftText) {
    out.documentation(["The next element, or nil when the message has been read to its end."])
    out.block("public mutating func next() throws(WireError) -> Item?") { out in
      spelling.declareFlexible(message.root, &out)
      out.block("while true") { out in
        out.line("switch stage {")
        for (index, stage) in stages.enumerated() {
          out.branch("case \(index):") { emitStage(stage, index, &$0) }
        }
        out.line("default: return nil")
        out.line("}")
      }
    }
  }

  private func emitStage(_ stage: Stage, _ index: Int, _ out: inout SwiftText) {
    out.block("guard left\(index) > 0 else") { out in
      let position = stage.owner.fields.firstIndex { $0.name == stage.field.name } ?? 0
      emitRun(
        stage.owner, from: position + 1, outer: stage.outer,
        target: stage.outer == nil ? "self" : "_", &out)
      out.line("continue")
    }
    out.line("left\(index) -= 1")
    emitElementRead(stage, index, &out)
  }

  private func emitElementRead(_ stage: Stage, _ index: Int, _ out: inout SwiftText) {
    guard let name = stage.field.structName, let structure = message.structure(name) else {
      return out.line("return .\(stage.item)(\(read(stage.field, stage.owner)))")
    }
    out.line("var element = \(name)()")
    emitRun(structure, from: 0, outer: index, target: "element", &out)
    out.line("return .\(stage.item)(element)")
  }

  /// Reads the fields of `structure` from the field at `from` up to and with the count of the next
  /// array, or up to its end. `outer` is the stage that the struct is an element of.
  private func emitRun(
    _ structure: Structure, from: Int, outer: Int?, target: String, _ out: inout SwiftText
  ) {
    for field in structure.fields[from...] where field.tag == nil {
      let condition = spelling.condition(field.versions, within: structure.versions)
      if field.isArray {
        let index = stages.firstIndex {
          $0.owner.name == structure.name && $0.field.name == field.name
        }
        guard let index else { continue }
        if condition != nil { out.line("left\(index) = 0") }
        out.block(condition.map { "if \($0)" }) { out in
          out.line(
            "left\(index) = try self.reader.readArrayCount("
              + "compact: \(spelling.flexible(field, in: structure)), "
              + "minimumElementSize: \(MinimumSize(message).ofElement(field)), \"\(field.name)\")")
        }
        if target != "_" { out.line("\(target).\(field.name)Count = left\(index)") }
        out.line("stage = \(index)")
        return
      }
      out.block(condition.map { "if \($0)" }) {
        $0.line("\(place(field, target)) = \(read(field, structure))")
      }
    }
    emitTags(structure, target: target, &out)
    // A struct without arrays leaves the stage as it is: the next element is read in it.
    if structure.fields.contains(where: \.isArray) {
      out.line("stage = \(outer ?? stages.count)")
    } else if outer == nil {
      out.line("stage = \(stages.count)")
    }
  }

  private func place(_ field: Field, _ target: String) -> String {
    target == "_" ? "_" : "\(target).\(field.name)"
  }

  private func emitTags(_ structure: Structure, target: String, _ out: inout SwiftText) {
    let flexible = spelling.flexible(structure)
    if flexible == "false" { return }
    let tagged = structure.fields.filter { $0.tag != nil }
    out.block(flexible == "true" ? nil : "if flexible") { out in
      if tagged.isEmpty { return out.line("try self.reader.skipTaggedFields()") }
      out.line("var tags = try self.reader.beginTags()")
      out.block("while let tag = try self.reader.nextTag(&tags)") { out in
        out.line("switch tag {")
        for field in tagged {
          let condition = spelling.tagCondition(field, in: structure)
          let head = "case \(field.tag ?? 0)" + (condition.map { " where \($0)" } ?? "") + ":"
          out.branch(head) { $0.line("\(place(field, target)) = \(read(field, structure))") }
        }
        out.line("default: self.reader.skipTaggedField(tags)")
        out.line("}")
        out.line("try self.reader.endTag(tags)")
      }
    }
  }

  private func isSlice(_ field: Field) -> Bool {
    [.primitive(.string), .primitive(.bytes), .primitive(.records)].contains(field.element)
  }

  private func type(_ field: Field) -> String {
    if isSlice(field) { return field.nullable == nil ? "WireSlice" : "WireSlice?" }
    if let name = field.structName { return "\(message.name).\(name)" }
    return spelling.type(field)
  }

  private func zero(_ field: Field) -> String {
    if isSlice(field) { return field.nullable == nil ? "WireSlice()" : "nil" }
    if let name = field.structName { return "\(message.name).\(name)()" }
    return spelling.defaultValue(field)
  }

  private func read(_ field: Field, _ structure: Structure) -> String {
    let label = "\"\(field.name)\""
    let arguments = "compact: \(spelling.flexible(field, in: structure)), \(label)"
    let nullable = field.nullable == nil ? "" : "Nullable"
    switch field.element {
    case .structure(let name):
      return "try \(message.name).\(name)(reading: &self.reader, version: version)"
    case .primitive(let primitive):
      switch primitive {
      case .string: return "try self.reader.read\(nullable)StringSlice(\(arguments))"
      case .bytes, .records: return "try self.reader.read\(nullable)BytesSlice(\(arguments))"
      case .bool: return "try self.reader.readBool(\(label))"
      case .int8: return "try self.reader.readInt8(\(label))"
      case .int16: return "try self.reader.readInt16(\(label))"
      case .int32: return "try self.reader.readInt32(\(label))"
      case .int64: return "try self.reader.readInt64(\(label))"
      case .uint16: return "try self.reader.readUInt16(\(label))"
      case .float64: return "try self.reader.readDouble(\(label))"
      case .uuid: return "try self.reader.readUUID(\(label))"
      case .errorCode: return "ErrorCode(rawValue: try self.reader.readInt16(\(label)))"
      }
    }
  }
}
