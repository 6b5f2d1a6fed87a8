// Kafka's Uuid: topic ids, directory ids, cluster ids.

/// A 128-bit identifier, on the wire 16 bytes big-endian, in text 22 characters of URL-safe base64
/// without padding (as in `partition.metadata` and in Kafka's tools).
public struct UUID128: Hashable, Sendable, CustomStringConvertible {
  public var high: UInt64
  public var low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// All zero: "no id" on the wire.
  public static let zero = UUID128(high: 0, low: 0)

  /// A random version-4 id whose text does not begin with `-`, which tools would take for an option.
  public static func random() -> UUID128 {
    var generator = SystemRandomNumberGenerator()
    while true {
      let high = (generator.next() & ~0xF000) | 0x4000
      let low = (generator.next() & ~(0b11 << 62)) | (0b10 << 62)
      let id = UUID128(high: high, low: low)
      if !id.description.hasPrefix("-") { return id }
    }
  }

  private static let alphabet = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

  public var description: String {
    var text: [UInt8] = []
    text.reserveCapacity(22)
    // 128 bits are 21 sextets and 2 bits: the last character holds those 2 bits, shifted up by 4.
    for i in 0..<21 { text.append(Self.alphabet[Int(bits(from: i * 6, count: 6))]) }
    text.append(Self.alphabet[Int(bits(from: 126, count: 2) << 4)])
    return String(decoding: text, as: UTF8.self)
  }

  /// The id whose text is `text`, or nil when it is not 22 characters of URL-safe base64.
  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    guard bytes.count == 22 || (bytes.count == 24 && bytes.suffix(2) == [61, 61]) else {
      return nil
    }
    var high: UInt64 = 0
    var low: UInt64 = 0
    for i in 0..<22 {
      guard let value = Self.alphabet.firstIndex(of: bytes[i]) else { return nil }
      let width = i == 21 ? 2 : 6
      let sextet = UInt64(i == 21 ? value >> 4 : value)
      high = (high << UInt64(width)) | (low >> UInt64(64 - width))
      low = (low << UInt64(width)) | sextet
    }
    self.init(high: high, low: low)
  }

  private func bits(from start: Int, count: Int) -> UInt64 {
    var value: UInt64 = 0
    for i in start..<(start + count) {
      let word = i < 64 ? high : low
      value = (value << 1) | ((word >> UInt64(63 - i % 64)) & 1)
    }
    return value
  }
}
