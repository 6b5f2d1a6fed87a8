// Gathers records into one batch a partition and sends them, at the latest when a batch is full.
// Retries what Kafka says may be retried; idempotence keeps a retry from storing a record twice.

import Compression
import Glibc
import KafkaProtocol
import Linux
import Model
import Records

struct BatchSender {
  private let cluster: Cluster
  private let topic: String
  private var leaders: [Int32: Int32] = [:]
  private let partitions: [Int32]
  private let fixedPartition: Int32?
  private let compression: CompressionType
  private let acks: Int16
  private let batchBytes: Int
  private var batches: [Int32: RecordBatchBuilder] = [:]
  private var nextSequence: [Int32: Int32] = [:]
  private var stickyIndex = 0
  private var producer: (id: Int64, epoch: Int16)?

  private static let retriesMax = 20
  private static let retryPauseMs: UInt32 = 100

  init(
    cluster: Cluster, topic: MetadataResponse.MetadataResponseTopic, fixedPartition: Int32?,
    compression: CompressionType, acks: Int16, batchBytes: Int
  ) throws(ClientError) {
    self.cluster = cluster
    self.topic = topic.name ?? ""
    partitions = topic.partitions.map(\.partitionIndex).sorted()
    for partition in topic.partitions { leaders[partition.partitionIndex] = partition.leaderId }
    self.fixedPartition = fixedPartition
    self.compression = compression
    self.acks = acks
    self.batchBytes = batchBytes
    if let fixedPartition, !partitions.contains(fixedPartition) {
      throw .refused(
        .unknownTopicOrPartition, about: "\(self.topic)-\(fixedPartition)", message: nil)
    }
    if partitions.isEmpty { throw .refused(.leaderNotAvailable, about: self.topic, message: nil) }
    if acks == -1 {
      let answer = try cluster.any().request(
        InitProducerIdRequest(transactionalId: nil, transactionTimeoutMs: 60_000))
      try answer.errorCode.require("producer id")
      producer = (answer.producerId, answer.producerEpoch)
    }
  }

  mutating func add(key: [UInt8]?, value: [UInt8], headers: [RecordHeader]) throws(ClientError) {
    let partition =
      fixedPartition
      ?? partitions[
        key.map { Partitioner.partition(key: $0, count: partitions.count) } ?? stickyIndex]
    var batch = batches[partition] ?? RecordBatchBuilder()
    batch.append(timestamp: Clock.wallMs(), key: key, value: value, headers: headers)
    let isFull = batch.sizeInBytes >= batchBytes
    batches[partition] = batch
    if isFull { try send(partition) }
  }

  mutating func flush() throws(ClientError) {
    for partition in batches.keys.sorted() { try send(partition) }
  }

  private mutating func send(_ partition: Int32) throws(ClientError) {
    guard var batch = batches.removeValue(forKey: partition) else { return }
    let sequence = nextSequence[partition] ?? 0
    if let producer {
      batch.setProducer(id: producer.id, epoch: producer.epoch, baseSequence: sequence)
    }
    let bytes = try compressed(batch)
    for attempt in 0... {
      let error = try attemptSend(bytes, partition)
      if error == .none { break }
      guard Self.isRetriable(error), attempt < Self.retriesMax else {
        throw .refused(error, about: "\(topic)-\(partition)", message: nil)
      }
      usleep(Self.retryPauseMs * 1000)
      for found in try cluster.topic(topic).partitions {
        leaders[found.partitionIndex] = found.leaderId
      }
    }
    nextSequence[partition] = RecordBatchHeader.sequence(sequence, advancedBy: Int32(batch.count))
    stickyIndex = (stickyIndex + 1) % partitions.count
  }

  private func attemptSend(_ bytes: [UInt8], _ partition: Int32) throws(ClientError) -> ErrorCode {
    let broker = try cluster.broker(node: leaders[partition] ?? -1)
    let request = ProduceRequest(
      acks: acks, timeoutMs: 30_000,
      topicData: [
        .init(name: topic, partitionData: [.init(index: partition, records: .inline(bytes))])
      ])
    if acks == 0 {
      try broker.requestWithoutAnswer(request, highest: 12)
      return .none
    }
    let response = try broker.request(request, highest: 12, waitMs: 30_000)
    return response.responses.first?.partitionResponses.first?.errorCode ?? .unknownServerError
  }

  private func compressed(_ batch: RecordBatchBuilder) throws(ClientError) -> [UInt8] {
    do throws(CompressionError) {
      return try batch.build(compression: compression) { records throws(CompressionError) in
        try Compression.compress(records, as: compression)
      }
    } catch { throw .refused(.corruptMessage, about: topic, message: "\(error)") }
  }

  private static func isRetriable(_ error: ErrorCode) -> Bool {
    switch error {
    case .notLeaderOrFollower, .leaderNotAvailable, .unknownTopicOrPartition, .requestTimedOut,
      .networkException, .notEnoughReplicas, .notEnoughReplicasAfterAppend, .kafkaStorageError:
      true
    default: false
    }
  }
}
