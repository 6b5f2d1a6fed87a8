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

  private static let sessionMs: Int32 = 10_000
  private static let rebalanceMs: Int32 = 60_000
  private static let heartbeatNs: UInt64 = 3_000_000_000
  private static let protocolName = "range"

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
    let coordinator = try cluster.coordinator(ofGroup: group)
    while !printer.isDone, !interruption.isRequested {
      let partitions = try join(coordinator)
      if try consume(partitions, coordinator, printer) { break }
    }
    _ = try coordinator.request(
      LeaveGroupRequest(groupId: group, memberId: memberId), highest: 2)
  }

  /// Joins and returns the partitions this member was given.
  private func join(_ coordinator: BrokerConnection) throws(ClientError) -> [Int32] {
    while true {
      let subscription = try encoded(ConsumerProtocolSubscription(topics: [topic]), version: 0)
      let joined = try coordinator.request(
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
      case .rebalanceInProgress, .coordinatorLoadInProgress: continue
      default: try joined.errorCode.require("group \(group)")
      }
      memberId = joined.memberId
      generationId = joined.generationId
      if let partitions = try sync(joined, coordinator) { return partitions }
    }
  }

  /// Hands in or fetches the assignment; nil when the group has moved on.
  private func sync(_ joined: JoinGroupResponse, _ coordinator: BrokerConnection)
    throws(ClientError) -> [Int32]?
  {
    let synced = try coordinator.request(
      SyncGroupRequest(
        groupId: group, generationId: generationId, memberId: memberId,
        protocolType: "consumer", protocolName: joined.protocolName,
        assignments: joined.leader == memberId ? try assign(joined) : []),
      waitMs: Int64(Self.rebalanceMs))
    switch synced.errorCode {
    case .rebalanceInProgress, .illegalGeneration: return nil
    case .unknownMemberId:
      memberId = ""
      return nil
    default: try synced.errorCode.require("group \(group)")
    }
    if synced.assignment.isEmpty { return [] }
    do throws(WireError) {
      let assignment = try ConsumerProtocolAssignment(decodingVersioned: synced.assignment)
      return assignment.assignedPartitions.filter { $0.topic == topic }.flatMap(\.partitions)
    } catch { throw .undecodable(error) }
  }

  /// Kafka's range assignor for each topic: members in the order of their ids get ranges of nearly
  /// equal length.
  private func assign(_ joined: JoinGroupResponse) throws(ClientError)
    -> [SyncGroupRequest.SyncGroupRequestAssignment]
  {
    var membersByTopic: [String: [String]] = [:]
    for member in joined.members {
      do throws(WireError) {
        let subscription = try ConsumerProtocolSubscription(decodingVersioned: member.metadata)
        for topic in subscription.topics {
          membersByTopic[topic, default: []].append(member.memberId)
        }
      } catch { throw .undecodable(error) }
    }
    var assignments: [String: ConsumerProtocolAssignment] = [:]
    for member in joined.members { assignments[member.memberId] = ConsumerProtocolAssignment() }
    for topic in try cluster.metadata(membersByTopic.keys.sorted()).topics {
      let members = (membersByTopic[topic.name ?? ""] ?? []).sorted()
      let partitions = topic.partitions.map(\.partitionIndex).sorted()
      for (index, member) in members.enumerated() {
        let extra = partitions.count % members.count
        let count = partitions.count / members.count
        let start = index * count + min(index, extra)
        let own = partitions[start..<(start + count + (index < extra ? 1 : 0))]
        if own.isEmpty { continue }
        assignments[member]?.assignedPartitions.append(
          .init(topic: topic.name ?? "", partitions: Array(own)))
      }
    }
    var result: [SyncGroupRequest.SyncGroupRequestAssignment] = []
    for (member, assignment) in assignments.sorted(by: { $0.key < $1.key }) {
      result.append(.init(memberId: member, assignment: try encoded(assignment, version: 0)))
    }
    return result
  }

  /// Consumes until the group rebalances.
  /// - Returns: true when there is nothing more to do.
  private func consume(
    _ partitions: [Int32], _ coordinator: BrokerConnection, _ printer: RecordPrinter
  ) throws(ClientError) -> Bool {
    var reader = PartitionReader(
      cluster: cluster, topic: topic, offsets: try startOffsets(partitions, coordinator))
    var heartbeatDue = Clock.monotonicNs() + Self.heartbeatNs
    var committed = reader.offsets
    while true {
      let isLast = printer.isDone || interruption.isRequested
      if reader.offsets != committed {
        printer.flush()
        try commit(reader.offsets, coordinator)
        committed = reader.offsets
      }
      if isLast || (exitAtEnd && reader.isAtEnd) { return true }
      if Clock.monotonicNs() >= heartbeatDue {
        heartbeatDue = Clock.monotonicNs() + Self.heartbeatNs
        if try !heartbeat(coordinator) { return false }
      }
      if partitions.isEmpty {
        if exitAtEnd { return true }
        _ = Poll.waitAny([], .readable, timeoutMs: 500)
      } else {
        try reader.poll(maxWaitMs: 500) { printer.print($0, partition: $1) }
      }
    }
  }

  private func startOffsets(_ partitions: [Int32], _ coordinator: BrokerConnection)
    throws(ClientError) -> [Int32: Int64]
  {
    if partitions.isEmpty { return [:] }
    let fetched = try coordinator.request(
      OffsetFetchRequest(
        groupId: group, topics: [.init(name: topic, partitionIndexes: partitions)]), highest: 7)
    try fetched.errorCode.require("group \(group)")
    var offsets: [Int32: Int64] = [:]
    for partition in fetched.topics.flatMap(\.partitions) {
      try partition.errorCode.require("\(topic)-\(partition.partitionIndex)")
      if partition.committedOffset >= 0 {
        offsets[partition.partitionIndex] = partition.committedOffset
      }
    }
    var fresh = try cluster.topic(topic)
    fresh.partitions.removeAll {
      offsets[$0.partitionIndex] != nil || !partitions.contains($0.partitionIndex)
    }
    if fresh.partitions.isEmpty { return offsets }
    let starts = try OffsetQuery.offsets(
      of: fresh, at: fromBeginning ? .earliest : .latest, cluster)
    return offsets.merging(starts) { committed, _ in committed }
  }

  private func heartbeat(_ coordinator: BrokerConnection) throws(ClientError) -> Bool {
    let answer = try coordinator.request(
      HeartbeatRequest(groupId: group, generationId: generationId, memberId: memberId))
    switch answer.errorCode {
    case .rebalanceInProgress, .illegalGeneration: return false
    case .unknownMemberId:
      memberId = ""
      return false
    default:
      try answer.errorCode.require("group \(group)")
      return true
    }
  }

  private func commit(_ offsets: [Int32: Int64], _ coordinator: BrokerConnection)
    throws(ClientError)
  {
    let answer = try coordinator.request(
      OffsetCommitRequest(
        groupId: group, generationIdOrMemberEpoch: generationId, memberId: memberId,
        topics: [
          .init(
            name: topic,
            partitions: offsets.sorted { $0.key < $1.key }.map {
              .init(partitionIndex: $0.key, committedOffset: $0.value)
            })
        ]), highest: 9)
    for partition in answer.topics.flatMap(\.partitions)
    where partition.errorCode != .rebalanceInProgress {
      try partition.errorCode.require("\(topic)-\(partition.partitionIndex)")
    }
  }

  private func encoded<M: WireMessage>(_ message: M, version: Int16) throws(ClientError) -> [UInt8]
  {
    do throws(WireError) { return try message.encodedVersioned(version) } catch {
      throw .undecodable(error)
    }
  }
}
