// How a message becomes a datagram. Every edge of the process graph has two enums of its own, one a
// direction; what they share is this: a fixed header, little-endian integers, length-prefixed
// strings, and strict decoding that ends by requiring that nothing is left.

import Model

/// One direction of one edge: an enum whose cases are its messages.
public protocol Message: Sendable {
  /// The kind of this value, unique within the enum and never reused.
  var kind: UInt16 { get }
  /// How many descriptors travel with this value.
  var descriptorCount: Int { get }
  func encode(into writer: inout MessageWriter)
  init(kind: UInt16, from reader: inout MessageReader) throws(MessageError)
}

/// A sibling's bytes broke a rule of the edge.
public struct MessageError: Error, Equatable, CustomStringConvertible, Sendable {
  public let rule: String

  public init(_ rule: String) { self.rule = rule }

  public var description: String { rule }
}

/// Builds the payload of one message.
public struct MessageWriter: ~Copyable {
  public private(set) var bytes: [UInt8] = []

  public init() {}

  public mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

  @inlinable public mutating func put<T: FixedWidthInteger>(_ value: T) {
    withUnsafeBytes(of: value.littleEndian) { append($0) }
  }

  public mutating func put(_ value: Bool) { put(UInt8(value ? 1 : 0)) }

  /// A string of at most 65,535 bytes.
  public mutating func put(_ text: String) {
    var text = text
    text.withUTF8 {
      precondition($0.count <= Int(UInt16.max), "a string too long for a message")
      put(UInt16($0.count))
      append(UnsafeRawBufferPointer($0))
    }
  }

  public mutating func put(_ id: UUID128) {
    put(id.high)
    put(id.low)
  }

  /// A byte string with a 32-bit length.
  public mutating func put(bytes body: [UInt8]) {
    put(UInt32(body.count))
    bytes.append(contentsOf: body)
  }

  /// A 32-bit count, then each element.
  public mutating func put<Element>(
    list: [Element], _ each: (Element, inout MessageWriter) -> Void
  ) {
    put(UInt32(list.count))
    for element in list { each(element, &self) }
  }

  @usableFromInline mutating func append(_ raw: UnsafeRawBufferPointer) {
    bytes.append(contentsOf: raw)
  }
}

/// Takes the payload of one message apart. Total: any bytes give a value or a `MessageError`, and
/// nothing is allocated beyond what the bytes at hand justify.
public struct MessageReader {
  @usableFromInline let bytes: UnsafeRawBufferPointer
  @usableFromInline var position = 0

  /// - Parameter bytes: must outlive the reader.
  public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  public var remaining: Int { bytes.count - position }

  @inlinable public mutating func integer<T: FixedWidthInteger>(_ type: T.Type = T.self)
    throws(MessageError) -> T
  {
    let size = MemoryLayout<T>.size
    guard bytes.count - position >= size else {
      throw MessageError("message ends inside an integer")
    }
    let value = bytes.loadUnaligned(fromByteOffset: position, as: T.self)
    position += size
    return T(littleEndian: value)
  }

  public mutating func bool() throws(MessageError) -> Bool {
    switch try integer(UInt8.self) {
    case 0: return false
    case 1: return true
    case let other: throw MessageError("a boolean is 0 or 1, not \(other)")
    }
  }

  public mutating func string() throws(MessageError) -> String {
    let raw = try take(Int(try integer(UInt16.self)))
    guard let text = String(validating: raw, as: UTF8.self) else {
      throw MessageError("a string is not UTF-8")
    }
    return text
  }

  public mutating func uuid() throws(MessageError) -> UUID128 {
    UUID128(high: try integer(), low: try integer())
  }

  public mutating func byteString() throws(MessageError) -> [UInt8] {
    [UInt8](try take(Int(try integer(UInt32.self))))
  }

  /// - Parameter minimumSize: bytes that the smallest element takes; more than 0.
  public mutating func list<Element>(
    minimumSize: Int, _ each: (inout MessageReader) throws(MessageError) -> Element
  ) throws(MessageError) -> [Element] {
    let count = Int(try integer(UInt32.self))
    guard count <= remaining / minimumSize else {
      throw MessageError("a list of \(count) elements in \(remaining) bytes")
    }
    var elements: [Element] = []
    elements.reserveCapacity(count)
    for _ in 0..<count { elements.append(try each(&self)) }
    return elements
  }

  /// Requires that every byte has been taken.
  public func end() throws(MessageError) {
    if remaining != 0 { throw MessageError("\(remaining) bytes left over after the message") }
  }

  private mutating func take(_ count: Int) throws(MessageError) -> UnsafeRawBufferPointer {
    guard count <= remaining else {
      throw MessageError("a field of \(count) bytes with \(remaining) left")
    }
    defer { position += count }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<(position + count)])
  }
}
