// leader-epoch-checkpoint of a partition: which leader wrote which offsets (Kafka's
// LeaderEpochCheckpointFile, KIP-101).
//
//   0                      version of the format
//   2                      number of entries
//   0 0                    leader epoch, its first offset
//   3 4711
//
// Epochs and offsets increase. The same epochs stand in the batches: entries that a crash lost are
// found again by recovery, entries past the end of the log are cut by it.

/// Since when an epoch's leader has been writing.
public struct LeaderEpochEntry: Equatable, Sendable {
  public var epoch: Int32
  public var startOffset: Int64
}

enum LeaderEpochCheckpoint {
  static func read(_ path: String, _ device: LogDevice) throws(StorageError) -> [LeaderEpochEntry] {
    guard let bytes = try device.contents(path) else { return [] }
    var file = TextFile(bytes, path: path)
    guard try file.number("the version") == 0 else {
      throw file.malformed("it has another version than 0")
    }
    let count: Int = try file.number("the number of entries")
    guard count >= 0, count <= bytes.count else { throw file.malformed("\(count) entries") }
    var entries: [LeaderEpochEntry] = []
    for _ in 0..<count {
      let words = try file.words(2)
      guard let epoch = Int32(words[0]), let offset = Int64(words[1]), epoch >= 0, offset >= 0,
        entries.last.map({ $0.epoch < epoch && $0.startOffset <= offset }) ?? true
      else { throw file.malformed("the entries do not increase") }
      entries.append(LeaderEpochEntry(epoch: epoch, startOffset: offset))
    }
    try file.end()
    return entries
  }

  static func write(
    _ entries: [LeaderEpochEntry], to path: String, _ device: LogDevice, durable: Bool
  ) throws(StorageError) {
    var text = "0\n\(entries.count)\n"
    for entry in entries { text += "\(entry.epoch) \(entry.startOffset)\n" }
    try device.replace(path, with: Array(text.utf8), durable: durable)
  }
}
