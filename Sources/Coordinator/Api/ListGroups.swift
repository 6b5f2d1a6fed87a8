// ListGroups: every group, filtered by state and type.

import KafkaProtocol
import Model

enum ListGroupsApi {
  private static let type = "classic"

  static func handle(_ request: ListGroupsRequest, _ context: RequestContext, _ broker: Broker) {
    let states = Set(request.statesFilter.map { $0.lowercased() })
    let types = Set(request.typesFilter.map { $0.lowercased() })
    var groups: [ListGroupsResponse.ListedGroup] = []
    if types.isEmpty || types.contains(type) {
      for id in broker.groups.ids {
        let session = broker.groups.session(id)
        let state = (session?.phase ?? .empty).rawValue
        guard states.isEmpty || states.contains(state.lowercased()) else { continue }
        groups.append(
          ListGroupsResponse.ListedGroup(
            groupId: id, protocolType: session?.protocolType ?? "", groupState: state,
            groupType: type))
      }
    }
    broker.replies.answer(
      ListGroupsResponse(
        errorCode: broker.groups.isLoading ? .coordinatorLoadInProgress : .none, groups: groups),
      to: context.reply)
  }
}
