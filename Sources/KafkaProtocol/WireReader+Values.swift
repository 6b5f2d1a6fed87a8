// Values with a length: strings, byte strings, records, and the counts of arrays. Each comes in
// two encodings: a fixed-size length with -1 for null, or compact: a varint of the length plus
// one, with 0 for null. As Kafka does, any negative length is taken for null.

extension WireReader {
  /// The length of a string: 16 bits, or compact.
  @inline(__always)
  private mutating func readStringLength(
    compact: Bool, _ field: StaticString
  ) throws(WireError) -> Int {
    let length =
      compact ? Int(try readUnsignedVarint(field)) - 1 : Int(try readInt16(field))
    if length > Self.stringBytesMax { throw failure(.stringTooLong, field) }
    return length
  }

  /// The length of bytes or of an array: 32 bits, or compact.
  @inline(__always)
  private mutating func readLength(
    compact: Bool, _ field: StaticString
  ) throws(WireError) -> Int {
    compact ? Int(try readUnsignedVarint(field)) - 1 : Int(try readInt32(field))
  }

  // MARK: Strings

  /// The place of a string that was checked to be UTF-8; null is nil.
  @inline(never)
  public mutating func readNullableStringSlice(
    compact: Bool, _ field: StaticString
  ) throws(WireError) -> WireSlice? {
    let length = try readStringLength(compact: compact, field)
    if length < 0 { return nil }
    let slice = WireSlice(offset: try take(length, field), count: length)
    try checkUTF8(slice, field)
    return slice
  }

  @inline(never)
  public mutating func readStringSlice(
    compact: Bool, _ field: StaticString
  ) throws(WireError) -> WireSlice {
    guard let slice = try readNullableStringSlice(compact: compact, field) else {
      throw failure(.unexpectedNull, field)
    }
    return slice
  }

  @inline(never)
  public mutating func readNullableString(
    compact: Bool, _ field: StaticString
  ) throws(WireError) -> String? {
    try readNullableStringSlice(compact: compact, field)?.string(in: bytes)
  }

  @inline(never)
  public mutating func readString(
    compact: Bool, _ field: StaticString
  ) throws(WireError) -> String {
    try readStringSlice(compact: compact, field).string(in: bytes)
  }

  private func checkUTF8(_ slice: WireSlice, _ field: StaticString) throws(WireError) {
    do {
      _ = try UTF8Span(validating: Span<UInt8>(_bytes: slice.bytes(in: bytes)))
    } catch {
      throw WireError(.invalidUTF8, field, at: slice.offset)
    }
  }

  // MARK: Bytes and records

  /// The place of byte string or of records; null is nil.
  @inline(never)
  public mutating func readNullableBytesSlice(
    compact: Bool, _ field: StaticString
  ) throws(WireError) -> WireSlice? {
    let length = try readLength(compact: compact, field)
    if length < 0 { return nil }
    return WireSlice(offset: try take(length, field), count: length)
  }

  @inline(never)
  public mutating func readBytesSlice(
    compact: Bool, _ field: StaticString
  ) throws(WireError) -> WireSlice {
    guard let slice = try readNullableBytesSlice(compact: compact, field) else {
      throw failure(.unexpectedNull, field)
    }
    return slice
  }

  @inline(never)
  public mutating func readNullableBytes(
    compact: Bool, _ field: StaticString
  ) throws(WireError) -> [UInt8]? {
    guard let slice = try readNullableBytesSlice(compact: compact, field) else { return nil }
    return copy(slice)
  }

  @inline(never)
  public mutating func readBytes(
    compact: Bool, _ field: StaticString
  ) throws(WireError) -> [UInt8] {
    copy(try readBytesSlice(compact: compact, field))
  }

  @inline(never)
  public mutating func readNullableRecords(
    compact: Bool, _ field: StaticString
  ) throws(WireError) -> RecordsField? {
    try readNullableBytesSlice(compact: compact, field).map(RecordsField.slice)
  }

  @inline(never)
  public mutating func readRecords(
    compact: Bool, _ field: StaticString
  ) throws(WireError) -> RecordsField {
    .slice(try readBytesSlice(compact: compact, field))
  }

  func copy(_ slice: WireSlice) -> [UInt8] {
    unsafe slice.bytes(in: bytes).withUnsafeBytes { unsafe Array($0) }
  }

  // MARK: Arrays and structs

  /// The count of an array, compared with the bytes left; null is nil. The minimum size of an
  /// element is at least 1, so that no count can exceed the bytes at hand.
  @inline(never)
  public mutating func readNullableArrayCount(
    compact: Bool, minimumElementSize: Int, _ field: StaticString
  ) throws(WireError) -> Int? {
    let start = offset
    let count = try readLength(compact: compact, field)
    if count < 0 { return nil }
    guard count <= remaining / minimumElementSize else {
      throw WireError(.countExceedsBytes, field, at: start)
    }
    return count
  }

  @inline(never)
  public mutating func readArrayCount(
    compact: Bool, minimumElementSize: Int, _ field: StaticString
  ) throws(WireError) -> Int {
    let count = try readNullableArrayCount(
      compact: compact, minimumElementSize: minimumElementSize, field)
    guard let count else { throw failure(.unexpectedNull, field) }
    return count
  }

  /// Whether a nullable struct follows: a negative byte stands for null.
  @inline(never)
  public mutating func readStructPresence(_ field: StaticString) throws(WireError) -> Bool {
    try readInt8(field) >= 0
  }
}
