// Every definition against Kafka's own schemas, field by field, where those are at hand: in the
// directory named by SLUICE_KAFKA_SCHEMAS, else in ../shared/kafka-schemas beside the package.
// Both sides are flattened into one line per field and version, and the lines compared.
import Foundation
import Testing

@testable import WireGen

@Suite struct KafkaSchemaTests {
  static let directory: String? = {
    let candidates = [
      ProcessInfo.processInfo.environment["SLUICE_KAFKA_SCHEMAS"],
      Support.root + "/../shared/kafka-schemas",
      // Where the package is a worktree beside others.
      Support.root + "/../../shared/kafka-schemas",
    ]
    return candidates.compactMap { $0 }.first { FileManager.default.fileExists(atPath: $0) }
  }()

  static let atHand: ConditionTrait = .enabled(
    if: directory != nil, "no Kafka schemas: set SLUICE_KAFKA_SCHEMAS to compare with them")

  /// Kafka's data schemas that only its own controllers use.
  static let controllerData: Set<String> = [
    "DefaultPrincipalData", "KRaftVersionRecord", "LeaderChangeMessage", "SnapshotFooterRecord",
    "SnapshotHeaderRecord", "VotersRecord",
  ]

  /// Kafka has no schema of the keys of control records; `ControlRecordType` is its code.
  static let withoutSchema: Set<String> = ["ControlRecordKey"]

  private func schemas() throws -> [KafkaSchema] {
    let directory = try #require(Self.directory)
    return try [directory, directory + "/internal-topics"].flatMap { folder in
      try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        .filter { $0.hasSuffix(".json") }
        .map { try KafkaSchema(contentsOf: folder + "/" + $0) }
    }
  }

  @Test(atHand) func exactlyTheBrokersSchemasAreDefined() throws {
    let schemas = try schemas()
    let apis = Set(schemas.filter { $0.listeners.contains("broker") }.map(\.apiKey))
    let expected = schemas.filter { schema in
      switch schema.type {
      case "request", "response": apis.contains(schema.apiKey)
      case "data": !Self.controllerData.contains(schema.name)
      default: true
      }
    }
    let defined = Set(try Support.definitions().keys).subtracting(Self.withoutSchema)
    #expect(defined == Set(expected.map(\.name)))
  }

  @Test(atHand) func everyFieldIsAsInKafka() throws {
    let definitions = try Support.definitions()
    var compared = 0
    for schema in try schemas() {
      guard let message = definitions[schema.name] else { continue }
      #expect(schema.versions == message.versions, "\(schema.name)")
      #expect(schema.firstFlexibleVersion == message.flexible, "\(schema.name)")
      for version in message.versions.low...message.versions.high {
        let theirs = schema.facts(version: version)
        let ours = DefinitionFacts(message).facts(version: version)
        #expect(ours == theirs, "\(schema.name) v\(version)")
        compared += theirs.count
      }
      switch message.kind {
      case .request(let key), .response(let key), .recordKey(let key), .recordValue(let key):
        #expect(key == schema.apiKey, "\(schema.name)")
      case .data: #expect(schema.type == "data" || schema.type == "header", "\(schema.name)")
      }
    }
    #expect(compared > 4000)
  }

  @Test(atHand) func unstableVersionsAreNotAdvertised() throws {
    let apis = try Generator(directory: Support.root + "/protocol").definitions.compactMap(\.api)
    let requests = Dictionary(
      uniqueKeysWithValues: try schemas().filter { $0.type == "request" }.map { ($0.apiKey, $0) })
    for api in apis {
      let schema = try #require(requests[api.key])
      var expected: VersionRange? = api.versions
      if schema.isLatestUnstable {
        expected =
          api.versions.low == api.versions.high
          ? nil : VersionRange(low: api.versions.low, high: api.versions.high - 1)
      }
      if api.name == "Produce" { expected?.low = 0 }
      #expect(api.advertised == expected, "\(api.name)")
    }
  }
}

/// One of Kafka's schema files.
struct KafkaSchema {
  struct Failure: Error { var path: String }

  private let json: [String: Any]

