// What a file of a log directory is, by its name or else by its content.

import ArgumentParser
import Records

enum DumpKind: String, CaseIterable, ExpressibleByArgument {
  case log
  case index
  case timeindex
  case txnindex
  case snapshot
  case leaderEpochs = "leader-epochs"
  case offsetCheckpoint = "offset-checkpoint"
  case partitionMetadata = "partition-metadata"
  case properties

  static func of(_ file: DumpFile) throws(DumpFailure) -> DumpKind? {
    if let kind = named(file.name) { return kind }
    return try file.read(4096, at: 0) { (bytes) -> DumpKind? in
      looksLike(bytes, size: file.size)
    }.get()
  }

  static func named(_ name: String) -> DumpKind? {
    var name = name[...]
    // What Kafka renames files to on their way in or out.
    for suffix in [".deleted", ".cleaned", ".swap"] where name.hasSuffix(suffix) {
      name = name.dropLast(suffix.count)
    }
    switch name {
    case "leader-epoch-checkpoint": return .leaderEpochs
    case "partition.metadata": return .partitionMetadata
    case "meta.properties": return .properties
    default: break
    }
    if name.hasSuffix("-offset-checkpoint") { return .offsetCheckpoint }
    guard let dot = name.lastIndex(of: ".") else { return nil }
    switch name[name.index(after: dot)...] {
    case "log": return .log
    case "index": return .index
    case "timeindex": return .timeindex
    case "txnindex": return .txnindex
    case "snapshot": return .snapshot
    default: return nil
    }
  }

  /// By the first bytes. Indexes have nothing to know them by.
  static func looksLike(_ bytes: UnsafeRawBufferPointer, size: Int64) -> DumpKind? {
    if let header = RecordBatchHeader(bytes), header.isPlausible { return .log }
    let text = String(decoding: bytes, as: UTF8.self)
    if text.hasPrefix("version: ") { return .partitionMetadata }
    let lines = text.split(separator: "\n", maxSplits: 3)
    if lines.count >= 2, lines[0] == "0", Int(lines[1]) != nil {
      let words = lines.count > 2 ? lines[2].split(separator: " ").count : 0
      return words == 2 ? .leaderEpochs : .offsetCheckpoint
    }
    if lines.contains(where: { $0.hasPrefix("version=") || $0.hasPrefix("cluster.id=") }) {
      return .properties
    }
    if SnapshotDump.looksRight(bytes, size: size) { return .snapshot }
    return nil
  }
}
