// DescribeLogDirs (KIP-113, KIP-827): every log directory with its room and its partitions. A client
// may name the partitions that it wants to hear of; directories are told of in any case.

import IPC
import KafkaProtocol
import Model

enum DescribeLogDirsApi {
  private typealias Result = DescribeLogDirsResponse.DescribeLogDirsResult
  private typealias TopicAnswer = DescribeLogDirsResponse.DescribeLogDirsTopic
  private typealias PartitionAnswer = DescribeLogDirsResponse.DescribeLogDirsPartition

  static func handle(
    _ request: DescribeLogDirsRequest, _ context: RequestContext, _ broker: Broker
  ) {
    let wanted = request.topics.map { topics in
      Set(
        topics.flatMap { topic in
          topic.partitions.map { TopicPartition(topic: topic.topic, partition: $0) }
        })
    }
    broker.logs.describeLogDirs { [unowned broker] directories in
      guard let directories else {
        // Versions before 3 have no place for an error: nothing is known of any directory.
        broker.replies.answer(
          DescribeLogDirsResponse(errorCode: .kafkaStorageError), to: context.reply)
        return
      }
      broker.replies.answer(
        DescribeLogDirsResponse(results: directories.map { result($0, wanted) }),
        to: context.reply)
    }
  }

  private static func result(_ directory: LogDirState, _ wanted: Set<TopicPartition>?) -> Result {
    var places: [String: Int] = [:]
    var topics: [TopicAnswer] = []
    for partition in directory.partitions {
      let at = TopicPartition(topic: partition.topic, partition: partition.partition)
      if let wanted, !wanted.contains(at) { continue }
      let place = places[partition.topic] ?? topics.count
      if place == topics.count {
        places[partition.topic] = place
        topics.append(TopicAnswer(name: partition.topic))
      }
      topics[place].partitions.append(
        PartitionAnswer(
          partitionIndex: partition.partition, partitionSize: partition.size, offsetLag: 0,
          isFutureKey: false))
    }
    return Result(
      errorCode: directory.error, logDir: directory.path, topics: topics,
      totalBytes: directory.totalBytes, usableBytes: directory.usableBytes)
  }
}
