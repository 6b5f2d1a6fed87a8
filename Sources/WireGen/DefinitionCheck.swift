// Rules that every definition must obey so that the generated code is total: no recursion (hence
// bounded nesting), no array element that takes no bytes (hence bounded counts).

struct DefinitionCheck {
  var file: String

  func check(_ message: Message) throws(DefinitionError) {
    var names: Set<String> = []
    for structure in message.structures where !names.insert(structure.name).inserted {
      throw failure(message, "struct \(structure.name) is defined twice")
    }
    for structure in [message.root] + message.structures {
      try check(structure, in: message)
    }
    if message.isWalked { try checkWalked(message) }
    // Only now, because the sizes of recursive structs would not end.
    for structure in [message.root] + message.structures {
      for field in structure.fields where field.isArray {
        let versions = field.versions.low...field.versions.high
        for version in versions where MinimumSize(message).ofElement(field, version: version) == 0 {
          throw failure(
            message,
            "\(structure.name).\(field.name): an element may take no bytes in version \(version)")
        }
      }
    }
  }

  private func check(_ structure: Structure, in message: Message) throws(DefinitionError) {
    var names: Set<String> = []
    var tags: Set<Int> = []
    for field in structure.fields {
      let place = "\(structure.name).\(field.name)"
      if !names.insert(field.name).inserted { throw failure(message, "\(place) is defined twice") }
      if let child = field.structName {
        guard message.structure(child) != nil else {
          throw failure(message, "\(place): no struct \(child)")
        }
        var seen: Set<String> = []
        if reaches(child, structure.name, in: message, &seen) {
          throw failure(message, "\(place) is recursive")
        }
      }
      if let tag = field.tag {
        if !tags.insert(tag).inserted { throw failure(message, "\(place): tag \(tag) twice") }
        guard let flexible = message.flexible, field.versions.low >= flexible else {
          throw failure(message, "\(place) is tagged in a version that is not flexible")
        }
        if field.element == .primitive(.records) {
          throw failure(message, "\(place): records cannot be tagged")
        }
      }
      if field.defaultValue == .null, field.nullable == nil {
        throw failure(message, "\(place) is null by default but never nullable")
      }
      if field.isArray, field.defaultValue != .zero, field.defaultValue != .null {
        throw failure(message, "\(place): an array's default is empty or null")
      }
    }
  }

  /// What a walker can express: its elements are handed out before what follows their arrays.
  private func checkWalked(_ message: Message) throws(DefinitionError) {
    for structure in [message.root] + message.structures {
      if structure.fields.contains(where: { $0.isArray && ($0.nullable != nil || $0.tag != nil) }) {
        throw failure(message, "\(structure.name): a walked array is neither nullable nor tagged")
      }
      guard structure.name != message.name,
        let array = structure.fields.firstIndex(where: \.isArray)
      else { continue }
      if structure.fields.count > array + 1 {
        throw failure(message, "\(structure.name): a field follows the array of a walked struct")
      }
    }
  }

  private func reaches(
    _ from: String, _ target: String, in message: Message, _ seen: inout Set<String>
  ) -> Bool {
    if from == target { return true }
    guard seen.insert(from).inserted, let structure = message.structure(from) else { return false }
    for field in structure.fields {
      if let child = field.structName, reaches(child, target, in: message, &seen) { return true }
    }
    return false
  }

  private func failure(_ message: Message, _ text: String) -> DefinitionError {
    DefinitionError(file: file, line: 0, message: "\(message.name): \(text)")
  }
}

/// The fewest bytes that a value takes, which bounds the counts that a decoder may believe.
struct MinimumSize {
  var message: Message

  init(_ message: Message) { self.message = message }

  func ofElement(_ field: Field, version: Int) -> Int {
    let flexible = isFlexible(version) && !field.isInflexible
    switch field.element {
    case .structure(let name):
      guard let structure = message.structure(name) else { return 0 }
      return of(structure, version: version)
    case .primitive(let primitive):
      switch primitive {
      case .bool, .int8: return 1
      case .int16, .uint16, .errorCode: return 2
      case .int32: return 4
      case .int64, .float64: return 8
      case .uuid: return 16
      case .string: return flexible ? 1 : 2
      case .bytes, .records: return flexible ? 1 : 4
      }
    }
  }

  func of(_ structure: Structure, version: Int) -> Int {
    var size = isFlexible(version) ? 1 : 0
    for field in structure.fields where field.tag == nil && field.versions.contains(version) {
      if field.isArray {
        size += isFlexible(version) ? 1 : 4
      } else if field.structName != nil, field.nullable != nil {
        size += 1
      } else {
        size += ofElement(field, version: version)
      }
    }
    return size
  }

  /// The minimum over all versions of the field.
  func ofElement(_ field: Field) -> Int {
    (field.versions.low...field.versions.high).map { ofElement(field, version: $0) }.min() ?? 1
  }

  private func isFlexible(_ version: Int) -> Bool {
    message.flexible.map { version >= $0 } ?? false
  }
}
