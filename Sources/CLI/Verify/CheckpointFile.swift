// One of the checkpoints of a log directory: an offset for each partition.
// Storage's OffsetCheckpoint.swift has the format.

import Linux

struct CheckpointFile {
  static let recoveryPoint = "recovery-point-offset-checkpoint"
  static let highWatermark = "replication-offset-checkpoint"
  static let logStart = "log-start-offset-checkpoint"
  /// How far compaction has been. Kafka keeps it too.
  static let cleaned = "cleaner-offset-checkpoint"
  static let names = [recoveryPoint, highWatermark, logStart, cleaned]

  /// What is wrong with an entry.
  struct Violation {
    var offsets: ClosedRange<Int64>?
    let reason: String
    let isRepairable: Bool
  }

  struct Entry {
    let topic: String
    let partition: Int32
    var offset: Int64

    var name: String { "\(topic)-\(partition)" }
  }

  private let path: String
  private let name: String
  private(set) var entries: [Entry] = []
  private var defects: [String] = []

  init(_ path: String, _ name: String) {
    self.path = path
    self.name = name
    guard let bytes = try? File.contents(path, limit: 64 << 20), !bytes.isEmpty else { return }
    var lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")[...]
    if lines.popFirst() != "0" { defects.append("the first line is not version 0") }
    let count = lines.popFirst().flatMap { Int($0) }
    var known: Set<String> = []
    for line in lines {
      let words = line.split(separator: " ")
      guard words.count == 3, let partition = Int32(words[1]), let offset = Int64(words[2]),
        partition >= 0, offset >= 0
      else {
        defects.append("'\(Fields.printable(Array(line.utf8)))' is no topic, partition and offset")
        continue
      }
      let name = "\(words[0])-\(partition)"
      guard known.insert(name).inserted else {
        defects.append("\(name) is there twice")
        continue
      }
      entries.append(Entry(topic: String(words[0]), partition: partition, offset: offset))
    }
    if count != lines.count {
      defects.append("\(count.map { "\($0)" } ?? "no") entries are announced, \(lines.count) there")
    }
  }

  /// - Parameter violation: what is wrong with an entry.
  func check(_ report: VerifyReport, _ violation: (Entry) -> Violation?) {
    for defect in defects { report.add(Finding(path, defect, .checkpoint(name))) }
    for entry in entries {
      guard let found = violation(entry) else { continue }
      report.add(
        Finding(
          path, offsets: found.offsets, "\(entry.name): \(found.reason)",
          found.isRepairable ? .checkpoint(name) : nil))
    }
  }

  /// Writes the entries that can be read, each as `change` wants it; nil leaves it out. A partition
  /// without an entry has offset 0, which is always safe.
  func rewrite(_ report: VerifyReport, _ change: (Entry) -> Entry?) {
    let changed = entries.compactMap(change)
    var text = "0\n\(changed.count)\n"
    for entry in changed {
      text += "\(entry.topic) \(entry.partition) \(entry.offset)\n"
    }
    do throws(Errno) {
      try File.replace(path, with: Array(text.utf8))
      report.repaired(path, Remedy.checkpoint(name).text)
    } catch { report.failed("\(error)") }
  }
}
