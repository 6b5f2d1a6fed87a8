// SyncGroup: the leader hands in the assignment, everyone gets its own part.

import KafkaProtocol
import Model

enum SyncGroupApi {
  static func handle(_ request: SyncGroupRequest, _ context: RequestContext, _ broker: Broker) {
    var error =
      request.groupId.isEmpty
      ? .invalidGroupId
      : broker.groups.availability(
        request.groupId)
    // From version 5 on the protocol is not optional.
    if error == .none, context.version >= 5,
      request.protocolType == nil || request.protocolName == nil
    {
      error = .inconsistentGroupProtocol
    }
    if error == .none {
      let assignments = request.assignments.map { ($0.memberId, $0.assignment) }
      let sync = GroupSync(
        memberId: request.memberId, instanceId: request.groupInstanceId,
        generationId: request.generationId, protocolType: request.protocolType,
        protocolName: request.protocolName,
        assignments: Dictionary(assignments) { $1 })
      if broker.groups.on(.sync(sync, context.reply), group: request.groupId) { return }
      error = .unknownMemberId
    } else if error == .coordinatorLoadInProgress {
      // The generation that this belongs to may be what is being loaded; joining again finds out.
      error = .rebalanceInProgress
    }
    broker.replies.answer(response(SyncAnswer(error: error)), to: context.reply)
  }

  static func response(_ answer: SyncAnswer) -> SyncGroupResponse {
    SyncGroupResponse(
      errorCode: answer.error, protocolType: answer.protocolType,
      protocolName: answer.protocolName, assignment: answer.assignment)
  }
}
