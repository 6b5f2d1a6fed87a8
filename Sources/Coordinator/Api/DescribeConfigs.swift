// DescribeConfigs for topics and for this broker: each value with where it comes from.

import Configuration
import KafkaProtocol
import Model

enum DescribeConfigsApi {
  private typealias Resource = DescribeConfigsRequest.DescribeConfigsResource
  private typealias Answer = DescribeConfigsResponse.DescribeConfigsResult
  private typealias Config = DescribeConfigsResponse.DescribeConfigsResourceResult

  private struct ResourceKey: Hashable {
    var type: Int8
    var name: String
    var keys: [String]?
  }

  static func handle(
    _ request: DescribeConfigsRequest, _ context: RequestContext, _ broker: Broker
  ) {
    // A resource that is named again and again is described once.
    var seen: Set<ResourceKey> = []
    let resources = request.resources.filter {
      seen.insert(
        ResourceKey(
          type: $0.resourceType, name: $0.resourceName, keys: $0.configurationKeys)
      ).inserted
    }
    guard resources.count <= ConfigResourceType.countMax else {
      broker.replies.refuse(context.reply, "\(resources.count) resources in one request")
      return
    }
    let results = resources.map { resource in
      do throws(TopicRejection) {
        var answer = Answer(
          errorMessage: nil, resourceType: resource.resourceType,
          resourceName: resource.resourceName)
        // No keys is all keys, like null.
        let keys = resource.configurationKeys.flatMap { $0.isEmpty ? nil : Set($0) }
        answer.configs = try configs(resource, request, broker).filter {
          keys?.contains($0.name) ?? true
        }
        return answer
      } catch {
        return Answer(
          errorCode: error.error, errorMessage: error.message,
          resourceType: resource.resourceType, resourceName: resource.resourceName)
      }
    }
    broker.replies.answer(DescribeConfigsResponse(results: results), to: context.reply)
  }

  private static func configs(
    _ resource: Resource, _ request: DescribeConfigsRequest, _ broker: Broker
  ) throws(TopicRejection) -> [Config] {
    switch resource.resourceType {
    case ConfigResourceType.topic: return try topicConfigs(resource.resourceName, request, broker)
    case ConfigResourceType.broker: return try brokerConfigs(resource.resourceName, request, broker)
    default:
      throw TopicRejection(
        .invalidRequest,
        ConfigResourceType.unserved(resource.resourceType)
          ?? "Unsupported resource type: \(resource.resourceType)")
    }
  }

  private static func topicConfigs(
    _ name: String, _ request: DescribeConfigsRequest, _ broker: Broker
  ) throws(TopicRejection) -> [Config] {
    if let violation = TopicName.violation(of: name) {
      throw TopicRejection(.invalidTopicException, "Topic name is invalid: \(violation)")
    }
    guard let topic = broker.topics.state.topic(name) else {
      throw TopicRejection(
        .unknownTopicOrPartition, "This server does not host this topic-partition.")
    }
    return broker.topics.configs.configuration(topic).resolved.map {
      config($0, readOnly: false, request)
    }
  }

  private static func brokerConfigs(
    _ name: String, _ request: DescribeConfigsRequest, _ broker: Broker
  ) throws(TopicRejection) -> [Config] {
    // An empty name asks for what was set for all brokers at run time.
    if name.isEmpty {
      return broker.configuration.resolvedClusterWide.map {
        config($0, readOnly: false, request)
      }
    }
    guard let id = Int32(name) else {
      throw TopicRejection(
        .invalidRequest, "Broker id must be an integer, but it is: \(name)")
    }
    guard id == broker.nodeId else {
      throw TopicRejection(
        .invalidRequest,
        "Unexpected broker id, expected \(broker.nodeId) or empty string, but received \(name)")
    }
    return broker.configuration.resolved.map {
      config($0, readOnly: $0.key.updateMode == .readOnly, request)
    }
  }

  private static func config(
    _ resolved: ResolvedConfig, readOnly: Bool, _ request: DescribeConfigsRequest
  ) -> Config {
    let key = resolved.key
    return Config(
      name: key.name, value: key.isSensitive ? nil : resolved.value, readOnly: readOnly,
      configSource: resolved.source.rawValue, isSensitive: key.isSensitive,
      synonyms: request.includeSynonyms
        ? resolved.synonyms.map {
          DescribeConfigsResponse.DescribeConfigsSynonym(
            name: $0.name, value: key.isSensitive ? nil : $0.value, source: $0.source.rawValue)
        } : [],
      configType: key.type.rawValue,
      documentation: request.includeDocumentation ? key.documentation : nil)
  }
}