  init(contentsOf path: String) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    guard let json = try JSONSerialization.jsonObject(with: data) as? [String: Any] else {
      throw Failure(path: path)
    }
    self.json = json
  }

  var name: String { json["name"] as? String ?? "" }
  var type: String { json["type"] as? String ?? "" }
  var apiKey: Int { json["apiKey"] as? Int ?? -1 }
  var listeners: [String] { json["listeners"] as? [String] ?? [] }
  var isLatestUnstable: Bool { json["latestVersionUnstable"] as? Bool ?? false }
  var versions: VersionRange? { Self.range(json["validVersions"] as? String) }
  var firstFlexibleVersion: Int? {
    guard let versions, let range = Self.range(json["flexibleVersions"] as? String) else {
      return nil
    }
    return range.intersection(versions)?.low
  }

  /// One line per field of `version`, in order.
  func facts(version: Int) -> [String] {
    var shared: [String: [[String: Any]]] = [:]
    for structure in json["commonStructs"] as? [[String: Any]] ?? [] {
      shared[structure["name"] as? String ?? ""] = structure["fields"] as? [[String: Any]] ?? []
    }
    return facts(of: json["fields"] as? [[String: Any]] ?? [], "", version, shared)
  }

  private func facts(
    of fields: [[String: Any]], _ path: String, _ version: Int, _ shared: [String: [[String: Any]]]
  ) -> [String] {
    fields.flatMap { field -> [String] in
      let tagged = Self.range(field["taggedVersions"] as? String)
      let versions = Self.range(field["versions"] as? String) ?? tagged
      guard versions?.contains(version) == true else { return [] }
      let name = field["name"] as? String ?? ""
      let place = path + "." + name.prefix(1).lowercased() + name.dropFirst()
      let type = field["type"] as? String ?? ""
      let isNullable =
        Self.range(field["nullableVersions"] as? String)?.contains(version) == true
      let isTagged = tagged?.contains(version) == true
      let element = type.hasPrefix("[]") ? String(type.dropFirst(2)) : type
      let line = [
        place, type, isNullable ? "nullable" : "-",
        isTagged ? "tag \(field["tag"] as? Int ?? -1)" : "-",
        Self.defaultValue(field["default"]),
        Self.text(field["ignorable"]) == "true" ? "ignorable" : "-",
        field["flexibleVersions"] as? String == "none" ? "inflexible" : "-",
      ].joined(separator: " ")
      let children = field["fields"] as? [[String: Any]] ?? shared[element] ?? []
      return [line] + facts(of: children, place, version, shared)
    }
  }

  private static func text(_ value: Any?) -> String? {
    if let value = value as? String { return value }
    if let number = value as? NSNumber {
      let isBool = String(cString: number.objCType) == "c"
      return isBool ? (number.boolValue ? "true" : "false") : number.stringValue
    }
    return value is NSNull ? "null" : nil
  }

  private static func defaultValue(_ value: Any?) -> String {
    guard let text = text(value), !["", "0", "false"].contains(text) else { return "zero" }
    if text.hasPrefix("0x"), let number = Int64(text.dropFirst(2), radix: 16) { return "\(number)" }
    return text
  }

  static func range(_ text: String?) -> VersionRange? {
    guard let text, text != "none" else { return nil }
    if text.hasSuffix("+"), let low = Int(text.dropLast()) {
      return VersionRange(low: low, high: Int(Int16.max))
    }
    let parts = text.split(separator: "-").compactMap { Int($0) }
    guard let low = parts.first, let high = parts.last else { return nil }
    return VersionRange(low: low, high: high)
  }
}

/// The same lines from one of our definitions.
struct DefinitionFacts {
  var message: Message

  init(_ message: Message) { self.message = message }

  func facts(version: Int) -> [String] { facts(of: message.root, "", version) }

  private func facts(of structure: Structure, _ path: String, _ version: Int) -> [String] {
    structure.fields.flatMap { field -> [String] in
      guard field.versions.contains(version) else { return [] }
      let place = path + "." + field.name
      let line = [
        place, (field.isArray ? "[]" : "") + elementName(field),
        field.nullable?.contains(version) == true ? "nullable" : "-",
        field.tag.map { "tag \($0)" } ?? "-", defaultValue(field),
        field.isIgnorable ? "ignorable" : "-", field.isInflexible ? "inflexible" : "-",
      ].joined(separator: " ")
      let child = field.structName.flatMap { message.structure($0) }
      return [line] + (child.map { facts(of: $0, place, version) } ?? [])
    }
  }

  private func elementName(_ field: Field) -> String {
    switch field.element {
    case .structure(let name): name
    case .primitive(.errorCode): "int16"
    case .primitive(let primitive): primitive.rawValue
    }
  }

  private func defaultValue(_ field: Field) -> String {
    switch field.defaultValue {
    case .zero: "zero"
    case .null: "null"
    case .boolTrue: "true"
    case .integer(let value): "\(value)"
    }
  }
}
