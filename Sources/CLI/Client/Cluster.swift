// The cluster behind a bootstrap address: who leads which partition, and a connection to each broker.

import KafkaProtocol
import Model

final class Cluster {
  private let bootstrap: String
  private var connections: [String: BrokerConnection] = [:]
  private var addressByNode: [Int32: String] = [:]

  /// - Parameter bootstrap: `HOST:PORT`, several separated by commas; the first that answers is used.
  init(bootstrap: String) { self.bootstrap = bootstrap }

  /// Any broker.
  func any() throws(ClientError) -> BrokerConnection {
    var last = ClientError.badAddress(bootstrap)
    for address in bootstrap.split(separator: ",") {
      do { return try connection(String(address)) } catch { last = error }
    }
    throw last
  }

  func broker(node: Int32) throws(ClientError) -> BrokerConnection {
    guard let address = addressByNode[node] else {
      throw .refused(.leaderNotAvailable, about: "broker \(node)", message: nil)
    }
    return try connection(address)
  }

  /// The brokers and `topics`, or all topics for nil.
  func metadata(_ topics: [String]?, create: Bool = false) throws(ClientError) -> MetadataResponse {
    let response = try any().request(
      MetadataRequest(
        topics: topics.map { $0.map { .init(name: $0) } }, allowAutoTopicCreation: create))
    for broker in response.brokers {
      addressByNode[broker.nodeId] = Self.address(broker.host, broker.port)
    }
    return response
  }

  /// One topic that can be used; created if `create` and the broker allows it.
  func topic(_ name: String, create: Bool = false) throws(ClientError)
    -> MetadataResponse.MetadataResponseTopic
  {
    let response = try metadata([name], create: create)
    guard let topic = response.topics.first else {
      throw .refused(.unknownTopicOrPartition, about: name, message: nil)
    }
    try topic.errorCode.require(name)
    return topic
  }

  /// The broker that coordinates a consumer group.
  func coordinator(ofGroup group: String) throws(ClientError) -> BrokerConnection {
    let found = try any().request(
      FindCoordinatorRequest(key: group, keyType: 0), highest: 3)
    try found.errorCode.require("group \(group)", found.errorMessage)
    return try connection(Self.address(found.host, found.port))
  }

  private static func address(_ host: String, _ port: Int32) -> String {
    host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }

  private func connection(_ address: String) throws(ClientError) -> BrokerConnection {
    if let known = connections[address] { return known }
    let made = try BrokerConnection(address)
    connections[address] = made
    return made
  }
}
