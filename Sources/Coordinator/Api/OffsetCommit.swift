// OffsetCommit: checked against the group and the topics, appended to the group's log, answered when
// the records are there.

import Configuration
import KafkaProtocol
import Model

enum OffsetCommitApi {
  private typealias Answer = OffsetCommitResponse.OffsetCommitResponseTopic
  private typealias PartitionAnswer = OffsetCommitResponse.OffsetCommitResponsePartition

  static func handle(_ request: OffsetCommitRequest, _ context: RequestContext, _ broker: Broker) {
    let error = refusal(request, context, broker)
    if error != .none {
      return answer(request, context, broker) { _ in error }
    }
    let nowMs = broker.clock.wallMs
    let expireMs =
      request.retentionTimeMs >= 0 ? nowMs &+ request.retentionTimeMs : -1
    var errors: [TopicPartition: ErrorCode] = [:]
    var records: [GroupRecord] = []
    for topic in request.topics {
      for partition in topic.partitions {
        let at = TopicPartition(topic: topic.name, partition: partition.partitionIndex)
        let error = check(partition, at, broker)
        if error != .none {
          errors[at] = error
          continue
        }
        records.append(
          .offset(
            group: request.groupId, at,
            CommittedOffset(
              offset: partition.committedOffset, leaderEpoch: partition.committedLeaderEpoch,
              metadata: partition.committedMetadata ?? "", commitTimestampMs: nowMs,
              expireTimestampMs: expireMs)))
      }
    }
    broker.groups.on(.committed(memberId: request.memberId), group: request.groupId)
    if records.isEmpty {
      return answer(request, context, broker) { errors[$0] ?? .none }
    }
    broker.groups.append(records, group: request.groupId) { failure in
      let failure = failure == .unknownServerError ? .invalidCommitOffsetSize : failure
      answer(request, context, broker) { errors[$0] ?? failure }
    }
  }

  private static func refusal(
    _ request: OffsetCommitRequest, _ context: RequestContext, _ broker: Broker
  ) -> ErrorCode {
    let error = broker.groups.availability(request.groupId)
    if error != .none { return error }
    guard let session = broker.groups.session(request.groupId) else {
      // Offsets of consumers that assign their partitions by hand need no group.
      if request.generationIdOrMemberEpoch < 0 { return .none }
      return context.version >= 9 ? .groupIdNotFound : .illegalGeneration
    }
    return session.commitError(
      memberId: request.memberId, instanceId: request.groupInstanceId,
      generationId: request.generationIdOrMemberEpoch)
  }

  private static func check(
    _ partition: OffsetCommitRequest.OffsetCommitRequestPartition, _ at: TopicPartition,
    _ broker: Broker
  ) -> ErrorCode {
    guard let topic = broker.topics.state.topic(at.topic),
      (0..<Int32(topic.partitionCount)).contains(at.partition)
    else { return .unknownTopicOrPartition }
    let metadataBytes = partition.committedMetadata?.utf8.count ?? 0
    return metadataBytes > broker.configuration.offsetMetadataMaxBytes
      ? .offsetMetadataTooLarge : .none
  }

  private static func answer(
    _ request: OffsetCommitRequest, _ context: RequestContext, _ broker: Broker,
    _ error: (TopicPartition) -> ErrorCode
  ) {
    broker.replies.answer(
      OffsetCommitResponse(
        topics: request.topics.map { topic in
          Answer(
            name: topic.name,
            partitions: topic.partitions.map { partition in
              let at = TopicPartition(topic: topic.name, partition: partition.partitionIndex)
              return PartitionAnswer(
                partitionIndex: partition.partitionIndex, errorCode: error(at))
            })
        }),
      to: context.reply)
  }
}

extension ClassicGroup {
  /// Whether the group takes a commit from this member, or from nobody in particular.
  func commitError(memberId: String, instanceId: String?, generationId: Int32) -> ErrorCode {
    if phase == .dead { return .coordinatorNotAvailable }
    // Tools and consumers that assign by hand may set the offsets of a group without members.
    if generationId < 0, phase == .empty { return .none }
    if generationId >= 0 || !memberId.isEmpty || instanceId != nil {
      let error = validate(memberId, instanceId)
      if error != .none { return error }
      if generationId != self.generationId { return .illegalGeneration }
    } else if phase != .empty {
      return .unknownMemberId
    }
    return phase == .completingRebalance ? .rebalanceInProgress : .none
  }
}
