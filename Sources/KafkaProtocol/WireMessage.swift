// What all generated messages have in common, and the two ways in which messages are wrapped:
// frames with headers on connections, and version prefixes inside records and opaque bytes.

/// A message that WireGen made from a definition in `protocol/`.
public protocol WireMessage: Sendable {
  /// Kafka's name, such as `FetchRequest`.
  static var messageName: StaticString { get }
  /// The versions that can be read and written.
  static var validVersions: ClosedRange<Int16> { get }
  /// The first version with compact encodings and tagged fields; nil if none has them.
  static var firstFlexibleVersion: Int16? { get }

  /// Reads the message, leaving the reader after its last byte. What follows is the caller's to
  /// judge (`WireReader.finish`).
  init(reading reader: inout WireReader, version: Int16) throws(WireError)

  /// Appends the message. Throws when the version cannot carry a value that may not be dropped; the
  /// writer then holds half a message.
  func write(to writer: inout WireWriter, version: Int16) throws(WireError)
}

public protocol WireRequest: WireMessage {
  associatedtype Response: WireResponse
  static var apiKey: ApiKey { get }
}

public protocol WireResponse: WireMessage {
  static var apiKey: ApiKey { get }
}

/// The key of a record of an internal topic. Before it stands `recordType` where other keys have a
/// version.
public protocol WireRecordKey: WireMessage {
  associatedtype Value: WireRecordValue
  static var recordType: Int16 { get }
}

/// The value of a record of an internal topic. Its version stands before it.
public protocol WireRecordValue: WireMessage {
  static var recordType: Int16 { get }
}

extension WireMessage {
  /// Reads the message from all of `bytes`.
  public init(decoding bytes: RawSpan, version: Int16) throws(WireError) {
    var reader = WireReader(bytes)
    try self.init(reading: &reader, version: version)
    try reader.finish()
  }

  public init(decoding bytes: [UInt8], version: Int16) throws(WireError) {
    try unsafe self.init(decoding: bytes.span.bytes, version: version)
  }

  /// The message as bytes. It must not contain external records.
  public func encoded(version: Int16) throws(WireError) -> [UInt8] {
    var writer = WireWriter()
    try write(to: &writer, version: version)
    precondition(writer.gaps.isEmpty)
    return writer.bytes
  }

  /// Reads a message that stands after its version in all of `bytes`.
  public init(decodingVersioned bytes: [UInt8]) throws(WireError) {
    var reader = unsafe WireReader(bytes.span.bytes)
    let version = try reader.readInt16("version")
    try self.init(reading: &reader, version: version)
    try reader.finish()
  }

  /// The message after its version.
  public func encodedVersioned(_ version: Int16) throws(WireError) -> [UInt8] {
    var writer = WireWriter()
    writer.writeInt16(version)
    try write(to: &writer, version: version)
    precondition(writer.gaps.isEmpty)
    return writer.bytes
  }
}

extension WireRecordKey {
  /// The key of a record: its type, then the fields.
  public func encodedKey() throws(WireError) -> [UInt8] {
    var writer = WireWriter()
    writer.writeInt16(Self.recordType)
    try write(to: &writer, version: 0)
    return writer.bytes
  }

  /// The key in all of `bytes`, or nil when it is the key of another type of record.
  public init?(decodingKey bytes: [UInt8]) throws(WireError) {
    var reader = unsafe WireReader(bytes.span.bytes)
    guard try reader.readInt16("type") == Self.recordType else { return nil }
    try self.init(reading: &reader, version: 0)
    try reader.finish()
  }
}
