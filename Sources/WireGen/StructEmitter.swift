// Emits one message as a Swift type: its properties, its structs nested in it, its initialiser.
// Reading and writing are emitted by `ReaderEmitter` and `WriterEmitter`.

struct StructEmitter {
  var message: Message
  var spelling: Spelling
  private let tested: Set<String>

  init(_ message: Message) {
    self.message = message
    spelling = Spelling(message: message)
    tested = spelling.structuresWithDefaultTest()
  }

  /// The whole file of the message.
  func file() -> String {
    var out = SwiftText()
    out.line("import Model")
    out.line()
    emit(message.root, isRoot: true, &out)
    if message.isWalked { WalkerEmitter(message).emit(&out) }
    return SwiftText.fileHead + out.text
  }

  private func emit(_ structure: Structure, isRoot: Bool, _ out: inout SwiftText) {
    let fields = structure.fields
    out.documentation(isRoot ? message.documentation.split(separator: "\n").map(String.init) : [])
    out.block("public struct \(structure.name): \(isRoot ? conformance : "Sendable")") { out in
      if isRoot { emitFacts(&out) }
      for field in fields {
        out.documentation(field.documentation)
        out.line(
          "public var \(spelling.name(field)): \(spelling.type(field))"
            + " = \(spelling.defaultValue(field))")
      }
      out.documentation(["Tagged fields that this definition does not know, in ascending order."])
      out.line("public var unknownTaggedFields: [TaggedField] = []")
      out.line()
      emitInitialiser(fields, &out)
      out.line()
      ReaderEmitter(message).emit(structure, isRoot: isRoot, &out)
      out.line()
      WriterEmitter(message).emit(structure, isRoot: isRoot, &out)
      if tested.contains(structure.name) {
        out.line()
        emitDefaultTest(fields, &out)
      }
      if isRoot {
        for child in message.structures {
          out.line()
          emit(child, isRoot: false, &out)
        }
      }
    }
  }

  private var conformance: String {
    switch message.kind {
    case .request: "WireRequest"
    case .response: "WireResponse"
    case .recordKey: "WireRecordKey"
    case .recordValue: "WireRecordValue"
    case .data: "WireMessage"
    }
  }

  private func emitFacts(_ out: inout SwiftText) {
    switch message.kind {
    case .request(let key):
      out.line("public typealias Response = \(message.name.dropLast("Request".count))Response")
      out.line("public static var apiKey: ApiKey { .\(apiCase(key)) }")
    case .response(let key): out.line("public static var apiKey: ApiKey { .\(apiCase(key)) }")
    case .recordKey(let type):
      out.line("public typealias Value = \(message.name.dropLast("Key".count))Value")
      out.line("public static var recordType: Int16 { \(type) }")
    case .recordValue(let type): out.line("public static var recordType: Int16 { \(type) }")
    case .data: break
    }
    out.line("public static var messageName: StaticString { \"\(message.name)\" }")
    out.line(
      "public static var validVersions: ClosedRange<Int16> "
        + "{ \(message.versions.low)...\(message.versions.high) }")
    let flexible = message.flexible.map(String.init) ?? "nil"
    out.line("public static var firstFlexibleVersion: Int16? { \(flexible) }")
    out.line()
  }

  private func apiCase(_ key: Int) -> String {
    TableEmitter.caseName(
      message.name.hasSuffix("Request")
        ? String(message.name.dropLast("Request".count))
        : String(message.name.dropLast("Response".count)))
  }

  private func emitInitialiser(_ fields: [Field], _ out: inout SwiftText) {
    if fields.isEmpty {
      out.line("public init() {}")
      return
    }
    let parameters = fields.map {
      "\(spelling.name($0)): \(spelling.type($0)) = \(spelling.defaultValue($0))"
    }
    out.line("public init(")
    for (index, parameter) in parameters.enumerated() {
      out.line("  " + parameter + (index == parameters.count - 1 ? "" : ","))
    }
    out.block(")") { out in
      for field in fields { out.line("self.\(field.name) = \(spelling.name(field))") }
    }
  }

  private func emitDefaultTest(_ fields: [Field], _ out: inout SwiftText) {
    out.documentation(["Whether every field has its default value."])
    out.block("var isDefault: Bool") { out in
      for field in fields { out.line("if \(spelling.isSet(field)) { return false }") }
      out.line("return unknownTaggedFields.isEmpty")
    }
  }
}
