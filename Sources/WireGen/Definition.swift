// What a definition file says, after parsing: messages made of structs made of fields.
// Pure values; `DefinitionParser` makes them, the emitters read them, tests compare them with
// Kafka's own schemas.

/// An inclusive range of versions of one message.
struct VersionRange: Equatable {
  var low: Int
  var high: Int

  func contains(_ version: Int) -> Bool { low <= version && version <= high }

  func intersection(_ other: VersionRange) -> VersionRange? {
    let low = max(low, other.low)
    let high = min(high, other.high)
    return low <= high ? VersionRange(low: low, high: high) : nil
  }

  func covers(_ other: VersionRange) -> Bool { low <= other.low && other.high <= high }
}

/// A type of the protocol that is not a struct.
enum Primitive: String, CaseIterable {
  case bool, int8, int16, int32, int64, uint16, float64, uuid, string, bytes, records
  /// An int16 on the wire, `ErrorCode` in Swift.
  case errorCode
}

enum ElementType: Equatable {
  case primitive(Primitive)
  case structure(String)
}

enum DefaultValue: Equatable {
  /// Zero, false, empty, a struct of defaults; for `records` an empty value.
  case zero
  case null
  case integer(Int64)
  case boolTrue
}

struct Field {
  var name: String
  var element: ElementType
  var isArray: Bool
  /// The versions that have the field, within those of the struct.
  var versions: VersionRange
  /// The versions in which the field may be null, within `versions`.
  var nullable: VersionRange?
  var tag: Int?
  var defaultValue: DefaultValue
  /// Whether a value is dropped silently when a version without the field is written.
  var isIgnorable: Bool
  /// Keeps the old encoding in flexible versions too (the client id of the request header).
  var isInflexible: Bool
  var documentation: [String]

  var structName: String? {
    if case .structure(let name) = element { return name }
    return nil
  }
}

struct Structure {
  var name: String
  /// The versions in which the struct can occur.
  var versions: VersionRange
  var fields: [Field]
}

/// One request, response, record key or value, header or other data: one generated type.
struct Message {
  enum Kind: Equatable {
    case request(apiKey: Int)
    case response(apiKey: Int)
    case recordKey(type: Int)
    case recordValue(type: Int)
    case data
  }

  var name: String
  var kind: Kind
  var documentation: String
  var versions: VersionRange
  /// The first flexible version, or nil if no version is.
  var flexible: Int?
  /// Whether an allocation-free walker is generated too.
  var isWalked: Bool
  var root: Structure
  /// The structs that the root refers to, in the order of their definition.
  var structures: [Structure]

  func structure(_ name: String) -> Structure? { structures.first { $0.name == name } }
}

/// One API: what the table of API keys says about it.
struct Api {
  var name: String
  var key: Int
  var documentation: String
  var versions: VersionRange
  /// What ApiVersions announces; nil when the API is not announced at all.
  var advertised: VersionRange?
  var flexible: Int?
}

/// Everything that one definition file defines.
struct Definition {
  var api: Api?
  var messages: [Message]
}

struct DefinitionError: Error, CustomStringConvertible {
  var file: String
  var line: Int
  var message: String

  var description: String { "\(file):\(line): \(message)" }
}
