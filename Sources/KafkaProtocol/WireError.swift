// The one error of decoding and encoding: which rule broke, at which field, at which byte.

/// Why bytes are not a message, or a message cannot be put into bytes.
public struct WireError: Error, Sendable {
  public enum Rule: UInt8, Sendable {
    /// The bytes end before the value does.
    case truncated
    /// Null where the version allows no null.
    case unexpectedNull
    /// An array announces more elements than the bytes left could hold.
    case countExceedsBytes
    /// A string is longer than Kafka's maximum of 32,767 bytes.
    case stringTooLong
    /// A string is not UTF-8.
    case invalidUTF8
    /// A variable-length integer does not fit into 32 bits.
    case varintTooLong
    /// Tags are not in strictly ascending order.
    case tagOrder
    /// A tagged field does not take the bytes that it announced.
    case tagSize
    /// Bytes are left after the message.
    case trailingBytes
    /// The message has no such version.
    case unsupportedVersion
    /// No such API key, or it is not served on a client listener.
    case unknownApiKey
    /// A field has a value that is not its default and that the version cannot carry.
    case fieldNotInVersion
    /// A field is null in a version that cannot carry null.
    case nullNotInVersion
    /// A value is too long for its length field.
    case valueTooLong
  }

  public var rule: Rule
  /// The field or message, in Kafka's spelling.
  public var field: StaticString
  /// The byte at which the value begins: in the input when decoding, in the output when encoding.
  public var offset: Int

  public init(_ rule: Rule, _ field: StaticString, at offset: Int) {
    self.rule = rule
    self.field = field
    self.offset = offset
  }
}

extension WireError: CustomStringConvertible {
  public var description: String { "\(field): \(rule) at byte \(offset)" }
}
