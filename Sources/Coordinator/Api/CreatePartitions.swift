// CreatePartitions: gives topics more partitions; there is no way back.

import KafkaProtocol
import Logging
import Model
import Service

enum CreatePartitionsApi {
  private typealias Wanted = CreatePartitionsRequest.CreatePartitionsTopic
  private typealias Answer = CreatePartitionsResponse.CreatePartitionsTopicResult

  static func handle(
    _ request: CreatePartitionsRequest, _ context: RequestContext, _ broker: Broker
  ) {
    var counts: [String: Int] = [:]
    for topic in request.topics { counts[topic.name, default: 0] += 1 }
    var answers: [Answer] = []
    var topics: [Topic] = []
    var added = 0
    for wanted in request.topics {
      do throws(TopicRejection) {
        guard counts[wanted.name] == 1 else {
          throw TopicRejection(.invalidRequest, "Duplicate topic name.")
        }
        let topic = try check(wanted, broker, &added)
        topics.append(topic)
        answers.append(Answer(name: topic.name))
      } catch {
        answers.append(
          Answer(name: wanted.name, errorCode: error.error, errorMessage: error.message))
      }
    }
    func send() {
      broker.replies.answer(CreatePartitionsResponse(results: answers), to: context.reply)
    }
    if topics.isEmpty || request.validateOnly { return send() }
    let ids = Dictionary(uniqueKeysWithValues: topics.map { ($0.name, $0.id) })
    broker.topics.put(topics, timeoutMs: Int64(max(0, request.timeoutMs))) { result in
      for index in answers.indices where answers[index].errorCode == .none {
        guard let id = ids[answers[index].name] else { continue }
        let (error, message) = failure(result, id, broker)
        answers[index].errorCode = error
        answers[index].errorMessage = message
      }
      send()
    }
  }

  private static func failure(
    _ result: Result<[UUID128: PlacementOutcome], StoreError>, _ id: UUID128, _ broker: Broker
  ) -> (ErrorCode, String?) {
    switch result {
    case .failure(let error):
      broker.log.event(.metadataRefused, "partitions cannot be recorded: \(error)")
      return (.unknownServerError, "The metadata store failed.")
    case .success(let outcomes):
      switch outcomes[id] ?? .placed {
      case .placed: return (.none, nil)
      case .failed(let error, let detail): return (error, detail)
      case .timedOut:
        return (.requestTimedOut, "The partitions are recorded; their logs are not open yet.")
      }
    }
  }

  private static func check(
    _ wanted: Wanted, _ broker: Broker, _ added: inout Int
  ) throws(TopicRejection) -> Topic {
    guard var topic = broker.topics.state.topic(wanted.name) else {
      throw TopicRejection(
        .unknownTopicOrPartition, "This server does not host this topic-partition.")
    }
    if topic.name == GroupCoordinator.topicName {
      // Groups would be looked for in other partitions than they were written to.
      throw TopicRejection(
        .invalidPartitions, "The partitions of \(topic.name) are fixed when it is created.")
    }
    let count = Int(wanted.count)
    if count == topic.partitionCount {
      throw TopicRejection(.invalidPartitions, "Topic already has \(count) partition(s).")
    }
    if count < topic.partitionCount {
      throw TopicRejection(
        .invalidPartitions,
        "The topic \(topic.name) currently has \(topic.partitionCount) partition(s); "
          + "\(count) would not be an increase.")
    }
    let more = count - topic.partitionCount
    if let assignments = wanted.assignments {
      guard assignments.count == more else {
        throw TopicRejection(
          .invalidReplicaAssignment,
          "Attempted to add \(more) additional partition(s), but only \(assignments.count) "
            + "assignment(s) were specified.")
      }
      for assignment in assignments {
        try ReplicaAssignment.check(assignment.brokerIds, nodeId: broker.nodeId)
      }
    }
    added += more
    guard added <= TopicCreation.partitionsPerRequestMax else {
      throw TopicRejection(
        .policyViolation, "Excessively large number of partitions per request.")
    }
    try TopicCreation.checkRoom(for: added, in: broker.topics.state)
    topic.extend(to: count)
    return topic
  }
}
