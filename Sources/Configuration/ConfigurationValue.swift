// From the text of a value to the value, as Kafka's ConfigDef reads it: white space around it does
// not count, `true` and `false` in any case, lists with commas.

/// A value of a configuration.
public enum ConfigurationValue: Hashable, Sendable {
  case null
  case boolean(Bool)
  case integer(Int64)
  case double(Double)
  case string(String)
  case list([String])

  /// As Kafka's ConfigDef writes it; nil for null.
  var text: String? {
    switch self {
    case .null: nil
    case .boolean(let flag): flag ? "true" : "false"
    case .integer(let number): "\(number)"
    case .double(let number): Self.text(number)
    case .string(let text): text
    case .list(let items): items.joined(separator: ",")
    }
  }

  /// As Java writes doubles: `0.5`, `1.0`, `1.7976931348623157E308`.
  private static func text(_ number: Double) -> String {
    let text = "\(number)"
    guard let e = text.firstIndex(of: "e") else { return text }
    let exponent = text[text.index(after: e)...].drop { $0 == "+" }
    let mantissa = text[..<e]
    return "\(mantissa)\(mantissa.contains(".") ? "" : ".0")E\(Int(exponent) ?? 0)"
  }
}

extension ConfigurationKey {
  /// What a text says as a value of this configuration.
  ///
  /// - Returns: the value, or why there is none, in Kafka's words.
  func parse(_ text: String) -> Result<ConfigurationValue, Violation> {
    let trimmed = text.trimmingWhitespace()
    let value: ConfigurationValue
    switch type {
    case .boolean:
      switch trimmed.lowercased() {
      case "true": value = .boolean(true)
      case "false": value = .boolean(false)
      default: return .failure(Violation("Expected value to be either true or false"))
      }
    case .short:
      guard let number = Int16(trimmed) else {
        return .failure(Violation("Not a number of type SHORT"))
      }
      value = .integer(Int64(number))
    case .int:
      guard let number = Int32(trimmed) else {
        return .failure(Violation("Not a number of type INT"))
      }
      value = .integer(Int64(number))
    case .long:
      guard let number = Int64(trimmed) else {
        return .failure(Violation("Not a number of type LONG"))
      }
      value = .integer(number)
    case .double:
      guard let number = Double(trimmed), !number.isNaN else {
        return .failure(Violation("Not a number of type DOUBLE"))
      }
      value = .double(number)
    case .string, .class: value = .string(trimmed)
    case .password: value = .string(text)
    case .list:
      value = .list(
        trimmed.isEmpty
          ? []
          : trimmed.split(separator: ",", omittingEmptySubsequences: false)
            .map { String($0).trimmingWhitespace() })
    }
    if let reason = rule.violation(by: value, named: name) { return .failure(Violation(reason)) }
    return .success(value)
  }

  /// The default, parsed. Every default obeys its own rule, which a test checks.
  var defaultValue: ConfigurationValue {
    guard let defaultText else { return .null }
    guard case .success(let value) = parse(defaultText) else {
      preconditionFailure("the default of \(name) is not valid")
    }
    return value
  }
}

/// Why a text is not a value.
struct Violation: Error, Hashable {
  let reason: String
  init(_ reason: String) { self.reason = reason }
}

extension String {
  /// Without white space at both ends.
  func trimmingWhitespace() -> String {
    let bytes = utf8
    func isSpace(_ byte: UInt8) -> Bool { byte <= 0x20 }
    guard let start = bytes.firstIndex(where: { !isSpace($0) }),
      let end = bytes.lastIndex(where: { !isSpace($0) })
    else { return "" }
    return String(self[start...end])
  }
}
