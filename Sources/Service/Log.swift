// Log lines of a process: swift-log in front, the journal or standard error behind. In a terminal lines
// carry the time and the process's name.

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
    let all = metadata.merging(event.metadata ?? [:]) { $1 }
    let line =
      (toJournal ? "<\(LogText.priority(event.level))>" : prefix(event.level))
      + LogText.line("\(event.message)", all) + "\n"
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
}

extension Logger {
  /// The log of the process `processName`, at `level` and above.
  public static func standardError(processName: String, level: Logger.Level = .info) -> Logger {
    var log = Logger(label: processName) { _ in
      StandardErrorHandler(processName: processName, toJournal: false)
    }
    log.logLevel = level
    return log
  }

  /// The log of a daemon: the journal's own entries where standard error is the journal. Events that
  /// come too often are summed up, as long as an `Upkeep` is there to tell of them.
  public static func process(name: String) -> Logger {
    let writer: any LogHandler =
      JournalHandler.isStandardError
      ? JournalHandler(processName: name)
      : StandardErrorHandler(processName: name, toJournal: false)
    return Logger(label: name) { _ in
      EventLogHandler(stream: EventStream(level: .info), writer: writer)
    }
  }

  /// Whether lines go into the journal, with fields.
  var isJournal: Bool { (handler as? EventLogHandler)?.writer is JournalHandler }
}
