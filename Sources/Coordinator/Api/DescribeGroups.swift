// DescribeGroups: state, protocol and members of classic groups.

import KafkaProtocol
import Model

enum DescribeGroupsApi {
  private typealias Answer = DescribeGroupsResponse.DescribedGroup

  static func handle(
    _ request: DescribeGroupsRequest, _ context: RequestContext, _ broker: Broker
  ) {
    // A group that is named again and again is described once.
    var seen: Set<String> = []
    let groups = request.groups.filter { seen.insert($0).inserted }.map { id in
      var answer = describe(id, context, broker)
      if request.includeAuthorizedOperations, answer.errorCode == .none {
        answer.authorizedOperations = AuthorizedOperations.ofGroup
      }
      return answer
    }
    broker.replies.answer(DescribeGroupsResponse(groups: groups), to: context.reply)
  }

  private static func describe(
    _ id: String, _ context: RequestContext, _ broker: Broker
  ) -> Answer {
    let error = broker.groups.availability(id)
    if error != .none { return Answer(errorCode: error, groupId: id) }
    guard let group = broker.groups.session(id) else {
      if broker.groups.committed(id) != nil {
        return Answer(groupId: id, groupState: GroupPhase.empty.rawValue)
      }
      // Older clients know a group that is not there as a dead one.
      var answer = Answer(groupId: id, groupState: GroupPhase.dead.rawValue)
      if context.version >= 6 {
        answer.errorCode = .groupIdNotFound
        answer.errorMessage = "Group \(id) not found."
      }
      return answer
    }
    let isStable = group.phase == .stable
    return Answer(
      groupId: id, groupState: group.phase.rawValue, protocolType: group.protocolType ?? "",
      protocolData: isStable ? group.protocolName ?? "" : "",
      members: group.membersInOrder.map { member in
        DescribeGroupsResponse.DescribedGroupMember(
          memberId: member.id, groupInstanceId: member.instanceId, clientId: member.clientId,
          clientHost: member.clientHost,
          memberMetadata: isStable ? member.metadata(for: group.protocolName ?? "") : [],
          memberAssignment: isStable ? member.assignment : [])
      })
  }
}
