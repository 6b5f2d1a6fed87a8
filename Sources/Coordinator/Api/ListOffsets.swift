// ListOffsets: the ends of a log from the scoreboard; the offset of a timestamp by a search in the
// segment that the logwriter names.

import IPC
import KafkaProtocol
import Model

enum ListOffsetsApi {
  private typealias Answer = ListOffsetsResponse.ListOffsetsPartitionResponse

  /// Timestamps that stand for something else (Kafka's ListOffsetsRequest).
  private static let latest: Int64 = -1
  private static let earliest: Int64 = -2
  private static let maxTimestamp: Int64 = -3
  private static let earliestLocal: Int64 = -4
  private static let latestTiered: Int64 = -5
  private static let readCommitted: Int8 = 1

  static func handle(_ request: ListOffsetsRequest, _ context: RequestContext, _ broker: Broker) {
    var answers = request.topics.map { [Answer?](repeating: nil, count: $0.partitions.count) }
    var left = 1
    func finished() {
      left -= 1
      if left > 0 { return }
      broker.replies.answer(
        ListOffsetsResponse(
          topics: zip(request.topics, answers).map { topic, partitions in
            ListOffsetsResponse.ListOffsetsTopicResponse(
              name: topic.name, partitions: partitions.compactMap { $0 })
          }),
        to: context.reply)
    }
    let duplicates = duplicates(request)
    for (topicNumber, topic) in request.topics.enumerated() {
      for (number, partition) in topic.partitions.enumerated() {
        let at = TopicPartition(topic: topic.name, partition: partition.partitionIndex)
        left += 1
        find(
          at, partition, isDuplicate: duplicates.contains(at), request, context, broker
        ) { answer in
          answers[topicNumber][number] = answer
          finished()
        }
      }
    }
    finished()
  }

  private static func duplicates(_ request: ListOffsetsRequest) -> Set<TopicPartition> {
    var seen: Set<TopicPartition> = []
    var duplicates: Set<TopicPartition> = []
    for topic in request.topics {
      for partition in topic.partitions {
        let at = TopicPartition(topic: topic.name, partition: partition.partitionIndex)
        if !seen.insert(at).inserted { duplicates.insert(at) }
      }
    }
    return duplicates
  }

  /// A partition that is there, and what is wanted of it.
  private struct Target {
    var partition: Int32
    var ref: SlotRef
    var entry: ScoreboardEntry
    /// The offset after the last one that the client may see.
    var end: Int64
    /// What to tell of it; versions before 4 cannot.
    var leaderEpoch: Int32

    func found(_ offset: Int64, timestampMs: Int64 = -1) -> Answer {
      Answer(
        partitionIndex: partition, timestamp: timestampMs, offset: offset,
        leaderEpoch: offset < 0 ? -1 : leaderEpoch)
    }

    func failed(_ error: ErrorCode) -> Answer {
      Answer(partitionIndex: partition, errorCode: error)
    }
  }

  private static func find(
    _ at: TopicPartition, _ wanted: ListOffsetsRequest.ListOffsetsPartition, isDuplicate: Bool,
    _ request: ListOffsetsRequest, _ context: RequestContext, _ broker: Broker,
    then: @escaping (Answer) -> Void
  ) {
    let target: Target
    do throws(TopicRejection) {
      if isDuplicate { throw TopicRejection(.invalidRequest, "") }
      target = try self.target(at, wanted, request, context, broker)
    } catch { return then(Answer(partitionIndex: at.partition, errorCode: error.error)) }
    let version = context.version
    switch wanted.timestamp {
    case latest: then(target.found(target.end))
    case earliest: then(target.found(target.entry.logStartOffset))
    case earliestLocal where version >= 8: then(target.found(target.entry.logStartOffset))
    case latestTiered where version >= 9: then(target.found(-1))
    case maxTimestamp where version >= 7: findNewest(target, broker, then)
    case 0...: search(wanted.timestamp, target, broker, then)
    default:
      then(target.failed(version < 7 ? .unsupportedForMessageFormat : .unsupportedVersion))
    }
  }

  private static func target(
    _ at: TopicPartition, _ wanted: ListOffsetsRequest.ListOffsetsPartition,
    _ request: ListOffsetsRequest, _ context: RequestContext, _ broker: Broker
  ) throws(TopicRejection) -> Target {
    guard let topic = broker.topics.state.topic(at.topic),
      (0..<topic.partitionCount).contains(Int(at.partition))
    else { throw TopicRejection(.unknownTopicOrPartition, "") }
    let leaderEpoch = topic.leaderEpochs[Int(at.partition)]
    if wanted.currentLeaderEpoch >= 0, wanted.currentLeaderEpoch != leaderEpoch {
      throw TopicRejection(
        wanted.currentLeaderEpoch < leaderEpoch ? .fencedLeaderEpoch : .unknownLeaderEpoch, "")
    }
    if broker.topics.placement.place(topic.id, Int(at.partition)).isOffline {
      throw TopicRejection(.kafkaStorageError, "")
    }
    guard broker.topics.phase == .ready,
      let ref = broker.topics.placement.place(topic.id, Int(at.partition)).slot,
      let entry = broker.scoreboard.entry(ref), !entry.isOffline
    else { throw TopicRejection(.leaderNotAvailable, "") }
    let end =
      request.replicaId >= 0
      ? entry.logEndOffset
      : request.isolationLevel == readCommitted ? entry.lastStableOffset : entry.highWatermark
    return Target(
      partition: at.partition, ref: ref, entry: entry, end: end,
      leaderEpoch: context.version < 4 ? -1 : leaderEpoch)
  }

  private static func findNewest(
    _ target: Target, _ broker: Broker, _ then: @escaping (Answer) -> Void
  ) {
    broker.logs.lookUpMaxTimestamp(target.ref) { [unowned broker] answer in
      switch answer {
      // The log names the end of the batch, the client means the record in it.
      case .found(let offset, let timestampMs) where offset >= 0 && offset < target.end:
        search(timestampMs, target, broker, then)
      case .found: then(target.found(-1))
      case .refused(let error): then(target.failed(error))
      case .lost: then(target.failed(.leaderNotAvailable))
      }
    }
  }

  private static func search(
    _ timestampMs: Int64, _ target: Target, _ broker: Broker, _ then: @escaping (Answer) -> Void
  ) {
    broker.reads.add { [unowned broker] done in
      TimestampSearch.find(
        timestampMs, target.ref, from: target.entry.logStartOffset, to: target.end, broker
      ) { result in
        switch result {
        case .found(let record):
          then(target.found(record?.offset ?? -1, timestampMs: record?.timestampMs ?? -1))
        case .failed(let error): then(target.failed(error))
        }
        done()
      }
    }
  }
}
