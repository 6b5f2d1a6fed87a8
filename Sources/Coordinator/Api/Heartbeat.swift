// Heartbeat. While groups are being loaded every heartbeat is taken, as in Kafka: members stay.

import KafkaProtocol
import Model

enum HeartbeatApi {
  static func handle(_ request: HeartbeatRequest, _ context: RequestContext, _ broker: Broker) {
    var error =
      request.groupId.isEmpty
      ? .invalidGroupId
      : broker.groups.availability(
        request.groupId)
    if error == .none {
      let heartbeat = GroupHeartbeat(
        memberId: request.memberId, instanceId: request.groupInstanceId,
        generationId: request.generationId)
      if broker.groups.on(.heartbeat(heartbeat, context.reply), group: request.groupId) { return }
      error = .unknownMemberId
    } else if error == .coordinatorLoadInProgress {
      error = .none
    }
    broker.replies.answer(response(error), to: context.reply)
  }

  static func response(_ error: ErrorCode) -> HeartbeatResponse {
    HeartbeatResponse(errorCode: error)
  }
}
