// DescribeConfigs for topics and for this broker: each value with where it comes from.

import Configuration
import KafkaProtocol
import Model

enum DescribeConfigsApi {
  private typealias Resource = DescribeConfigsRequest.DescribeConfigsResource
  private typealias Answer = DescribeConfigsResponse.DescribeConfigsResult
  private typealias Config = DescribeConfigsResponse.DescribeConfigsResourceResult

  /// Kafka's ConfigResource.Type.
  private static let topicType: Int8 = 2
  private static let brokerType: Int8 = 4
  private static let brokerLoggerType: Int8 = 8

  /// Resources in one request: every topic that there can reasonably be.
  private static let resourcesMax = 20_000

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
    guard resources.count <= resourcesMax else {
      broker.replies.refuse(context.reply, "\(resources.count) resources in one request")
      return
    }
    let results = resources.map { resource in
      do throws(TopicRejection) {
        var answer = Answer(
          errorMessage: nil, resourceType: resource.resourceType,
          resourceName: resource.resourceName)
        let keys = resource.configurationKeys.map { Set($0) }
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
    case topicType: return try topicConfigs(resource.resourceName, request, broker)
    case brokerType: return try brokerConfigs(resource.resourceName, request, broker)
    case brokerLoggerType:
      throw TopicRejection(.invalidRequest, "Loggers of a broker are not served.")
    default:
      throw TopicRejection(
        .invalidRequest, "Unsupported resource type: \(resource.resourceType)")
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
    return broker.topics.configs.configuration(topic).resolved.map { resolved in
      config(
        resolved.key, value: resolved.value, source: resolved.source, readOnly: false,
        synonyms: resolved.synonyms, request)
    }
  }

  private static func brokerConfigs(
    _ name: String, _ request: DescribeConfigsRequest, _ broker: Broker
  ) throws(TopicRejection) -> [Config] {
    // An empty name asks for what was set for all brokers at run time: nothing can be, so far.
    if name.isEmpty { return [] }
    guard let id = Int32(name) else {
      throw TopicRejection(
        .invalidRequest, "Broker id must be an integer, but it is: \(name)")
    }
    guard id == broker.nodeId else {
      throw TopicRejection(
        .invalidRequest,
        "Unexpected broker id, expected \(broker.nodeId) or empty string, but received \(name)")
    }
    let configuration = broker.configuration
    return BrokerKeys.all.map { key in
      let set = configuration.setValue(of: key.name)
      var synonyms: [ConfigSynonym] = []
      if let set {
        synonyms.append(
          ConfigSynonym(name: key.name, value: set.text, source: .staticBrokerConfig))
      }
      if let text = key.defaultText {
        synonyms.append(ConfigSynonym(name: key.name, value: text, source: .defaultConfig))
      }
      return config(
        key, value: configuration.text(of: key.name),
        source: set == nil ? .defaultConfig : .staticBrokerConfig, readOnly: true,
        synonyms: synonyms, request)
    }
  }

  private static func config(
    _ key: ConfigurationKey, value: String?, source: ConfigSource, readOnly: Bool,
    synonyms: [ConfigSynonym], _ request: DescribeConfigsRequest
  ) -> Config {
    Config(
      name: key.name, value: key.isSensitive ? nil : value, readOnly: readOnly,
      configSource: source.rawValue, isSensitive: key.isSensitive,
      synonyms: request.includeSynonyms
        ? synonyms.map {
          DescribeConfigsResponse.DescribeConfigsSynonym(
            name: $0.name, value: key.isSensitive ? nil : $0.value, source: $0.source.rawValue)
        } : [],
      configType: key.type.rawValue,
      documentation: request.includeDocumentation ? key.documentation : nil)
  }
}
