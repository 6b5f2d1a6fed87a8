// Consuming as a member of a classic consumer group: join, take what the leader assigns, heartbeat
// between fetches, commit what was printed, leave on the way out.

import KafkaProtocol
import Linux
import Model

final class GroupConsumer {
  private let cluster: Cluster
  private let group: String
  private let topic: String
  private let fromBeginning: Bool
  private let exitAtEnd: Bool
  private let interruption: Interruption
  private var memberId = ""
  private var generationId: Int32 = -1
  private var coordinator: BrokerConnection?
  private var outage = Outage()

  private static let sessionMs: Int32 = 10_000
  private static let rebalanceMs: Int32 = 60_000
  private static let heartbeatNs: UInt64 = 3_000_000_000
  private static let pollMs: Int32 = 500
  private static let protocolName = "range"

  /// Why a round of consuming ended.
  private enum RoundEnd {
    /// The group rebalances, or has forgotten this member.
    case rebalance
    case done
  }

  init(
    cluster: Cluster, group: String, topic: String, fromBeginning: Bool, exitAtEnd: Bool,
    interruption: Interruption
  ) {
    self.cluster = cluster
    self.group = group
    self.topic = topic
    self.fromBeginning = fromBeginning
    self.exitAtEnd = exitAtEnd
    self.interruption = interruption
  }

  func run(_ printer: RecordPrinter) throws(ClientError) {
    // A broker that cannot be reached at all is told at once.
    coordinator = try cluster.coordinator(ofGroup: group)
    _ = try cluster.topic(topic)
    do {
      while !printer.isDone, !interruption.isRequested {
        do {
          if try consume(try join(), printer) == .done { break }
        } catch {
          coordinator = nil
          try outage.bear(error, cluster)
        }
      }
    } catch {
      // An answer may still be on its way on the old connection.
      coordinator = nil
      cluster.reset()
      leave()
      if case .interrupted = error { return }
      throw error
    }
    leave()
  }

  private func connection() throws(ClientError) -> BrokerConnection {
    if let coordinator { return coordinator }
    let found = try cluster.coordinator(ofGroup: group)
    coordinator = found
    return found
  }

  /// Says good-bye, so that the others need not wait for the session to time out. If that fails they
  /// do, which is all that can be done.
  private func leave() {
    if memberId.isEmpty { return }
    let request = LeaveGroupRequest(groupId: group, memberId: memberId)
    do {
      let answer = try connection().request(request, highest: 2)
      try answer.errorCode.require("group \(group)")
    } catch {
      if error.code != .unknownMemberId {
        StandardError.line("sluice: leaving group \(group): \(error)")
      }
    }
  }

  // MARK: Joining

  /// Joins and returns the partitions this member was given.
  private func join() throws(ClientError) -> [Int32] {
    while true {
      let subscription = try encoded(ConsumerProtocolSubscription(topics: [topic]), version: 0)
      let joined = try connection().request(
        JoinGroupRequest(
          groupId: group, sessionTimeoutMs: Self.sessionMs, rebalanceTimeoutMs: Self.rebalanceMs,
          memberId: memberId, protocolType: "consumer",
          protocols: [.init(name: Self.protocolName, metadata: subscription)]),
        waitMs: Int64(Self.rebalanceMs))
      switch joined.errorCode {
      case .memberIdRequired:
        memberId = joined.memberId
        continue
      case .unknownMemberId:
        memberId = ""
        continue
      case .rebalanceInProgress: continue
      case .inconsistentGroupProtocol:
        throw .refused(
          joined.errorCode, about: "group \(group)",
          message: "its members share no assignor with this command, which knows 'range'")
      default: try joined.errorCode.require("group \(group)")
      }
      memberId = joined.memberId
      generationId = joined.generationId
      if let partitions = try sync(joined) { return partitions }
      if interruption.isRequested { throw .interrupted }
    }
  }

  /// Hands in or fetches the assignment; nil when the group has moved on.
  private func sync(_ joined: JoinGroupResponse) throws(ClientError) -> [Int32]? {
    let synced = try connection().request(
      SyncGroupRequest(
        groupId: group, generationId: generationId, memberId: memberId,
        protocolType: "consumer", protocolName: joined.protocolName,
        assignments: joined.leader == memberId ? try assign(joined) : []),
      waitMs: Int64(Self.rebalanceMs))
    guard try isMember(synced.errorCode) else { return nil }
    if synced.assignment.isEmpty { return [] }
    do throws(WireError) {
      let assignment = try ConsumerProtocolAssignment(decodingVersioned: synced.assignment)
      return assignment.assignedPartitions.filter { $0.topic == topic }.flatMap(\.partitions)
    } catch { throw .undecodable(error) }
  }

