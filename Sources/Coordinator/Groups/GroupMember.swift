// A member of a classic group and what it offers.

import KafkaProtocol

/// A protocol that a member supports (for consumers: an assignor) and its metadata for it.
struct GroupProtocol: Equatable {
  var name: String
  var metadata: [UInt8]
}

struct GroupMember: Equatable {
  var id: String
  /// `group.instance.id` of a static member.
  var instanceId: String?
  var clientId: String
  var clientHost: String
  var sessionTimeoutMs: Int32
  var rebalanceTimeoutMs: Int32
  /// In the member's order of preference.
  var protocols: [GroupProtocol]
  var assignment: [UInt8] = []
  /// It has joined but not yet been told its first generation, so it cannot send heartbeats.
  var isNew = false
  /// Its JoinGroup that waits for the generation to begin.
  var joining: Reply?
  /// Its SyncGroup that waits for the leader's assignment.
  var syncing: Reply?

  var isStatic: Bool { instanceId != nil }

  var metadataBytes: Int { protocols.reduce(0) { $0 + $1.metadata.count + $1.name.utf8.count } }

  func metadata(for name: String) -> [UInt8] {
    protocols.first { $0.name == name }?.metadata ?? []
  }
}

extension GroupMember {
  /// The member as it is kept in the log, with its metadata for the chosen protocol.
  func stored(protocolName: String) -> GroupMetadataValue.MemberMetadata {
    GroupMetadataValue.MemberMetadata(
      memberId: id, groupInstanceId: instanceId, clientId: clientId, clientHost: clientHost,
      rebalanceTimeout: rebalanceTimeoutMs, sessionTimeout: sessionTimeoutMs,
      subscription: metadata(for: protocolName), assignment: assignment)
  }

  /// A member from the log. Of its protocols only the chosen one is known.
  init(stored: GroupMetadataValue.MemberMetadata, protocolName: String) {
    self.init(
      id: stored.memberId, instanceId: stored.groupInstanceId, clientId: stored.clientId,
      clientHost: stored.clientHost, sessionTimeoutMs: stored.sessionTimeout,
      rebalanceTimeoutMs: stored.rebalanceTimeout < 0
        ? stored.sessionTimeout : stored.rebalanceTimeout,
      protocols: [GroupProtocol(name: protocolName, metadata: stored.subscription)],
      assignment: stored.assignment)
  }
}
