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

  private static func find(
    _ at: TopicPartition, _ wanted: ListOffsetsRequest.ListOffsetsPartition, isDuplicate: Bool,
    _ request: ListOffsetsRequest, _ context: RequestContext, _ broker: Broker,
    then: @escaping (Answer) -> Void
  ) {
    func fail(_ error: ErrorCode) {
      then(Answer(partitionIndex: at.partition, errorCode: error))
    }
    if isDuplicate { return fail(.invalidRequest) }
    guard let topic = broker.topics.state.topic(at.topic),
      (0..<topic.partitionCount).contains(Int(at.partition))
    else { return fail(.unknownTopicOrPartition) }
    let leaderEpoch = topic.leaderEpochs[Int(at.partition)]
    if wanted.currentLeaderEpoch >= 0, wanted.currentLeaderEpoch != leaderEpoch {
      return fail(
        wanted.currentLeaderEpoch < leaderEpoch ? .fencedLeaderEpoch : .unknownLeaderEpoch)
    }
    guard broker.topics.phase == .ready,
      let ref = broker.topics.placement.place(topic.id, Int(at.partition)).slot,
      let entry = broker.scoreboard.entry(ref), !entry.isOffline
    else { return fail(.leaderNotAvailable) }
    func found(_ offset: Int64, timestampMs: Int64 = -1) {
      then(
        Answer(
          partitionIndex: at.partition, timestamp: timestampMs, offset: offset,
          leaderEpoch: offset < 0 || context.version < 4 ? -1 : leaderEpoch))
    }
    let end =
      request.replicaId >= 0
      ? entry.logEndOffset
      : request.isolationLevel == readCommitted ? entry.lastStableOffset : entry.highWatermark
    switch wanted.timestamp {
    case latest: found(end)
    case earliest: found(entry.logStartOffset)
    case earliestLocal where context.version >= 8: found(entry.logStartOffset)
    case latestTiered where context.version >= 9: found(-1)
    case maxTimestamp where context.version >= 7:
      broker.logs.lookUpMaxTimestamp(ref) { answer in
        switch answer {
        case .found(let offset, let timestampMs):
          offset < end ? found(offset, timestampMs: timestampMs) : found(-1)
        case .refused(let error): fail(error)
        case .lost: fail(.leaderNotAvailable)
        }
      }
    case 0...:
      broker.reads.add { [unowned broker] done in
        TimestampSearch.find(
          wanted.timestamp, ref, from: entry.logStartOffset, to: end, broker
        ) { result in
          switch result {
          case .found(let record):
            found(record?.offset ?? -1, timestampMs: record?.timestampMs ?? -1)
          case .failed(let error): fail(error)
          }
          done()
        }
      }
    default: fail(context.version < 7 ? .unsupportedForMessageFormat : .unsupportedVersion)
    }
  }
}
