// Emits `init(reading:version:)`: fields in order, each within its versions, then tagged fields.

struct ReaderEmitter {
  var message: Message
  var spelling: Spelling

  init(_ message: Message) {
    self.message = message
    spelling = Spelling(message: message)
  }

  func emit(_ structure: Structure, isRoot: Bool, _ out: inout SwiftText) {
    out.block(
      "public init(reading reader: inout WireReader, version: Int16) throws(WireError)"
    ) { out in
      if isRoot {
        out.block("guard Self.validVersions.contains(version) else") { out in
          out.line("throw reader.failure(.unsupportedVersion, Self.messageName)")
        }
      }
      spelling.declareFlexible(structure, &out)
      for field in structure.fields where field.tag == nil {
        let condition = spelling.condition(field.versions, within: structure.versions)
        out.block(condition.map { "if \($0)" }) { emitValue(field, structure, &$0) }
      }
      emitTags(structure, &out)
    }
  }

  private func emitValue(_ field: Field, _ structure: Structure, _ out: inout SwiftText) {
    let target = "self.\(field.name)"
    guard let nullable = field.nullable else { return emitPresent(field, structure, target, &out) }
    guard let condition = spelling.condition(nullable, within: field.versions) else {
      return emitNullable(field, structure, target, &out)
    }
    out.block(
      "if \(condition)", { emitNullable(field, structure, target, &$0) },
      otherwise: { emitPresent(field, structure, target, &$0) })
  }

  private func emitPresent(
    _ field: Field, _ structure: Structure, _ target: String, _ out: inout SwiftText
  ) {
    guard field.isArray else {
      return out.line("\(target) = \(read(field, structure))")
    }
    out.block(nil) { out in
      out.line(
        "let \(field.name)Count = try reader.readArrayCount(\(countArguments(field, structure)))")
      emitElements(field, structure, target, &out)
    }
  }

  private func emitNullable(
    _ field: Field, _ structure: Structure, _ target: String, _ out: inout SwiftText
  ) {
    if field.isArray {
      let count = "try reader.readNullableArrayCount(\(countArguments(field, structure)))"
      out.block(
        "if let \(field.name)Count = \(count)",
        { emitElements(field, structure, target, &$0) },
        otherwise: { $0.line("\(target) = nil") })
    } else if field.structName != nil {
      out.line(
        "\(target) = try reader.readStructPresence(\"\(field.name)\") ? \(read(field, structure)) : nil"
      )
    } else {
      out.line("\(target) = \(read(field, structure, nullable: true))")
    }
  }

  private func emitElements(
    _ field: Field, _ structure: Structure, _ target: String, _ out: inout SwiftText
  ) {
    // The array grows with what was read; what is reserved at once is small whatever the count.
    let local = "\(field.name)Array"
    out.line("var \(local): [\(spelling.elementType(field))] = []")
    out.line("\(local).reserveCapacity(min(\(field.name)Count, WireReader.reservedElementsMax))")
    out.line("for _ in 0..<\(field.name)Count { \(local).append(\(read(field, structure))) }")
    out.line("\(target) = \(local)")
  }

  private func countArguments(_ field: Field, _ structure: Structure) -> String {
    "compact: \(spelling.flexible(field, in: structure)), "
      + "minimumElementSize: \(MinimumSize(message).ofElement(field)), \"\(field.name)\""
  }

  /// The expression that reads one value (of an array: one element).
  private func read(_ field: Field, _ structure: Structure, nullable: Bool = false) -> String {
    let label = "\"\(field.name)\""
    let compact = "compact: \(spelling.flexible(field, in: structure)), "
    switch field.element {
    case .structure(let name): return "try \(name)(reading: &reader, version: version)"
    case .primitive(let primitive):
      switch primitive {
      case .bool: return "try reader.readBool(\(label))"
      case .int8: return "try reader.readInt8(\(label))"
      case .int16: return "try reader.readInt16(\(label))"
      case .int32: return "try reader.readInt32(\(label))"
      case .int64: return "try reader.readInt64(\(label))"
      case .uint16: return "try reader.readUInt16(\(label))"
      case .float64: return "try reader.readDouble(\(label))"
      case .uuid: return "try reader.readUUID(\(label))"
      case .errorCode: return "ErrorCode(rawValue: try reader.readInt16(\(label)))"
      case .string: return "try reader.read\(nullable ? "Nullable" : "")String(\(compact)\(label))"
      case .bytes: return "try reader.read\(nullable ? "Nullable" : "")Bytes(\(compact)\(label))"
      case .records:
        return "try reader.read\(nullable ? "Nullable" : "")Records(\(compact)\(label))"
      }
    }
  }

  private func emitTags(_ structure: Structure, _ out: inout SwiftText) {
    let flexible = spelling.flexible(structure)
    if flexible == "false" { return }
    let tagged = structure.fields.filter { $0.tag != nil }
    out.block(flexible == "true" ? nil : "if flexible") { out in
      if tagged.isEmpty {
        out.line("self.unknownTaggedFields = try reader.readTaggedFields()")
        return
      }
      out.line("var tags = try reader.beginTags()")
      out.block("while let tag = try reader.nextTag(&tags)") { out in
        out.line("switch tag {")
        for field in tagged {
          let condition = spelling.tagCondition(field, in: structure)
          let head = "case \(field.tag ?? 0)" + (condition.map { " where \($0)" } ?? "") + ":"
          out.branch(head) { emitValue(field, structure, &$0) }
        }
        out.line("default: self.unknownTaggedFields.append(reader.readTaggedField(tags))")
        out.line("}")
        out.line("try reader.endTag(tags)")
      }
    }
  }
}
