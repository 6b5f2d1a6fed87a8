// Which APIs and versions this broker serves: what ApiVersions tells and what routing lets through.
// docs/skipped.md lists the rest of Kafka's; a test compares the two.

import KafkaProtocol

enum ServedApis {
  /// In the order of their keys.
  static let keys: [ApiKey] = [
    .produce, .fetch, .listOffsets, .metadata, .offsetCommit, .offsetFetch, .findCoordinator,
    .joinGroup, .heartbeat, .leaveGroup, .syncGroup, .describeGroups, .listGroups, .apiVersions,
    .createTopics, .deleteTopics, .deleteRecords, .initProducerId, .describeConfigs, .alterConfigs,
    .describeLogDirs, .createPartitions, .deleteGroups, .incrementalAlterConfigs, .offsetDelete,
    .describeCluster, .listConfigResources, .describeTopicPartitions,
  ]

  private static let isServed: [Bool] = {
    var table = [Bool](repeating: false, count: Int(keys.map(\.rawValue).max() ?? 0) + 1)
    for key in keys { table[Int(key.rawValue)] = true }
    return table
  }()

  /// Whether a request is served. Produce is told of from version 0 on though versions below 3 are
  /// not served: librdkafka before 2.12 takes a higher minimum for a broker without the features
  /// that it needs to compress (KAFKA-18659).
  static func serves(_ apiKey: ApiKey, version: Int16) -> Bool {
    let key = Int(apiKey.rawValue)
    return key < isServed.count && isServed[key] && apiKey.validVersions.contains(version)
      && toldVersions(apiKey).contains(version)
  }

  /// The versions that ApiVersions tells: those that Kafka 4.1 announces.
  static func toldVersions(_ apiKey: ApiKey) -> ClosedRange<Int16> {
    guard let versions = apiKey.advertisedVersions else {
      preconditionFailure("an API that is served is announced")
    }
    return versions
  }
}
