// One record where it lies. Parsing checks the whole record, headers included, so that everything
// that is read from a view afterwards is known to be in bounds.

/// A record inside a batch's uncompressed records (Kafka's `DefaultRecord`).
///
/// ```
/// length          varint   bytes that follow
/// attributes      int8     none assigned
/// timestampDelta  varlong  to the batch's baseTimestamp, ms
/// offsetDelta     varint   to the batch's baseOffset
/// key             varint length, then bytes; a negative length is null
/// value           varint length, then bytes; a negative length is null
/// headerCount     varint
/// headers         each: varint length and bytes of its key, varint length (negative: null) and
///                 bytes of its value
/// ```
///
/// Valid only as long as the memory it was parsed from is there and unchanged.
public struct RecordView {
  public let timestampDelta: Int64
  public let offsetDelta: Int32
  /// Bytes of the whole record with its length field.
  public let sizeInBytes: Int
  public let key: UnsafeRawBufferPointer?
  public let value: UnsafeRawBufferPointer?
  public let headerCount: Int
  private let headerBytes: UnsafeRawBufferPointer

  /// Parses the record at the start of `bytes`.
  public init(_ bytes: UnsafeRawBufferPointer) throws(RecordFormatError) {
    var reader = RecordReader(bytes)
    let length = try reader.varint()
    guard length >= 0 else { throw .recordLength(length) }
    guard Int(length) <= reader.remaining else { throw .endsEarly }
    let bodyStart = reader.position
    // The fields may not look past the record, whatever lies behind it.
    reader.end = bodyStart + Int(length)
    do throws(RecordFormatError) {
      try reader.skip(1)
      timestampDelta = try reader.varlong()
      offsetDelta = try reader.varint()
      key = try reader.nullableBytes()
      value = try reader.nullableBytes()
      let count = try reader.varint()
      // A header takes at least two bytes.
      guard count >= 0, Int(count) <= reader.remaining / 2 else {
        throw RecordFormatError.headerCount(count)
      }
      headerCount = Int(count)
      let headersStart = reader.position
      for _ in 0..<headerCount { try reader.skipHeader() }
      headerBytes = UnsafeRawBufferPointer(rebasing: bytes[headersStart..<reader.position])
    } catch {
      throw error == .endsEarly ? .recordTooShort(length) : error
    }
    guard reader.remaining == 0 else {
      throw .recordTooLong(length, read: reader.position - bodyStart)
    }
    sizeInBytes = reader.position
  }

  /// Calls `body` with each header's key and value, in order.
  public func forEachHeader(
    _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer?) -> Void
  ) {
    var reader = RecordReader(headerBytes)
    for _ in 0..<headerCount {
      do throws(RecordFormatError) {
        let key = try reader.headerKey()
        body(key, try reader.nullableBytes())
      } catch {
        preconditionFailure("a record changed after it was parsed: \(error)")
      }
    }
  }
}

/// Walks over the fields of records; every step checks what is left.
struct RecordReader {
  private let bytes: UnsafeRawBufferPointer
  private(set) var position = 0
  var end: Int

  init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
    end = bytes.count
  }

  var remaining: Int { end - position }

  @inline(__always)
  mutating func skip(_ count: Int) throws(RecordFormatError) {
    guard count <= remaining else { throw .endsEarly }
    position += count
  }

  @inline(__always)
  mutating func varint() throws(RecordFormatError) -> Int32 {
    Int32(truncatingIfNeeded: Varint.unzigzag(try unsigned(bytesMax: 5) & 0xFFFF_FFFF))
  }

  @inline(__always)
  mutating func varlong() throws(RecordFormatError) -> Int64 {
    Varint.unzigzag(try unsigned(bytesMax: 10))
  }

  @inline(__always)
  private mutating func unsigned(bytesMax: Int) throws(RecordFormatError) -> UInt64 {
    guard position < end else { throw .endsEarly }
    let first = bytes[position]
    if first < 0x80 {
      position += 1
      return UInt64(first)
    }
    return try unsignedOfSeveralBytes(bytesMax: bytesMax)
  }

  private mutating func unsignedOfSeveralBytes(
    bytesMax: Int
  ) throws(RecordFormatError) -> UInt64 {
    var value: UInt64 = 0
    for i in 0..<bytesMax {
      guard position < end else { throw .endsEarly }
      let byte = bytes[position]
      position += 1
      // The bits of the last byte that do not fit are dropped, as Kafka drops them.
      value |= UInt64(byte & 0x7F) << UInt64(7 * i)
      if byte < 0x80 { return value }
    }
    throw .varintTooLong
  }

  @inline(__always)
  mutating func nullableBytes() throws(RecordFormatError) -> UnsafeRawBufferPointer? {
    let length = try varint()
    guard length >= 0 else { return nil }
    return try slice(length)
  }

  mutating func headerKey() throws(RecordFormatError) -> UnsafeRawBufferPointer {
    let length = try varint()
    guard length >= 0 else { throw .headerKeyLength(length) }
    return try slice(length)
  }

  mutating func skipHeader() throws(RecordFormatError) {
    _ = try headerKey()
    _ = try nullableBytes()
  }

  @inline(__always)
  private mutating func slice(_ length: Int32) throws(RecordFormatError) -> UnsafeRawBufferPointer {
    guard Int(length) <= remaining else { throw .fieldTooLong(length) }
    defer { position += Int(length) }
    return UnsafeRawBufferPointer(rebasing: bytes[position..<(position + Int(length))])
  }
}
