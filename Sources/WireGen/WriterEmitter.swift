// Emits `write(to:version:)`: fields in order, each within its versions, then tagged fields in
// ascending order. A value that the version cannot carry is an error unless it may be dropped.

struct WriterEmitter {
  var message: Message
  var spelling: Spelling

  init(_ message: Message) {
    self.message = message
    spelling = Spelling(message: message)
  }

  func emit(_ structure: Structure, isRoot: Bool, _ out: inout SwiftText) {
    out.block(
      "public func write(to writer: inout WireWriter, version: Int16) throws(WireError)"
    ) { out in
      if isRoot {
        out.block("guard Self.validVersions.contains(version) else") { out in
          out.line("throw writer.failure(.unsupportedVersion, Self.messageName)")
        }
      }
      spelling.declareFlexible(structure, &out)
      for field in structure.fields where field.tag == nil { emitField(field, structure, &out) }
      for field in structure.fields where field.tag != nil { emitAbsence(field, structure, &out) }
      emitTags(structure, &out)
    }
  }

  private func emitField(_ field: Field, _ structure: Structure, _ out: inout SwiftText) {
    guard let condition = spelling.condition(field.versions, within: structure.versions) else {
      return emitValue(field, structure, &out)
    }
    if field.isIgnorable {
      out.block("if \(condition)") { emitValue(field, structure, &$0) }
    } else {
      out.block(
        "if \(condition)", { emitValue(field, structure, &$0) },
        otherwise: { emitRefusal(field, &$0) })
    }
  }

  private func emitAbsence(_ field: Field, _ structure: Structure, _ out: inout SwiftText) {
    guard let condition = spelling.condition(field.versions, within: structure.versions),
      !field.isIgnorable
    else { return }
    out.block("if !(\(condition))") { emitRefusal(field, &$0) }
  }

  private func emitRefusal(_ field: Field, _ out: inout SwiftText) {
    out.block("if \(spelling.isSet(field))") { out in
      out.line("throw writer.failure(.fieldNotInVersion, \"\(field.name)\")")
    }
  }

  private func emitValue(_ field: Field, _ structure: Structure, _ out: inout SwiftText) {
    guard let nullable = field.nullable else {
      return emitPresent(field, structure, "self.\(field.name)", &out)
    }
    out.block(
      "if let value = self.\(field.name)",
      { out in
        let condition = spelling.condition(nullable, within: field.versions)
        if field.structName != nil, !field.isArray {
          out.block(condition.map { "if \($0)" }) { $0.line("writer.writeInt8(1)") }
        }
        emitPresent(field, structure, "value", &out)
      },
      otherwise: { out in
        if let condition = spelling.condition(nullable, within: field.versions) {
          out.block("guard \(condition) else") { out in
            out.line("throw writer.failure(.nullNotInVersion, \"\(field.name)\")")
          }
        }
        out.line(writeNull(field, structure))
      })
  }

  private func writeNull(_ field: Field, _ structure: Structure) -> String {
    let compact = "compact: \(spelling.flexible(field, in: structure))"
    if field.isArray { return "writer.writeNullArray(\(compact))" }
    switch field.element {
    case .primitive(.string): return "writer.writeNullString(\(compact))"
    case .primitive(.bytes), .primitive(.records): return "writer.writeNullBytes(\(compact))"
    default: return "writer.writeInt8(-1)"
    }
  }

  private func emitPresent(
    _ field: Field, _ structure: Structure, _ value: String, _ out: inout SwiftText
  ) {
    guard field.isArray else { return out.line(write(field, structure, value)) }
    let compact = spelling.flexible(field, in: structure)
    out.line("try writer.writeArrayCount(\(value).count, compact: \(compact), \"\(field.name)\")")
    out.line("for element in \(value) { \(write(field, structure, "element")) }")
  }

  private func write(_ field: Field, _ structure: Structure, _ value: String) -> String {
    let suffix = "compact: \(spelling.flexible(field, in: structure)), \"\(field.name)\""
    switch field.element {
    case .structure: return "try \(value).write(to: &writer, version: version)"
    case .primitive(let primitive):
      switch primitive {
      case .bool: return "writer.writeBool(\(value))"
      case .int8: return "writer.writeInt8(\(value))"
      case .int16: return "writer.writeInt16(\(value))"
      case .int32: return "writer.writeInt32(\(value))"
      case .int64: return "writer.writeInt64(\(value))"
      case .uint16: return "writer.writeUInt16(\(value))"
      case .float64: return "writer.writeDouble(\(value))"
      case .uuid: return "writer.writeUUID(\(value))"
      case .errorCode: return "writer.writeInt16(\(value).rawValue)"
      case .string: return "try writer.writeString(\(value), \(suffix))"
      case .bytes: return "try writer.writeBytes(\(value), \(suffix))"
      case .records: return "try writer.writeRecords(\(value), \(suffix))"
      }
    }
  }

  private func emitTags(_ structure: Structure, _ out: inout SwiftText) {
    let flexible = spelling.flexible(structure)
    let tagged = structure.fields.filter { $0.tag != nil }.sorted { ($0.tag ?? 0) < ($1.tag ?? 0) }
    if tagged.isEmpty || flexible == "false" {
      out.line("try writer.writeTaggedFields(unknownTaggedFields, flexible: \(flexible))")
      return
    }
    let body = { (out: inout SwiftText) in
      out.line("var tagCount = unknownTaggedFields.count")
      for field in tagged {
        out.line("let \(flag(field)) = \(presence(field, structure))")
        out.line("if \(flag(field)) { tagCount += 1 }")
      }
      out.line("var tags = writer.beginTags(count: tagCount)")
      for field in tagged {
        out.block("if \(flag(field))") { out in
          out.line(
            "try writer.beginTag(\(field.tag ?? 0), &tags, after: unknownTaggedFields)")
          emitValue(field, structure, &out)
          out.line("writer.endTag(&tags)")
        }
      }
      out.line("try writer.endTags(&tags, unknownTaggedFields)")
    }
    if flexible == "true" { return body(&out) }
    out.block(
      "if flexible", body,
      otherwise: { out in
        out.line("try writer.writeTaggedFields(unknownTaggedFields, flexible: false)")
      })
  }

  private func flag(_ field: Field) -> String { "has" + SwiftText.capitalized(field.name) }

  private func presence(_ field: Field, _ structure: Structure) -> String {
    let isSet = spelling.isSet(field)
    let condition = spelling.tagCondition(field, in: structure)
    return condition.map { "\($0) && \(isSet)" } ?? isSet
  }
}
