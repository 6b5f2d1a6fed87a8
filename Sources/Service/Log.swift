// Log lines of a process: swift-log in front, standard error behind. Under systemd standard error is
// the journal, so lines carry the priority prefix of sd-daemon(3); in a terminal they carry the time
// and the process's name.

import CLinux
import Glibc
import Linux
import Logging

/// A log with the name of its process.
public typealias Log = Logger

/// Writes one line per entry: `message key=value …`.
struct StandardErrorHandler: LogHandler {
  let processName: String
  let toJournal: Bool
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level = .info

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    var line = toJournal ? "<\(Self.priority(event.level))>" : prefix(event.level)
    line += Self.printable("\(event.message)")
    let all = metadata.merging(event.metadata ?? [:]) { $1 }
    for (key, value) in all.sorted(by: { $0.key < $1.key }) {
      line += " \(key)=\(Self.quoted("\(value)"))"
    }
    line += "\n"
    let bytes = Array(line.utf8)
    _ = bytes.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
  }

  private func prefix(_ level: Logger.Level) -> String {
    var seconds = time(nil)
    var parts = tm()
    localtime_r(&seconds, &parts)
    func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return
      "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) \(processName) \(level): "
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
  private static func priority(_ level: Logger.Level) -> Int {
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

extension Logger {
  /// The log of the process `processName`, at `level` and above.
  public static func standardError(processName: String, level: Logger.Level = .info) -> Logger {
    var log = Logger(label: processName) { _ in
      StandardErrorHandler(processName: processName, toJournal: getenv("JOURNAL_STREAM") != nil)
    }
    log.logLevel = level
    return log
  }
}
