// ListConfigResources (KIP-1142): the names of everything that DescribeConfigs can be asked for.
// Version 0 knows client metrics only, of which there are none.

import KafkaProtocol
import Model

enum ListConfigResourcesApi {
  private typealias Resource = ListConfigResourcesResponse.ConfigResource

  static func handle(
    _ request: ListConfigResourcesRequest, _ context: RequestContext, _ broker: Broker
  ) {
    let known =
      context.version == 0
      ? [ConfigResourceType.clientMetrics]
      : [
        ConfigResourceType.topic, ConfigResourceType.broker, ConfigResourceType.brokerLogger,
        ConfigResourceType.clientMetrics, ConfigResourceType.group,
      ]
    let wantsAll = context.version == 0 || request.resourceTypes.isEmpty
    let wanted = wantsAll ? known : request.resourceTypes
    guard wanted.allSatisfy(known.contains) else {
      broker.replies.answer(
        ListConfigResourcesResponse(errorCode: .unsupportedVersion), to: context.reply)
      return
    }
    let resources = known.filter(wanted.contains).flatMap { type -> [Resource] in
      switch type {
      case ConfigResourceType.topic:
        broker.topics.state.topicsInOrder.map {
          Resource(resourceName: $0.name, resourceType: type)
        }
      case ConfigResourceType.broker:
        [Resource(resourceName: "\(broker.nodeId)", resourceType: type)]
      default: []
      }
    }
    broker.replies.answer(
      ListConfigResourcesResponse(configResources: resources), to: context.reply)
  }
}
