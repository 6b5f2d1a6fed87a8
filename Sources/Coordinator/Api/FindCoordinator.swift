// FindCoordinator: this broker coordinates every group. The first question creates the offsets
// topic. Transactions and share groups are not served.

import KafkaProtocol
import Model

enum FindCoordinatorApi {
  private static let group: Int8 = 0
  private static let transaction: Int8 = 1

  static func handle(
    _ request: FindCoordinatorRequest, _ context: RequestContext, _ broker: Broker
  ) {
    let keys = context.version >= 4 ? request.coordinatorKeys : [request.key]
    guard request.keyType == group else {
      // INVALID_REQUEST is what Kafka answers with share groups switched off and for types that it
      // does not know; a transactional producer has to be told for good, not to try again.
      let error: ErrorCode =
        request.keyType == transaction ? .unsupportedVersion : .invalidRequest
      let message =
        request.keyType == transaction ? "Transactions are not served." : "Not a group."
      return answer(keys, error, message, context, broker)
    }
    if broker.groups.topicId != nil || keys.isEmpty {
      return answer(keys, .none, nil, context, broker)
    }
    if broker.topics.state.topic(GroupCoordinator.topicName) != nil {
      // It is being created for someone else.
      return answer(keys, .coordinatorNotAvailable, nil, context, broker)
    }
    TopicCreation.createAutomatically([GroupCoordinator.topicName], broker) { errors in
      let isThere = errors.isEmpty && broker.groups.topicId != nil
      answer(keys, isThere ? .none : .coordinatorNotAvailable, nil, context, broker)
    }
  }

  private static func answer(
    _ keys: [String], _ error: ErrorCode, _ message: String?, _ context: RequestContext,
    _ broker: Broker
  ) {
    let address = error == .none ? broker.advertised(to: context) : ("", -1)
    let nodeId = error == .none ? broker.nodeId : -1
    var response = FindCoordinatorResponse()
    if context.version >= 4 {
      response.coordinators = keys.map {
        FindCoordinatorResponse.Coordinator(
          key: $0, nodeId: nodeId, host: address.0, port: address.1, errorCode: error,
          errorMessage: message ?? "")
      }
    } else {
      response.errorCode = error
      response.errorMessage = message ?? (error == .none ? "NONE" : "")
      response.nodeId = nodeId
      response.host = address.0
      response.port = address.1
    }
    broker.replies.answer(response, to: context.reply)
  }
}
