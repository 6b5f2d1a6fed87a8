// DeleteGroups: takes back all that the log has of groups without members.

import KafkaProtocol
import Model

enum DeleteGroupsApi {
  static func handle(_ request: DeleteGroupsRequest, _ context: RequestContext, _ broker: Broker) {
    let names = request.groupsNames
    var errors: [String: ErrorCode] = [:]
    var left = 1
    func finished() {
      left -= 1
      if left > 0 { return }
      broker.replies.answer(
        DeleteGroupsResponse(
          results: names.map {
            DeleteGroupsResponse.DeletableGroupResult(
              groupId: $0, errorCode: errors[$0] ?? .none)
          }),
        to: context.reply)
    }
    for id in Set(names) {
      let error = refusal(id, broker)
      if error != .none {
        errors[id] = error
        continue
      }
      left += 1
      broker.groups.append(tombstones(id, broker), group: id) { error in
        errors[id] = error
        if error == .none { broker.groups.forget(id) }
        finished()
      }
    }
    finished()
  }

  private static func refusal(_ id: String, _ broker: Broker) -> ErrorCode {
    let error = broker.groups.availability(id)
    if error != .none { return error }
    let session = broker.groups.session(id)
    if session == nil, broker.groups.committed(id) == nil { return .groupIdNotFound }
    switch session?.phase ?? .empty {
    case .empty: return session?.pendingMembers.isEmpty == false ? .nonEmptyGroup : .none
    case .dead: return .groupIdNotFound
    case .preparingRebalance, .completingRebalance, .stable: return .nonEmptyGroup
    }
  }

  private static func tombstones(_ id: String, _ broker: Broker) -> [GroupRecord] {
    let offsets = broker.groups.committed(id)?.partitionsInOrder ?? []
    return offsets.map { .offset(group: id, $0, nil) } + [.group(id, nil)]
  }
}
