// meta.properties: whose log directory this is (Kafka's MetaProperties).
//
//   #
//   cluster.id=bXVjaCBmdW4gd2l0aCBpZA
//   directory.id=x4mtUD4rTgOeyVrU5yK5qw
//   node.id=1
//   version=1
//
// Version 0 (Kafka with ZooKeeper; also a file without a version) has broker.id instead of node.id and
// may lack any of the ids. Written when the directory is used first, and when an id is added that Kafka
// will want; the version stays, for the Kafka that comes back. A directory of another node or cluster
// is refused, because its partitions are theirs.

import Model

public struct MetaProperties: Equatable, Sendable {
  static let fileName = "meta.properties"

  var version = "1"
  public var clusterId: String?
  public var nodeId: Int32?
  public var directoryId: UUID128?

  static func read(in directory: String, _ device: LogDevice) throws(StorageError)
    -> MetaProperties?
  {
    let path = "\(directory)/\(fileName)"
    guard let bytes = try device.contents(path) else { return nil }
    let file = PropertyFile(bytes)
    let version = file["version"] ?? "0"
    guard version == "0" || version == "1" else {
      throw StorageError("read", path, .format("it has another version than 0 or 1"))
    }
    func number(_ key: String) throws(StorageError) -> Int32? {
      guard let text = file[key] else { return nil }
      guard let value = Int32(text) else {
        throw StorageError("read", path, .format("\(key) is not a number"))
      }
      return value
    }
    let nodeId = try number(version == "0" ? "broker.id" : "node.id")
    if version == "1", nodeId == nil || file["cluster.id"] == nil {
      throw StorageError("read", path, .format("node.id or cluster.id is missing"))
    }
    var directoryId: UUID128?
    if let text = file["directory.id"] {
      guard let id = UUID128(text), id != .zero else {
        throw StorageError("read", path, .format("directory.id is not an id"))
      }
      directoryId = id
    }
    return MetaProperties(
      version: version, clusterId: file["cluster.id"], nodeId: nodeId, directoryId: directoryId)
  }

  func write(in directory: String, _ device: LogDevice) throws(StorageError) {
    let entries: [(key: String, value: String?)] = [
      ("cluster.id", clusterId), ("directory.id", directoryId?.description),
      (version == "0" ? "broker.id" : "node.id", nodeId.map { "\($0)" }), ("version", version),
    ]
    let file = PropertyFile(entries.compactMap { entry in entry.value.map { (entry.key, $0) } })
    try device.replace("\(directory)/\(Self.fileName)", with: file.bytes, durable: true)
  }
}
