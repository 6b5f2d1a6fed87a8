// How a log entry reads as text, wherever it goes.

import Logging

enum LogText {
  /// `message key=value …`, on one line. Keys that begin with `@` are for the journal.
  static func line(_ message: String, _ metadata: Logger.Metadata) -> String {
    var line = printable(message)
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) where !key.hasPrefix("@") {
      line += " \(key)=\(quoted("\(value)"))"
    }
    return line
  }

  /// Client-chosen text must not be able to forge a line or steer a terminal.
  static func printable(_ text: String) -> String {
    guard text.utf8.contains(where: { $0 < 0x20 || $0 >= 0x7F }) else { return text }
    var clean = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { clean.append(isPrintable(scalar) ? scalar : "?") }
    return String(clean)
  }

  /// Neither a control character (C0, C1) nor one that breaks or turns a line.
  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return scalar.value >= 0x20 && scalar.value != 0x7F }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: return false
    default: return true
    }
  }

  /// The value of one `key=value`, which must not be able to look like another one.
  static func quoted(_ value: String) -> String {
    let value = printable(value)
    guard value.isEmpty || value.utf8.contains(where: { $0 == 0x20 || $0 == 0x22 || $0 == 0x3D })
    else { return value }
    var text = "\""
    for character in value {
      if character == "\"" || character == "\\" { text.append("\\") }
      text.append(character)
    }
    return text + "\""
  }

  /// syslog(3) priorities.
  static func priority(_ level: Logger.Level) -> Int {
    switch level {
    case .trace, .debug: 7
    case .info: 6
    case .notice: 5
    case .warning: 4
    case .error: 3
    case .critical: 2
    }
  }
}
