// meta.properties: whose log directory this is (Kafka's MetaProperties).
//
//   #
//   cluster.id=bXVjaCBmdW4gd2l0aCBpZA
//   directory.id=x4mtUD4rTgOeyVrU5yK5qw
//   node.id=1
//   version=1
//
// Version 0 (Kafka with ZooKeeper) has broker.id instead of node.id and may lack the cluster's id.
// Written when the directory is used first. A directory of another node is refused, because its
// partitions are that node's.

import Model

public struct MetaProperties: Equatable, Sendable {
  static let fileName = "meta.properties"

  public var clusterId: String?
  public var nodeId: Int32?
  public var directoryId: UUID128?

  static func read(in directory: String, _ device: LogDevice) throws(StorageError)
    -> MetaProperties?
  {
    let path = "\(directory)/\(fileName)"
    guard let bytes = try device.contents(path) else { return nil }
    let file = PropertyFile(bytes)
    guard let version = file["version"], version == "0" || version == "1" else {
      throw StorageError("read", path, .format("it has no version 0 or 1"))
    }
    func number(_ key: String) throws(StorageError) -> Int32? {
      guard let text = file[key] else { return nil }
      guard let value = Int32(text) else {
        throw StorageError("read", path, .format("\(key) is not a number"))
      }
      return value
    }
    var nodeId = try number("node.id")
    if nodeId == nil { nodeId = try number("broker.id") }
    if version == "1", nodeId == nil || file["cluster.id"] == nil {
      throw StorageError("read", path, .format("node.id or cluster.id is missing"))
    }
    return MetaProperties(
      clusterId: file["cluster.id"], nodeId: nodeId,
      directoryId: file["directory.id"].flatMap { UUID128($0) })
  }

  func write(in directory: String, _ device: LogDevice) throws(StorageError) {
    let entries: [(key: String, value: String?)] = [
      ("cluster.id", clusterId), ("directory.id", directoryId?.description),
      ("node.id", nodeId.map { "\($0)" }), ("version", "1"),
    ]
    let file = PropertyFile(entries.compactMap { entry in entry.value.map { (entry.key, $0) } })
    try device.replace("\(directory)/\(Self.fileName)", with: file.bytes, durable: true)
  }
}
