// DeleteTopics: by name, from version 6 on also by id. The answer follows the record of the
// deletion; the logs go in the background, also after a restart.

import Configuration
import KafkaProtocol
import Logging
import Model
import Service

enum DeleteTopicsApi {
  private typealias Answer = DeleteTopicsResponse.DeletableTopicResult

  private struct Wanted {
    var name: String?
    var id: UUID128
  }

  static func handle(_ request: DeleteTopicsRequest, _ context: RequestContext, _ broker: Broker) {
    let wanted =
      context.version >= 6
      ? request.topics.map { Wanted(name: $0.name, id: $0.topicId) }
      : request.topicNames.map { Wanted(name: $0, id: .zero) }
    guard broker.configuration.deleteTopicEnable else {
      let error: ErrorCode = context.version < 3 ? .invalidRequest : .topicDeletionDisabled
      return send(
        wanted.map { refused($0, TopicRejection(error, "Topic deletion is disabled.")) },
        context, broker)
    }
    var names: [String: Int] = [:]
    for topic in wanted {
      if let name = find(topic, broker)?.name ?? topic.name { names[name, default: 0] += 1 }
    }
    var answers: [Answer] = []
    var topics: [Topic] = []
    for entry in wanted {
      do throws(TopicRejection) {
        let topic = try check(entry, names, broker)
        topics.append(topic)
        answers.append(Answer(name: topic.name, topicId: topic.id))
      } catch { answers.append(refused(entry, error)) }
    }
    if topics.isEmpty { return send(answers, context, broker) }
    broker.topics.delete(topics) { error in
      if let error {
        broker.log.event(.metadataRefused, "a deletion cannot be recorded: \(error)")
        for index in answers.indices where answers[index].errorCode == .none {
          answers[index].errorCode = .unknownServerError
          answers[index].errorMessage = "The metadata store failed."
        }
      }
      send(answers, context, broker)
    }
  }

  private static func find(_ wanted: Wanted, _ broker: Broker) -> Topic? {
    if let name = wanted.name { return broker.topics.state.topic(name) }
    return broker.topics.state.topic(id: wanted.id)
  }

  private static func check(
    _ wanted: Wanted, _ names: [String: Int], _ broker: Broker
  ) throws(TopicRejection) -> Topic {
    if wanted.name != nil, wanted.id != .zero {
      throw TopicRejection(
        .invalidRequest, "You may not specify both topic name and topic id.")
    }
    if wanted.name == nil, wanted.id == .zero {
      throw TopicRejection(.invalidRequest, "Neither topic name nor id were specified.")
    }
    guard let topic = find(wanted, broker) else {
      if wanted.name == nil {
        throw TopicRejection(.unknownTopicId, "This server does not host this topic ID.")
      }
      throw TopicRejection(
        .unknownTopicOrPartition, "This server does not host this topic-partition.")
    }
    guard names[topic.name] == 1 else {
      throw TopicRejection(.invalidRequest, "Duplicate topic name.")
    }
    return topic
  }

  private static func refused(_ wanted: Wanted, _ rejection: TopicRejection) -> Answer {
    Answer(
      name: wanted.name, topicId: wanted.id, errorCode: rejection.error,
      errorMessage: rejection.message)
  }

  private static func send(_ answers: [Answer], _ context: RequestContext, _ broker: Broker) {
    broker.replies.answer(DeleteTopicsResponse(responses: answers), to: context.reply)
  }
}
