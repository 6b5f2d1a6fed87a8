// What can happen to the metadata. A record is at once a change of nodes in the store and a change
// of the state in memory; at start-up the nodes are turned into the records that made them.
//
//   /cluster            the cluster id as text, once it is known
//   /producer-ids       the first producer id that was never given away, i64
//   /brokers/<id>       ephemeral: this broker is up
//   /configs/<id>       what was set for a broker at run time, `default` for all: format u8, configs
//   /topics/<name>      a topic: format u8, id, leader epochs, configs, partitions whose creation
//                       is not confirmed (not in format 1: all of them are)
//   /deletions/<id>     a topic whose logs are still to be deleted: name, partition count u32
//   /deleted/<id>       an id whose logs were deleted, so that a copy that turns up again (a disk
//                       that was away) is not taken for a topic to adopt

import IPC
import Linux
import Model

enum MetadataRecord: Equatable {
  case clusterId(String)
  /// Producer ids below `next` are given away or about to be.
  case producerIdsReserved(next: Int64)
  /// A topic that is new or has changed, whole.
  case topic(Topic)
  case topicDeleted(DeletedTopic)
  /// The logs of a deleted topic are gone.
  case deletionFinished(UUID128)
  case brokerUp(Int32)
  /// All that is set at run time for a broker, nil: for all of them. Nothing drops the node.
  case brokerConfigs(Int32?, [String: String])

  static let clusterPath = "/cluster"
  static let producerIdsPath = "/producer-ids"
  static let topicsPath = "/topics"
  static let deletionsPath = "/deletions"
  static let deletedPath = "/deleted"
  static let brokersPath = "/brokers"
  static let configsPath = "/configs"

  static func configsPath(_ broker: Int32?) -> NodePath {
    "\(configsPath)/\(broker.map { "\($0)" } ?? "default")"
  }

  static func topicPath(_ name: String) -> NodePath { "\(topicsPath)/\(name)" }
  static func deletionPath(_ id: UUID128) -> NodePath { "\(deletionsPath)/\(id)" }
  static func deletedPath(_ id: UUID128) -> NodePath { "\(deletedPath)/\(id)" }

  /// The changes of nodes that this record is.
  /// - Parameter version: the version of a node that is known to exist.
  func changes(_ version: (NodePath) -> Int64?) -> [NodeChange] {
    func put(_ path: NodePath, _ value: [UInt8]) -> NodeChange {
      if let version = version(path) { return .set(path, value, version: version) }
      return .create(path, value)
    }
    func drop(_ path: NodePath) -> NodeChange { .delete(path, version: version(path) ?? -1) }
    switch self {
    case .clusterId(let id): return [put(Self.clusterPath, Array(id.utf8))]
    case .producerIdsReserved(let next):
      return [put(Self.producerIdsPath, NodeValue.encode(next))]
    case .topic(let topic): return [put(Self.topicPath(topic.name), NodeValue.encode(topic))]
    case .topicDeleted(let topic):
      return [
        drop(Self.topicPath(topic.name)),
        .create(Self.deletionPath(topic.id), NodeValue.encode(topic)),
      ]
    case .deletionFinished(let id):
      return [drop(Self.deletionPath(id)), .create(Self.deletedPath(id), [])]
    case .brokerConfigs(let broker, let configs):
      let path = Self.configsPath(broker)
      if !configs.isEmpty { return [put(path, NodeValue.encode(configs))] }
      return version(path) == nil ? [] : [drop(path)]
    case .brokerUp(let id): return [.createEphemeral("\(Self.brokersPath)/\(id)", [])]
    }
  }
}

/// The bytes in nodes, little-endian as all that stays among ourselves. A value that cannot be read
/// means a damaged store: the coordinator does not start on it.
enum NodeValue {
  private static let topicFormat: UInt8 = 2
  private static let topicFormatWithoutCreation: UInt8 = 1
  private static let configsFormat: UInt8 = 1

  static func encode(_ number: Int64) -> [UInt8] {
    var writer = MessageWriter()
    writer.put(number)
    return writer.bytes
  }