  private func assign(_ joined: JoinGroupResponse) throws(ClientError)
    -> [SyncGroupRequest.SyncGroupRequestAssignment]
  {
    var topicsByMember: [String: [String]] = [:]
    for member in joined.members {
      do throws(WireError) {
        topicsByMember[member.memberId] =
          try ConsumerProtocolSubscription(decodingVersioned: member.metadata).topics
      } catch { throw .undecodable(error) }
    }
    let topics = Set(topicsByMember.values.joined()).sorted()
    var partitionsByTopic: [String: [Int32]] = [:]
    for topic in try cluster.metadata(topics).topics {
      partitionsByTopic[topic.name ?? ""] = topic.partitions.map(\.partitionIndex)
    }
    let assigned = RangeAssignor.assign(topicsByMember, partitionsByTopic)
    var result: [SyncGroupRequest.SyncGroupRequestAssignment] = []
    for (member, partitions) in assigned.sorted(by: { $0.key < $1.key }) {
      let assignment = ConsumerProtocolAssignment(
        assignedPartitions: partitions.sorted { $0.key < $1.key }.map {
          .init(topic: $0.key, partitions: $0.value)
        })
      result.append(.init(memberId: member, assignment: try encoded(assignment, version: 0)))
    }
    return result
  }

  /// False when this member must join again; throws what is not a group's ordinary life.
  private func isMember(_ error: ErrorCode) throws(ClientError) -> Bool {
    switch error {
    case .rebalanceInProgress, .illegalGeneration: return false
    case .unknownMemberId:
      memberId = ""
      return false
    default:
      try error.require("group \(group)")
      return true
    }
  }

  // MARK: Consuming

  /// Consumes until the group rebalances or nothing more is to be done.
  private func consume(_ partitions: [Int32], _ printer: RecordPrinter) throws(ClientError)
    -> RoundEnd
  {
    var reader = PartitionReader(
      cluster: cluster, topic: topic, offsets: try startOffsets(partitions))
    var heartbeatDue = Clock.monotonicNs() + Self.heartbeatNs
    var committed = reader.offsets
    while true {
      outage.end()
      let isLast = printer.isDone || interruption.isRequested
      if reader.offsets != committed {
        printer.flush()
        if try !commit(reader.offsets) { return .rebalance }
        committed = reader.offsets
      }
      if isLast || (exitAtEnd && reader.isAtEnd) { return .done }
      if Clock.monotonicNs() >= heartbeatDue {
        heartbeatDue = Clock.monotonicNs() + Self.heartbeatNs
        if try !heartbeat() { return .rebalance }
      }
      if partitions.isEmpty {
        _ = Poll.waitAny([interruption.descriptor], .readable, timeoutMs: Self.pollMs)
      } else {
        do {
          try reader.poll(maxWaitMs: exitAtEnd ? 0 : Self.pollMs) {
            printer.print($0, partition: $1)
          }
        } catch {
          // What was printed before the failure is committed before anything else happens.
          printer.flush()
          if reader.offsets != committed { _ = try commit(reader.offsets) }
          throw error
        }
      }
    }
  }

  /// The committed offsets; where there is none, or none that is still in the log, the beginning or
  /// the end.
  private func startOffsets(_ partitions: [Int32]) throws(ClientError) -> [Int32: Int64] {
    if partitions.isEmpty { return [:] }
    let fetched = try connection().request(
      OffsetFetchRequest(
        groupId: group, topics: [.init(name: topic, partitionIndexes: partitions)]), highest: 7)
    try fetched.errorCode.require("group \(group)")
    var metadata = try cluster.topic(topic)
    metadata.partitions.removeAll { !partitions.contains($0.partitionIndex) }
    let earliest = try OffsetQuery.offsets(of: metadata, at: .earliest, cluster)
    let latest = try OffsetQuery.offsets(of: metadata, at: .latest, cluster)
    var offsets = fromBeginning ? earliest : latest
    for partition in fetched.topics.flatMap(\.partitions) {
      let index = partition.partitionIndex
      try partition.errorCode.require("\(topic)-\(index)")
      if let first = earliest[index], let end = latest[index],
        (first...max(first, end)).contains(partition.committedOffset)
      {
        offsets[index] = partition.committedOffset
      }
    }
    return offsets
  }

  private func heartbeat() throws(ClientError) -> Bool {
    let answer = try connection().request(
      HeartbeatRequest(groupId: group, generationId: generationId, memberId: memberId))
    return try isMember(answer.errorCode)
  }

  /// Commits what was printed.
  /// - Returns: false when the group has moved on; what was printed since is printed again by the
  ///   partition's next owner.
  private func commit(_ offsets: [Int32: Int64]) throws(ClientError) -> Bool {
    let answer = try connection().request(
      OffsetCommitRequest(
        groupId: group, generationIdOrMemberEpoch: generationId, memberId: memberId,
        topics: [
          .init(
            name: topic,
            partitions: offsets.sorted { $0.key < $1.key }.map {
              .init(partitionIndex: $0.key, committedOffset: $0.value)
            })
        ]), highest: 9)
    for partition in answer.topics.flatMap(\.partitions) {
      if partition.errorCode == .rebalanceInProgress { continue }
      if try !isMember(partition.errorCode) { return false }
    }
    return true
  }

  private func encoded<M: WireMessage>(_ message: M, version: Int16) throws(ClientError) -> [UInt8]
  {
    do throws(WireError) { return try message.encodedVersioned(version) } catch {
      throw .undecodable(error)
    }
  }
}
