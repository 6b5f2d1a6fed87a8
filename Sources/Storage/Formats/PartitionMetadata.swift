// partition.metadata: the id of the topic that a partition belongs to (Kafka's
// PartitionMetadataFile), written when the partition is created and never again.
//
//   version: 0
//   topic_id: 8Vd7Lk0oQ2yqUuGxkYpXsw

import Model

enum PartitionMetadata {
  /// The topic id in the file at `path`, or nil when there is no file.
  static func read(_ path: String, _ device: LogDevice) throws(StorageError) -> UUID128? {
    guard let bytes = try device.contents(path) else { return nil }
    var file = TextFile(bytes, path: path)
    guard file.next() == "version: 0" else { throw file.malformed("it has another version than 0") }
    guard let line = file.next(), line.hasPrefix("topic_id: "),
      let id = UUID128(String(line.dropFirst("topic_id: ".count))), id != .zero
    else { throw file.malformed("there is no topic id") }
    return id
  }

  static func write(_ topicId: UUID128, to path: String, _ device: LogDevice) throws(StorageError) {
    let text = "version: 0\ntopic_id: \(topicId)\n"
    try device.replace(path, with: Array(text.utf8), durable: false)
  }
}