  static func encode(_ topic: Topic) -> [UInt8] {
    var writer = MessageWriter()
    writer.put(topicFormat)
    writer.put(topic.id)
    writer.put(list: topic.leaderEpochs) { epoch, writer in writer.put(epoch) }
    put(topic.configs, to: &writer)
    writer.put(list: topic.unconfirmed.sorted()) { index, writer in writer.put(UInt32(index)) }
    return writer.bytes
  }

  static func encode(_ configs: [String: String]) -> [UInt8] {
    var writer = MessageWriter()
    writer.put(configsFormat)
    put(configs, to: &writer)
    return writer.bytes
  }

  private static func put(_ configs: [String: String], to writer: inout MessageWriter) {
    writer.put(list: configs.sorted { $0.key < $1.key }) { config, writer in
      writer.put(config.key)
      writer.put(bytes: Array(config.value.utf8))
    }
  }

  private static func configs(
    _ reader: inout MessageReader
  ) throws(MessageError) -> [String: String] {
    let configs = try reader.list(minimumSize: 6) { reader throws(MessageError) in
      (key: try reader.string(), value: String(decoding: try reader.byteString(), as: UTF8.self))
    }
    return Dictionary(configs.map { ($0.key, $0.value) }) { $1 }
  }

  static func encode(_ topic: DeletedTopic) -> [UInt8] {
    var writer = MessageWriter()
    writer.put(topic.name)
    writer.put(UInt32(topic.partitionCount))
    return writer.bytes
  }

  static func number(_ node: StoredNode) throws(StoreError) -> Int64 {
    try decode(node) { reader throws(MessageError) in try reader.integer() }
  }

  static func topic(_ node: StoredNode) throws(StoreError) -> Topic {
    try decode(node) { reader throws(MessageError) in
      let format = try reader.integer(UInt8.self)
      guard format == topicFormat || format == topicFormatWithoutCreation else {
        throw MessageError("a format that this version does not know")
      }
      let id = try reader.uuid()
      let epochs = try reader.list(minimumSize: 4) { reader throws(MessageError) in
        try reader.integer(Int32.self)
      }
      var topic = Topic(
        name: NodePaths.name(of: node.path), id: id, leaderEpochs: epochs,
        configs: try configs(&reader))
      if format == topicFormatWithoutCreation { return topic }
      let unconfirmed = try reader.list(minimumSize: 4) { reader throws(MessageError) in
        Int(try reader.integer(UInt32.self))
      }
      guard unconfirmed.allSatisfy({ $0 < topic.partitionCount }) else {
        throw MessageError("a partition that the topic does not have")
      }
      topic.unconfirmed = Set(unconfirmed)
      return topic
    }
  }

  /// The record that set what a broker has.
  static func brokerConfigs(_ node: StoredNode) throws(StoreError) -> MetadataRecord {
    try decode(node) { reader throws(MessageError) in
      guard try reader.integer(UInt8.self) == configsFormat else {
        throw MessageError("a format that this version does not know")
      }
      let name = NodePaths.name(of: node.path)
      let broker = Int32(name)
      guard broker != nil || name == "default" else {
        throw MessageError("its name is not a broker id")
      }
      return .brokerConfigs(broker, try configs(&reader))
    }
  }

  static func deletedTopic(_ node: StoredNode) throws(StoreError) -> DeletedTopic {
    try decode(node) { reader throws(MessageError) in
      guard let id = UUID128(NodePaths.name(of: node.path)) else {
        throw MessageError("its name is not a topic id")
      }
      return DeletedTopic(
        id: id, name: try reader.string(),
        partitionCount: Int(try reader.integer(UInt32.self)))
    }
  }

  private static func decode<Value>(
    _ node: StoredNode, _ body: (inout MessageReader) throws(MessageError) -> Value
  ) throws(StoreError) -> Value {
    let result: Result<Value, MessageError> = node.value.withUnsafeBytes { bytes in
      do throws(MessageError) {
        var reader = MessageReader(bytes)
        let value = try body(&reader)
        try reader.end()
        return .success(value)
      } catch { return .failure(error) }
    }
    switch result {
    case .success(let value): return value
    case .failure(let error):
      throw .unavailable(operation: "read \(node.path)", reason: error.rule)
    }
  }
}
