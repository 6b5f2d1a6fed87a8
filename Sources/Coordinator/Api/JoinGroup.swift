// JoinGroup. The request waits in its group until the generation begins.

import Configuration
import KafkaProtocol
import Model

enum JoinGroupApi {
  static func handle(_ request: JoinGroupRequest, _ context: RequestContext, _ broker: Broker) {
    let error = refusal(request, broker)
    if error != .none {
      return refuse(error, request.memberId, context, broker)
    }
    let join = GroupJoin(
      memberId: request.memberId, instanceId: request.groupInstanceId,
      newMemberId: "\(request.groupInstanceId ?? context.clientId)-\(RandomId.make())",
      clientId: context.clientId, clientHost: context.clientHost,
      protocolType: request.protocolType,
      protocols: request.protocols.map { GroupProtocol(name: $0.name, metadata: $0.metadata) },
      sessionTimeoutMs: request.sessionTimeoutMs,
      // Version 0 has only one time-out.
      rebalanceTimeoutMs: request.rebalanceTimeoutMs < 0
        ? request.sessionTimeoutMs : request.rebalanceTimeoutMs,
      requiresKnownMemberId: context.version >= 4,
      supportsSkippingAssignment: context.version >= 9)
    // Only a member without an id can be the first of a group.
    let isKnown = broker.groups.on(
      .join(join, context.reply), group: request.groupId, create: request.memberId.isEmpty)
    if !isKnown { refuse(.unknownMemberId, request.memberId, context, broker) }
  }

  private static func refusal(_ request: JoinGroupRequest, _ broker: Broker) -> ErrorCode {
    if request.groupId.isEmpty { return .invalidGroupId }
    let configuration = broker.configuration
    guard request.sessionTimeoutMs >= configuration.groupMinSessionTimeoutMs,
      request.sessionTimeoutMs <= configuration.groupMaxSessionTimeoutMs
    else { return .invalidSessionTimeout }
    return broker.groups.availability(request.groupId)
  }

  private static func refuse(
    _ error: ErrorCode, _ memberId: String, _ context: RequestContext, _ broker: Broker
  ) {
    broker.replies.answer(
      response(JoinAnswer(error: error, memberId: memberId), version: context.version),
      to: context.reply)
  }

  static func response(_ answer: JoinAnswer, version: Int16) -> JoinGroupResponse {
    JoinGroupResponse(
      errorCode: answer.error, generationId: answer.generationId,
      protocolType: answer.protocolType,
      // Null only came with version 7.
      protocolName: answer.protocolName ?? (version >= 7 ? nil : ""), leader: answer.leader,
      skipAssignment: answer.skipAssignment, memberId: answer.memberId,
      members: answer.members.map {
        JoinGroupResponse.JoinGroupResponseMember(
          memberId: $0.id, groupInstanceId: $0.instanceId, metadata: $0.metadata)
      })
  }
}

/// Random ids for members, as Kafka has them: a UUID in its hexadecimal form.
enum RandomId {
  static func make() -> String {
    let id = UUID128.random()
    func hex(_ value: UInt64, _ digits: Int) -> String {
      let text = String(value, radix: 16)
      return String(repeating: "0", count: digits - text.count) + text
    }
    return [
      hex(id.high >> 32, 8), hex(id.high >> 16 & 0xFFFF, 4), hex(id.high & 0xFFFF, 4),
      hex(id.low >> 48, 4), hex(id.low & 0xFFFF_FFFF_FFFF, 12),
    ].joined(separator: "-")
  }
}
