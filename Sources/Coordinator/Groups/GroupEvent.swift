// What happens to a classic group, and what has to be done about it.

import KafkaProtocol
import Model

/// A JoinGroup request, checked as far as it can be without its group.
struct GroupJoin: Equatable {
  /// Empty for a member that has none yet.
  var memberId: String
  var instanceId: String?
  /// The id for this member if it turns out to be a new one.
  var newMemberId: String
  var clientId: String
  var clientHost: String
  var protocolType: String
  var protocols: [GroupProtocol]
  var sessionTimeoutMs: Int32
  var rebalanceTimeoutMs: Int32
  /// From version 4 on a new member is given its id first and joins with it (KIP-394).
  var requiresKnownMemberId: Bool
  /// From version 9 on a returning static leader can be told to leave the assignment as it is.
  var supportsSkippingAssignment: Bool
}

struct GroupSync: Equatable {
  var memberId: String
  var instanceId: String?
  var generationId: Int32
  var protocolType: String?
  var protocolName: String?
  /// Only the leader's counts.
  var assignments: [String: [UInt8]]
}

struct GroupHeartbeat: Equatable {
  var memberId: String
  var instanceId: String?
  var generationId: Int32
}

/// Who is to leave: a member, or with an empty id whoever has the instance id.
struct GroupLeaver: Equatable {
  var memberId: String
  var instanceId: String?
}

enum GroupEvent: Equatable {
  case join(GroupJoin, Reply)
  case sync(GroupSync, Reply)
  case heartbeat(GroupHeartbeat, Reply)
  case leave([GroupLeaver], Reply)
  /// A member committed offsets, which is a sign of life.
  case committed(memberId: String)
  case timer(GroupTimer)
  /// The record of a `persist` was appended, or could not be.
  case persisted(GroupPersisting, ErrorCode)
}

/// A deadline of a group. Scheduling one replaces the earlier one of the same name.
enum GroupTimer: Hashable {
  /// The member must have shown itself.
  case member(String)
  /// The joining phase ends; at first `delayMs` after the group came to life, and it may be put off
  /// for `remainingMs` more while new members keep coming.
  case initialJoin(delayMs: Int32, remainingMs: Int32)
  case join
  /// All members must have asked for their assignment of this generation.
  case sync(generationId: Int32)

  /// What is replaced or cancelled together.
  var slot: Slot {
    switch self {
    case .member(let id): .member(id)
    case .initialJoin, .join: .join
    case .sync: .sync
    }
  }

  enum Slot: Hashable {
    case member(String)
    case join
    case sync
  }
}

/// Why a group's metadata is written.
enum GroupPersisting: Equatable {
  /// The leader has assigned: with the record the group becomes stable.
  case assignment(generationId: Int32)
  /// The last member has left.
  case empty(generationId: Int32)
  /// A static member came back under a new id while nothing else changed.
  case returned(memberId: String, Reply, JoinAnswer)
}

struct JoinAnswer: Equatable {
  var error: ErrorCode
  var generationId: Int32 = -1
  var protocolType: String?
  var protocolName: String?
  var leader = ""
  var skipAssignment = false
  var memberId: String
  var members: [Member] = []

  struct Member: Equatable {
    var id: String
    var instanceId: String?
    var metadata: [UInt8]
  }
}

struct SyncAnswer: Equatable {
  var error: ErrorCode
  var protocolType: String?
  var protocolName: String?
  var assignment: [UInt8] = []
}

struct LeaveAnswer: Equatable {
  var memberId: String
  var instanceId: String?
  var error: ErrorCode
}

enum GroupAction: Equatable {
  case joined(Reply, JoinAnswer)
  case synced(Reply, SyncAnswer)
  case heartbeat(Reply, ErrorCode)
  case left(Reply, [LeaveAnswer])
  case schedule(GroupTimer, afterMs: Int32)
  case cancel(GroupTimer.Slot)
  /// Append this as the group's record; then comes `persisted`.
  case persist(GroupMetadataValue, GroupPersisting)
}

extension GroupMetadataValue: Equatable {
  public static func == (a: Self, b: Self) -> Bool {
    a.protocolType == b.protocolType && a.generation == b.generation && a.protocol == b.protocol
      && a.leader == b.leader && a.currentStateTimestamp == b.currentStateTimestamp
      && a.members == b.members
  }
}

extension GroupMetadataValue.MemberMetadata: Equatable {
  public static func == (a: Self, b: Self) -> Bool {
    a.memberId == b.memberId && a.groupInstanceId == b.groupInstanceId && a.clientId == b.clientId
      && a.clientHost == b.clientHost && a.rebalanceTimeout == b.rebalanceTimeout
      && a.sessionTimeout == b.sessionTimeout && a.subscription == b.subscription
      && a.assignment == b.assignment
  }
}
