// Which values a configuration takes, beyond its type. The texts are Kafka's, because tools and
// people know them.

/// A check on the values of one configuration.
public enum ConfigurationRule: Sendable {
  case any
  case atLeast(Int64)
  case between(Int64, Int64)
  /// A level of gzip: 1 to 9, or -1 for the library's default.
  case betweenOrMinusOne(Int64, Int64)
  /// -1 for no limit, or at least 1.
  case unlimitedOrPositive
  case fraction
  case oneOf([String])
  case oneOfIgnoringCase([String])
  /// A list of nothing but these.
  case listOf([String])
  case notEmpty
  /// `*`, or `partition:broker,partition:broker,…`.
  case throttledReplicas

  /// What is wrong with `value`, or nil.
  func violation(by value: ConfigurationValue, named name: String) -> String? {
    switch (self, value) {
    case (.any, _), (_, .null): nil
    case (.atLeast(let low), .integer(let number)):
      number >= low ? nil : "Value must be at least \(low)"
    case (.between(let low, let high), .integer(let number)):
      number < low
        ? "Value must be at least \(low)"
        : number > high ? "Value must be no more than \(high)" : nil
    case (.betweenOrMinusOne(let low, let high), .integer(let number)):
      number == -1 || (low...high).contains(number)
        ? nil : "Value must be between \(low) and \(high) or equal to -1"
    case (.unlimitedOrPositive, .integer(let number)):
      number == -1 || number >= 1
        ? nil : "Value must be unlimited (-1) or, equal or greater than 1"
    case (.fraction, .double(let number)):
      number >= 0
        ? (number <= 1 ? nil : "Value must be no more than 1") : "Value must be at least 0"
    case (.oneOf(let names), .string(let text)):
      names.contains(text) ? nil : "String must be one of: \(Self.joined(names))"
    case (.oneOfIgnoringCase(let names), .string(let text)):
      names.contains(text.uppercased())
        ? nil : "String must be one of (case insensitive): \(Self.joined(names))"
    case (.listOf(let names), .list(let items)):
      items.allSatisfy(names.contains) ? nil : "String must be one of: \(Self.joined(names))"
    case (.notEmpty, .string(let text)): text.isEmpty ? "String must be non-empty" : nil
    case (.notEmpty, .list(let items)): items.isEmpty ? "List must be non-empty" : nil
    case (.throttledReplicas, .list(let items)):
      Self.areThrottledReplicas(items)
        ? nil
        : "\(name) must be the literal '*' or a list of replicas in the following format: "
          + "[partitionId]:[brokerId],[partitionId]:[brokerId],..."
    default: preconditionFailure("the rule of \(name) does not fit its type")
    }
  }

  private static func joined(_ names: [String]) -> String { names.joined(separator: ", ") }

  private static func areThrottledReplicas(_ items: [String]) -> Bool {
    if items == ["*"] { return true }
    return items.allSatisfy { item in
      let parts = item.split(separator: ":", omittingEmptySubsequences: false)
      return parts.count == 2 && parts.allSatisfy { Int32($0) != nil }
    }
  }

  /// The values in words, as in `--help` and error messages, or nil when there is no limit.
  public var explanation: String? {
    switch self {
    case .any: nil
    case .atLeast(let low): "at least \(low)"
    case .between(let low, let high): "from \(low) to \(high)"
    case .betweenOrMinusOne(let low, let high): "from \(low) to \(high), or -1"
    case .unlimitedOrPositive: "at least 1, or -1 for no limit"
    case .fraction: "from 0 to 1"
    case .oneOf(let names), .oneOfIgnoringCase(let names): "one of \(Self.joined(names))"
    case .listOf(let names): "a list of \(Self.joined(names))"
    case .notEmpty: "not empty"
    case .throttledReplicas: "* or partition:broker,…"
    }
  }
}
