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
      let host = broker.host.contains(":") ? "[\(broker.host)]" : broker.host
      addressByNode[broker.nodeId] = "\(host):\(broker.port)"
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
      FindCoordinatorRequest(key: group, keyType: 0, coordinatorKeys: [group]), highest: 4)
    guard let coordinator = found.coordinators.first else {
      throw .refused(.coordinatorNotAvailable, about: "group \(group)", message: nil)
    }
    try coordinator.errorCode.require("group \(group)", coordinator.errorMessage)
    return try connection("\(coordinator.host):\(coordinator.port)")
  }

  private func connection(_ address: String) throws(ClientError) -> BrokerConnection {
    if let known = connections[address] { return known }
    let made = try BrokerConnection(address)
    connections[address] = made
    return made
  }
}
