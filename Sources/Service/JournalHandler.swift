// Log entries in the journal's own form (systemd.journal-fields(7)): every value is a field of its own,
// so that `journalctl SLUICE_TOPIC=orders` finds it, whatever the message says.
//
// Used when standard error is the journal. What the journal does not take goes to standard error.

import CSystemd
import Glibc
import Logging

struct JournalHandler: LogHandler {
  /// `sluice-fetcher`, the same for all instances.
  let identifier: String
  var metadata: Logger.Metadata
  var logLevel: Logger.Level = .info
  /// For what the journal refuses.
  private var fallback: StandardErrorHandler

  /// - Parameter processName: `sluice-fetcher@2`.
  init(processName: String) {
    let parts = processName.split(separator: "@", maxSplits: 1)
    identifier = String(parts.first ?? "")
    metadata = parts.count > 1 ? ["instance": "\(parts[1])"] : [:]
    fallback = StandardErrorHandler(processName: processName, toJournal: true)
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let fields = fields(event.level, "\(event.message)", event.metadata ?? [:])
    if Self.send(fields) < 0 { fallback.log(event: event) }
  }

  /// The entry's fields in order: the journal's own, then ours by name.
  func fields(_ level: Logger.Level, _ message: String, _ added: Logger.Metadata) -> [String] {
    var fields = [
      "MESSAGE=" + LogText.line(message, added),
      "PRIORITY=\(LogText.priority(level))",
      "SYSLOG_IDENTIFIER=\(identifier)",
    ]
    let kind = added[EventKind.metadataKey].flatMap { EventKind(rawValue: "\($0)") }
    if let kind {
      fields.append("MESSAGE_ID=\(kind.messageId)")
      fields.append("SLUICE_EVENT=\(Self.fieldName(kind.rawValue))")
    }
    let all = metadata.merging(added) { $1 }
    for (key, value) in all.sorted(by: { $0.key < $1.key }) where key != EventKind.metadataKey {
      let name = key.hasPrefix("@") ? String(key.dropFirst()) : key
      fields.append("SLUICE_\(Self.fieldName(name))=\(value)")
    }
    return fields
  }

  /// `clientId` becomes `CLIENT_ID`. The journal takes capitals, digits and underscores.
  static func fieldName(_ key: String) -> String {
    var name = ""
    for scalar in key.unicodeScalars {
      switch scalar {
      case "A"..."Z":
        if !name.isEmpty { name.append("_") }
        name.unicodeScalars.append(scalar)
      case "a"..."z", "0"..."9": name += String(scalar).uppercased()
      default: name.append("_")
      }
    }
    return name
  }

  /// - Returns: what sd_journal_sendv(3) returned.
  private static func send(_ fields: [String]) -> Int32 {
    var bytes: [UInt8] = []
    var ends: [Int] = []
    for field in fields {
      bytes += field.utf8
      ends.append(bytes.count)
    }
    return bytes.withUnsafeMutableBytes { raw in
      var start = 0
      let vectors = ends.map { end in
        defer { start = end }
        return iovec(iov_base: raw.baseAddress.map { $0 + start }, iov_len: end - start)
      }
      return sd_journal_sendv(vectors, Int32(vectors.count))
    }
  }

  /// Whether standard error is the journal: JOURNAL_STREAM names it (systemd.exec(5)).
  static var isStandardError: Bool {
    guard let stream = getenv("JOURNAL_STREAM") else { return false }
    var status = stat()
    guard fstat(2, &status) == 0 else { return false }
    return String(cString: stream) == "\(status.st_dev):\(status.st_ino)"
  }
}
