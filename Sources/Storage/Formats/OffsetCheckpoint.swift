// Checkpoints of a log directory: one offset for each partition (Kafka's OffsetCheckpointFile).
//
//   0                      version of the format
//   2                      number of entries
//   orders 0 4711          topic, partition, offset
//   orders 1 17
//
// recovery-point-offset-checkpoint    up to here everything is on disk: recovery begins here
// replication-offset-checkpoint       high watermarks
// log-start-offset-checkpoint         log starts, only where they are above 0
// cleaner-offset-checkpoint           up to here a compacted log is clean; only where it ever was
//
// Replaced as a whole: temporary file, fsync, rename, fsync of the directory. A checkpoint may be
// behind the log; the first two are never ahead of what was fsynced, the third one is made durable
// before segments are removed or a client is told that records are deleted. A missing one means 0 for
// every partition.
//
// The last one is not synced when a log was cleaned, which the loop would have to wait for: a power loss
// may leave it old, torn or empty. Logs are then cleaned again from an earlier offset, which changes
// nothing in them. Recovery does not lean on it either: nothing is cleaned behind the recovery point that
// the disk knows, and the last batch before the first segment that is left alone always stays. It is
// synced when a partition goes away, because a later one must not inherit the offset.

import Model

enum OffsetCheckpoint: String, CaseIterable {
  case recoveryPoint = "recovery-point-offset-checkpoint"
  case replication = "replication-offset-checkpoint"
  case logStart = "log-start-offset-checkpoint"
  case cleaner = "cleaner-offset-checkpoint"

  /// What follows when it cannot be read, as a clause.
  var consequenceOfLoss: String {
    switch self {
    case .recoveryPoint: "all logs of its directory are read"
    case .replication: "high watermarks are the ends of the logs"
    case .logStart: "logs of its directory start with their first segments"
    case .cleaner: "compacted logs of its directory are cleaned again from their starts"
    }
  }

  /// Reads the checkpoint in `directory`; empty when there is none.
  func read(in directory: String, _ device: LogDevice) throws(StorageError)
    -> [TopicPartition: Int64]
  {
    let path = "\(directory)/\(rawValue)"
    guard let bytes = try device.contents(path) else { return [:] }
    var file = TextFile(bytes, path: path)
    guard try file.number("the version") == 0 else {
      throw file.malformed("it has another version than 0")
    }
    let count: Int = try file.number("the number of entries")
    guard count >= 0, count <= bytes.count else { throw file.malformed("\(count) entries") }
    var offsets = [TopicPartition: Int64](minimumCapacity: count)
    for _ in 0..<count {
      let words = try file.words(3)
      guard let partition = Int32(words[1]), let offset = Int64(words[2]), offset >= 0 else {
        throw file.malformed("an entry is not topic, partition and offset")
      }
      offsets[TopicPartition(topic: String(words[0]), partition: partition)] = offset
    }
    try file.end()
    return offsets
  }

  /// The file with these entries.
  static func encode(_ offsets: [(partition: TopicPartition, offset: Int64)]) -> [UInt8] {
    var text = "0\n\(offsets.count)\n"
    for entry in offsets {
      text += "\(entry.partition.topic) \(entry.partition.partition) \(entry.offset)\n"
    }
    return Array(text.utf8)
  }

  /// Replaces the checkpoint in `directory`.
  func write(
    _ offsets: [(partition: TopicPartition, offset: Int64)], in directory: String,
    _ device: LogDevice, durable: Bool
  ) throws(StorageError) {
    try device.replace("\(directory)/\(rawValue)", with: Self.encode(offsets), durable: durable)
  }
}
