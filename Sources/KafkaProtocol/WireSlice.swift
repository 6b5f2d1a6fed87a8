// Places in a buffer: what the decoders hand out instead of copies.

/// A range of bytes of the buffer that was decoded. It does not keep the buffer alive, and means
/// nothing for another one.
public struct WireSlice: Sendable, Equatable {
  /// From the start of the span that the reader was made with.
  public var offset: Int
  public var count: Int

  public init(offset: Int = 0, count: Int = 0) {
    self.offset = offset
    self.count = count
  }

  public var range: Range<Int> { offset..<(offset + count) }

  /// The bytes in the buffer that was decoded. A slice of another buffer is our bug.
  @_lifetime(copy buffer)
  public func bytes(in buffer: RawSpan) -> RawSpan { buffer.extracting(range) }

  /// The text of a slice that the decoder checked to be UTF-8.
  public func string(in buffer: RawSpan) -> String {
    unsafe bytes(in: buffer).withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) }
  }
}

/// The value of a `records` field: record batches, which are neither parsed nor copied here.
public enum RecordsField: Sendable {
  /// Decoded: bytes of the input. Encoded: as `external` of that length, which the caller fills.
  case slice(WireSlice)
  /// Bytes to encode in place.
  case inline([UInt8])
  /// Encoded as a gap: the bytes are not in the writer, whoever sends its buffer puts that many
  /// bytes there (`WireWriter.gaps`).
  case external(count: Int)

  public var count: Int {
    switch self {
    case .slice(let slice): slice.count
    case .inline(let bytes): bytes.count
    case .external(let count): count
    }
  }

  public var isEmpty: Bool { count == 0 }

  /// The place in the input, if the value was decoded.
  public var decoded: WireSlice? {
    if case .slice(let slice) = self { slice } else { nil }
  }
}

/// A tagged field as it travels: kept though its meaning is not known.
public struct TaggedField: Sendable {
  public var tag: UInt32
  public var data: [UInt8]

  public init(tag: UInt32, data: [UInt8]) {
    self.tag = tag
    self.data = data
  }
}
