// Reads the primitives of Kafka's protocol from a span of bytes (Kafka protocol guide, "Protocol
// primitive types"). Invariant: 0 ≤ offset ≤ end ≤ byte count. Every function is total: it
// advances past a value or throws without reading beyond `end`; no count or length is believed
// before it is compared with the bytes left. Called by the generated decoders and walkers.
import Model

/// A cursor over bytes that it does not own. Make it where the bytes are and pass it down.
public struct WireReader: ~Escapable {
  /// How many elements an array reserves at most before they are read.
  public static let reservedElementsMax = 64
  /// Kafka's limit for strings, also where the encoding could express more.
  public static let stringBytesMax = 0x7FFF

  public let bytes: RawSpan
  /// The next byte to read, from the start of `bytes`.
  public internal(set) var offset = 0
  /// Where reading must stop: the end of the bytes, or of the tagged field being read.
  var end: Int

  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) {
    self.bytes = bytes
    end = bytes.byteCount
  }

  /// Starts at `offset`, which must lie within the bytes; offsets in results count from their start.
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan, from offset: Int) {
    precondition(offset >= 0 && offset <= bytes.byteCount)
    self.bytes = bytes
    self.offset = offset
    end = bytes.byteCount
  }

  public var remaining: Int { end - offset }

  /// Requires that nothing is left.
  public func finish() throws(WireError) {
    if offset != end { throw WireError(.trailingBytes, "end", at: offset) }
  }

  @inline(never)
  public func failure(_ rule: WireError.Rule, _ field: StaticString) -> WireError {
    WireError(rule, field, at: offset)
  }

  /// Advances past `count` bytes and returns where they began.
  @inline(__always)
  mutating func take(_ count: Int, _ field: StaticString) throws(WireError) -> Int {
    guard count <= end - offset else { throw failure(.truncated, field) }
    let start = offset
    offset += count
    return start
  }
}

// MARK: - Fixed size

extension WireReader {
  @inline(never)
  public mutating func readBool(_ field: StaticString) throws(WireError) -> Bool {
    try readInt8(field) != 0
  }

  @inline(never)
  public mutating func readInt8(_ field: StaticString) throws(WireError) -> Int8 {
    let start = try take(1, field)
    return unsafe bytes.unsafeLoadUnaligned(fromByteOffset: start, as: Int8.self)
  }

  @inline(never)
  public mutating func readInt16(_ field: StaticString) throws(WireError) -> Int16 {
    let start = try take(2, field)
    return unsafe Int16(
      bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: start, as: Int16.self))
  }

  @inline(never)
  public mutating func readUInt16(_ field: StaticString) throws(WireError) -> UInt16 {
    UInt16(bitPattern: try readInt16(field))
  }

  @inline(never)
  public mutating func readInt32(_ field: StaticString) throws(WireError) -> Int32 {
    let start = try take(4, field)
    return unsafe Int32(
      bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: start, as: Int32.self))
  }

  @inline(never)
  public mutating func readInt64(_ field: StaticString) throws(WireError) -> Int64 {
    let start = try take(8, field)
    return unsafe Int64(
      bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: start, as: Int64.self))
  }

  @inline(never)
  public mutating func readDouble(_ field: StaticString) throws(WireError) -> Double {
    Double(bitPattern: UInt64(bitPattern: try readInt64(field)))
  }

  @inline(never)
  public mutating func readUUID(_ field: StaticString) throws(WireError) -> UUID128 {
    let start = try take(16, field)
    let high = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: start, as: UInt64.self)
    let low = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: start + 8, as: UInt64.self)
    return UUID128(high: UInt64(bigEndian: high), low: UInt64(bigEndian: low))
  }

  /// An unsigned LEB128 integer of at most 32 bits.
  @inline(never)
  public mutating func readUnsignedVarint(_ field: StaticString) throws(WireError) -> UInt32 {
    let start = offset
    var value: UInt32 = 0
    var shift: UInt32 = 0
    while true {
      guard offset < end else {
        offset = start
        throw failure(.truncated, field)
      }
      let byte = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
      if shift == 28, byte > 0x0F {
        offset = start
        throw failure(.varintTooLong, field)
      }
      offset += 1
      value |= UInt32(byte & 0x7F) &<< shift
      if byte & 0x80 == 0 { return value }
      shift += 7
    }
  }
}
