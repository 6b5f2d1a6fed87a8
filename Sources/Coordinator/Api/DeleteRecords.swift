// DeleteRecords (KIP-107): raises the log start offset of partitions. The answer follows when the
// logwriter has made the new start durable: what a client was told to be deleted stays deleted.

import IPC
import KafkaProtocol
import Model

enum DeleteRecordsApi {
  private typealias TopicAnswer = DeleteRecordsResponse.DeleteRecordsTopicResult
  private typealias PartitionAnswer = DeleteRecordsResponse.DeleteRecordsPartitionResult

  /// Where the answer of an entry of the question to the logwriter goes.
  private struct Place {
    var topic: Int
    var partition: Int
  }

  static func handle(_ request: DeleteRecordsRequest, _ context: RequestContext, _ broker: Broker) {
    var answers: [TopicAnswer] = []
    var wanted: [RecordsToDelete] = []
    var places: [Place] = []
    for (topicNumber, topic) in request.topics.enumerated() {
      var answer = TopicAnswer(name: topic.name)
      for (number, partition) in topic.partitions.enumerated() {
        let at = TopicPartition(topic: topic.name, partition: partition.partitionIndex)
        var error = ErrorCode.none
        do throws(TopicRejection) {
          let ref = try find(at, broker)
          wanted.append(
            RecordsToDelete(
              slot: ref.slot, generation: ref.generation, beforeOffset: partition.offset))
          places.append(Place(topic: topicNumber, partition: number))
        } catch let rejection { error = rejection.error }
        answer.partitions.append(
          PartitionAnswer(partitionIndex: at.partition, lowWatermark: -1, errorCode: error))
      }
      answers.append(answer)
    }
    if wanted.isEmpty { return send(answers, context, broker) }
    var isAnswered = false
    func answer(_ results: (Int) -> RecordsDeleted) {
      if isAnswered { return }
      isAnswered = true
      for (index, place) in places.enumerated() {
        let result = results(index)
        answers[place.topic].partitions[place.partition].errorCode = result.error
        answers[place.topic].partitions[place.partition].lowWatermark = result.lowWatermark
      }
      send(answers, context, broker)
    }
    let timer = broker.timers.after(Int64(max(0, request.timeoutMs))) {
      answer { _ in RecordsDeleted(error: .requestTimedOut) }
    }
    broker.logs.deleteRecords(wanted) { [unowned broker] results in
      broker.timers.cancel(timer)
      answer { index in
        // Without a logwriter nobody leads; the client asks again.
        guard let results, index < results.count else {
          return RecordsDeleted(error: .notLeaderOrFollower)
        }
        return results[index]
      }
    }
  }

  private static func find(_ at: TopicPartition, _ broker: Broker) throws(TopicRejection) -> SlotRef
  {
    guard let topic = broker.topics.state.topic(at.topic),
      (0..<topic.partitionCount).contains(Int(at.partition))
    else { throw TopicRejection(.unknownTopicOrPartition, "") }
    if topic.isInternal { throw TopicRejection(.invalidTopicException, "") }
    switch broker.topics.placement.place(topic.id, Int(at.partition)) {
    case .open(let ref): return ref
    case .failed(.kafkaStorageError, _): throw TopicRejection(.kafkaStorageError, "")
    case .pending, .failed: throw TopicRejection(.notLeaderOrFollower, "")
    }
  }

  private static func send(
    _ answers: [TopicAnswer], _ context: RequestContext, _ broker: Broker
  ) {
    broker.replies.answer(DeleteRecordsResponse(topics: answers), to: context.reply)
  }
}
