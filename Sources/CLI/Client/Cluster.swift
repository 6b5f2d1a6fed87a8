// The cluster behind a bootstrap address: who leads which partition, and a connection to each broker.

import Glibc
import KafkaProtocol
import Linux
import Model

final class Cluster {
  private let bootstrap: [String]
  private let interruption: Interruption?
  private var connections: [String: BrokerConnection] = [:]
  private var addressByNode: [Int32: String] = [:]

  /// How long something that was just created, or a broker that starts, may take.
  static let patienceMs = 5_000
  private static let pauseMs = 100
  /// How many pauses to give a broker that may be creating a topic which it says is unknown.
  private static let creationPauses = 5

  /// - Parameters:
  ///   - bootstrap: `HOST:PORT`, several separated by commas; the first that answers is used.
  ///   - interruption: ends waiting for a broker soon after Ctrl-C.
  init(bootstrap: String, interruption: Interruption? = nil) {
    self.bootstrap = bootstrap.split(separator: ",", omittingEmptySubsequences: false)
      .map { $0.filter { $0 != " " } }
    self.interruption = interruption
  }

  /// Any broker.
  func any() throws(ClientError) -> BrokerConnection {
    var failures: [ClientError] = []
    for address in bootstrap {
      do { return try connection(address) } catch {
        if case .badAddress = error { throw error }
        failures.append(error)
      }
    }
    guard let last = failures.last else { throw .badAddress("") }
    if failures.count > 1 {
      for failure in failures.dropLast() { StandardError.line("sluice: \(failure)") }
    }
    throw last
  }

  func broker(node: Int32) throws(ClientError) -> BrokerConnection {
    guard let address = addressByNode[node] else {
      throw .refused(.leaderNotAvailable, about: "broker \(node)", message: nil)
    }
    return try connection(address)
  }

  /// Drops every connection: the next request makes new ones.
  func reset() { connections.removeAll() }

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
  /// - Parameter needsLeaders: waits for a leader of every partition, and refuses without.
  func topic(_ name: String, create: Bool = false, needsLeaders: Bool = true) throws(ClientError)
    -> MetadataResponse.MetadataResponseTopic
  {
    var patience = Self.creationPauses
    return try patiently { () throws(ClientError) in
      let response = try metadata([name], create: create)
      guard let topic = response.topics.first else {
        throw .refused(.unknownTopicOrPartition, about: name, message: nil)
      }
      // Kafka creates the topic, but may not know it in the answer that asked for it, nor in the next.
      if create, patience > 0, topic.errorCode == .unknownTopicOrPartition {
        patience -= 1
        throw .refused(.leaderNotAvailable, about: name, message: nil)
      }
      try topic.errorCode.require(
        name,
        create && topic.errorCode == .unknownTopicOrPartition
          ? "there is no such topic and the broker creates none by itself; "
            + "create it with 'sluice topics create \(name)'" : nil)
      if needsLeaders, topic.partitions.contains(where: { $0.leaderId < 0 }) {
        throw .refused(.leaderNotAvailable, about: name, message: nil)
      }
      return topic
    }
  }

  /// The broker that coordinates a consumer group.
  func coordinator(ofGroup group: String) throws(ClientError) -> BrokerConnection {
    try patiently { () throws(ClientError) in
      let found = try any().request(FindCoordinatorRequest(key: group), highest: 3)
      try found.errorCode.require("group \(group)", found.errorMessage)
      return try connection(Self.address(found.host, found.port))
    }
  }

  /// Repeats `body` while the broker asks to try again.
  func patiently<R>(_ body: () throws(ClientError) -> R) throws(ClientError) -> R {
    let deadline = Clock.monotonicNs() + UInt64(Self.patienceMs) * 1_000_000
    while true {
      do { return try body() } catch {
        guard error.code?.isTransient == true, Clock.monotonicNs() < deadline else { throw error }
        if interruption?.isRequested == true { throw .interrupted }
        Clock.sleep(microseconds: Self.pauseMs * 1_000)
      }
    }
  }

  private static func address(_ host: String, _ port: Int32) -> String {
    host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }

  private func connection(_ address: String) throws(ClientError) -> BrokerConnection {
    if let known = connections[address] { return known }
    let made = try BrokerConnection(address, interruption)
    connections[address] = made
    return made
  }
}
