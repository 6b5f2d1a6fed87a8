// Which APIs and versions this broker serves: what ApiVersions tells and what routing lets through.
// docs/skipped.md lists the rest of Kafka's; a test compares the two.

import KafkaProtocol

enum ServedApis {
  /// In the order of their keys.
  static let keys: [ApiKey] = [
    .produce, .fetch, .listOffsets, .metadata, .offsetCommit, .offsetFetch, .findCoordinator,
    .joinGroup, .heartbeat, .leaveGroup, .syncGroup, .apiVersions, .createTopics, .deleteTopics,
    .initProducerId, .describeConfigs, .createPartitions, .describeCluster,
    .describeTopicPartitions,
  ]

  private static let isServed: [Bool] = {
    var table = [Bool](repeating: false, count: Int(keys.map(\.rawValue).max() ?? 0) + 1)
    for key in keys { table[Int(key.rawValue)] = true }
    return table
  }()

  /// Whether a request is served.
  static func serves(_ apiKey: ApiKey, version: Int16) -> Bool {
    let key = Int(apiKey.rawValue)
    return key < isServed.count && isServed[key] && apiKey.validVersions.contains(version)
  }

  /// The versions that ApiVersions tells. Produce is told from version 0 on though versions below
  /// 3 are not served: librdkafka before 2.12 takes a higher minimum for a broker without the
  /// features that it needs to compress (KAFKA-18659).
  static func toldVersions(_ apiKey: ApiKey) -> ClosedRange<Int16> {
    apiKey == .produce ? 0...apiKey.validVersions.upperBound : apiKey.validVersions
  }
}
