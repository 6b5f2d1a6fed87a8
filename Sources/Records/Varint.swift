// Variable-length integers as they occur inside records: zigzag, then base 128, lowest group first
// (the encoding of Protocol Buffers' sint32 and sint64). At most 5 or 10 bytes.

/// Sizes and encoding of zigzag varints.
enum Varint {
  @inline(__always)
  static func zigzag(_ value: Int64) -> UInt64 {
    UInt64(bitPattern: (value << 1) ^ (value >> 63))
  }

  @inline(__always)
  static func unzigzag(_ value: UInt64) -> Int64 {
    Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
  }

  /// Bytes that `value` takes; the same for an Int32 and for an Int64 of equal value.
  static func size(_ value: Int64) -> Int {
    (max(1, 64 - zigzag(value).leadingZeroBitCount) + 6) / 7
  }

  static func append(_ value: Int64, to bytes: inout [UInt8]) {
    var rest = zigzag(value)
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }
}
