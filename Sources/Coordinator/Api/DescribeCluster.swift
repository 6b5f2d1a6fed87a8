// DescribeCluster: the one broker, which is its own controller.

import Configuration
import KafkaProtocol
import Model

enum DescribeClusterApi {
  private static let brokers: Int8 = 1
  private static let controllers: Int8 = 2

  static func handle(
    _ request: DescribeClusterRequest, _ context: RequestContext, _ broker: Broker
  ) {
    guard request.endpointType == brokers else {
      let isKnown = request.endpointType == controllers
      broker.replies.answer(
        DescribeClusterResponse(
          errorCode: isKnown ? .mismatchedEndpointType : .unsupportedEndpointType,
          errorMessage: isKnown
            ? "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of "
              + "type CONTROLLER" : "Unsupported endpoint type \(request.endpointType)"),
        to: context.reply)
      return
    }
    let address = broker.advertised(to: context)
    broker.replies.answer(
      DescribeClusterResponse(
        clusterId: broker.clusterId, controllerId: broker.nodeId,
        brokers: [
          DescribeClusterResponse.DescribeClusterBroker(
            brokerId: broker.nodeId, host: address.host, port: address.port,
            rack: broker.configuration.brokerRack)
        ],
        clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
          ? AuthorizedOperations.ofCluster : AuthorizedOperations.omitted),
      to: context.reply)
  }
}
