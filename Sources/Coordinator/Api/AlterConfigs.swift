// AlterConfigs, which replaces all settings of a resource, and IncrementalAlterConfigs, which changes
// some (KIP-339). Each resource succeeds or fails by itself; those that succeed are recorded in one
// transaction, in force when the answer goes out. The words of refusals are Kafka's.

import Configuration
import KafkaProtocol
import Logging
import Model
import Service

/// Kafka's ConfigResource.Type.
enum ConfigResourceType {
  static let topic: Int8 = 2
  static let broker: Int8 = 4
  static let brokerLogger: Int8 = 8
  static let clientMetrics: Int8 = 16
  static let group: Int8 = 32

  /// Resources in one request: every topic that there can reasonably be.
  static let countMax = 20_000

  /// Why a kind of resource that Kafka knows is not served, or nil.
  static func unserved(_ type: Int8) -> String? {
    switch type {
    case brokerLogger: "Loggers of a broker are not served."
    case clientMetrics: "Client metrics are not served."
    case group: "Configs of groups are not served: they are of groups of the consumer protocol."
    default: nil
    }
  }
}

/// What a request says of one resource.
private struct AlteredResourceRequest {
  var type: Int8
  var name: String
  var configNames: [String]
  /// Names without the value that they need.
  var nullNames: [String]
  /// Throws for an operation that nobody knows.
  var change: () throws(ConfigRefusal) -> ConfigChange
}

private struct ResourceId: Hashable {
  var type: Int8
  var name: String

  init(_ resource: AlteredResourceRequest) {
    type = resource.type
    name = resource.name
  }
}

enum IncrementalAlterConfigsApi {
  static func handle(
    _ request: IncrementalAlterConfigsRequest, _ context: RequestContext, _ broker: Broker
  ) {
    let resources = request.resources.map { resource in
      AlteredResourceRequest(
        type: resource.resourceType, name: resource.resourceName,
        configNames: resource.configs.map(\.name),
        nullNames: resource.configs.filter {
          $0.value == nil && $0.configOperation != ConfigOperation.delete.rawValue
        }.map(\.name),
        change: { () throws(ConfigRefusal) in
          var alterations: [ConfigAlteration] = []
          for config in resource.configs {
            guard let operation = ConfigOperation(rawValue: config.configOperation) else {
              throw ConfigRefusal(
                .invalidRequest, "Unknown operations type \(config.configOperation)")
            }
            alterations.append(
              ConfigAlteration(name: config.name, operation: operation, value: config.value))
          }
          return .alter(alterations)
        })
    }
    ConfigAlterer.alter(resources, request.validateOnly, context, broker) { refusals in
      IncrementalAlterConfigsResponse(
        responses: zip(request.resources, refusals).map { resource, refusal in
          .init(
            errorCode: refusal?.error ?? .none, errorMessage: refusal?.message,
            resourceType: resource.resourceType, resourceName: resource.resourceName)
        })
    }
  }
}

enum AlterConfigsApi {
  static func handle(_ request: AlterConfigsRequest, _ context: RequestContext, _ broker: Broker) {
    let resources = request.resources.map { resource in
      AlteredResourceRequest(
        type: resource.resourceType, name: resource.resourceName,
        configNames: resource.configs.map(\.name),
        nullNames: resource.configs.filter { $0.value == nil }.map(\.name),
        change: {
          .replace(Dictionary(resource.configs.map { ($0.name, $0.value ?? "") }) { $1 })
        })
    }
    ConfigAlterer.alter(resources, request.validateOnly, context, broker) { refusals in
      AlterConfigsResponse(
        responses: zip(request.resources, refusals).map { resource, refusal in
          .init(
            errorCode: refusal?.error ?? .none, errorMessage: refusal?.message,
            resourceType: resource.resourceType, resourceName: resource.resourceName)
        })
    }
  }
}

private enum ConfigAlterer {
  /// - Parameter response: from what is wrong with each resource, nil for nothing.
  static func alter(
    _ resources: [AlteredResourceRequest], _ isOnlyValidated: Bool, _ context: RequestContext,
    _ broker: Broker, response: ([ConfigRefusal?]) -> some WireResponse
  ) {
    guard resources.count <= ConfigResourceType.countMax else {
      broker.replies.refuse(context.reply, "\(resources.count) resources in one request")
      return
    }
    var counts: [ResourceId: Int] = [:]
    for resource in resources { counts[ResourceId(resource), default: 0] += 1 }
    var changes = ConfigChanges(broker)
    var refusals = resources.map { resource -> ConfigRefusal? in
      do throws(ConfigRefusal) {
        if counts[ResourceId(resource)] != 1 {
          throw ConfigRefusal(.invalidRequest, "Each resource must appear at most once.")
        }
        try check(resource, &changes)
        return nil
      } catch { return error }
    }
    if !isOnlyValidated, let error = record(changes, context, broker) {
      broker.log.event(.metadataRefused, "configurations cannot be recorded: \(error)")
      refusals = refusals.map {
        $0 ?? ConfigRefusal(.unknownServerError, "The metadata store failed.")
      }
    }
    broker.replies.answer(response(refusals), to: context.reply)
  }

  private static func check(
    _ resource: AlteredResourceRequest, _ changes: inout ConfigChanges
  ) throws(ConfigRefusal) {
    guard Set(resource.configNames).count == resource.configNames.count else {
      throw ConfigRefusal(.invalidRequest, "Error due to duplicate config keys")
    }
    guard resource.nullNames.isEmpty else {
      let names = resource.nullNames.joined(separator: ", ")
      throw ConfigRefusal(.invalidRequest, "Null value not supported for : \(names)")
    }
    switch resource.type {
    case ConfigResourceType.topic:
      try changes.alter(topic: resource.name, try resource.change())
    case ConfigResourceType.broker:
      try changes.alter(broker: resource.name, try resource.change())
    default:
      throw ConfigRefusal(
        .invalidRequest,
        ConfigResourceType.unserved(resource.type) ?? "Unknown resource type \(resource.type)")
    }
  }

  private static func record(
    _ changes: ConfigChanges, _ context: RequestContext, _ broker: Broker
  ) -> StoreError? {
    if changes.topics.isEmpty && !changes.changesBroker { return nil }
    var failure: StoreError?
    broker.topics.configure(changes.topics, with: changes.brokerRecords) { failure = $0 }
    if failure == nil {
      if changes.changesBroker { broker.dynamicConfigsChanged() }
      broker.log.event(
        .configsChanged, "configurations changed",
        metadata: [
          "topics": "\(changes.topics.prefix(10).map(\.name).joined(separator: ","))",
          "broker": "\(changes.changesBroker)", "peer": "\(context.peer)",
        ])
    }
    return failure
  }
}
