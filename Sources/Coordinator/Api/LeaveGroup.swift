// LeaveGroup: one member up to version 2, any number after that.

import KafkaProtocol
import Model

enum LeaveGroupApi {
  static func handle(_ request: LeaveGroupRequest, _ context: RequestContext, _ broker: Broker) {
    let error =
      request.groupId.isEmpty
      ? .invalidGroupId
      : broker.groups.availability(
        request.groupId)
    if error != .none {
      broker.replies.answer(LeaveGroupResponse(errorCode: error), to: context.reply)
      return
    }
    let leavers =
      context.version >= 3
      ? request.members.map {
        GroupLeaver(memberId: $0.memberId, instanceId: $0.groupInstanceId)
      } : [GroupLeaver(memberId: request.memberId, instanceId: nil)]
    if broker.groups.on(.leave(leavers, context.reply), group: request.groupId) { return }
    broker.replies.answer(
      response(
        leavers.map {
          LeaveAnswer(memberId: $0.memberId, instanceId: $0.instanceId, error: .unknownMemberId)
        }, version: context.version),
      to: context.reply)
  }

  static func response(_ answers: [LeaveAnswer], version: Int16) -> LeaveGroupResponse {
    guard version >= 3 else {
      return LeaveGroupResponse(errorCode: answers.first?.error ?? .unknownMemberId)
    }
    return LeaveGroupResponse(
      members: answers.map {
        LeaveGroupResponse.MemberResponse(
          memberId: $0.memberId, groupInstanceId: $0.instanceId, errorCode: $0.error)
      })
  }
}
