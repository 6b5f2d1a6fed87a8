// Gathers records into one batch a partition and sends them, at the latest when a batch is full.
// Retries what Kafka says may be retried, on a new connection where the old one is gone; idempotence
// keeps a retry from storing a record twice.

import Compression
import KafkaProtocol
import Linux
import Model
import Records

struct BatchSender {
  private let cluster: Cluster
  private let topic: String
  private let compression: CompressionType
  private let acks: Int16
  private let batchBytes: Int
  /// In the order of the partitions' numbers.
  private var lanes: [Lane]
  /// Set where all records go to one partition.
  private let fixedLane: Int?
  /// Where records without a key go until that batch is sent.
  private var stickyLane = 0
  private var producer: (id: Int64, epoch: Int16)?
  private var outage = Outage()
  /// Records that the broker has acknowledged, or that were sent with acks 0.
  private(set) var sentRecords: Int64 = 0

  private struct Lane {
    let partition: Int32
    var leader: Int32
    var batch = RecordBatchBuilder()
    var nextSequence: Int32 = 0
  }

  private static let timeoutMs: Int32 = 30_000
  private static let highestVersion: Int16 = 12

  init(
    cluster: Cluster, topic: MetadataResponse.MetadataResponseTopic, fixedPartition: Int32?,
    compression: CompressionType, acks: Int16, batchBytes: Int
  ) throws(ClientError) {
    self.cluster = cluster
    self.topic = topic.name ?? ""
    self.compression = compression
    self.acks = acks
    self.batchBytes = batchBytes
    let sorted = topic.partitions.map { Lane(partition: $0.partitionIndex, leader: $0.leaderId) }
      .sorted { $0.partition < $1.partition }
    lanes = sorted
    fixedLane = fixedPartition.flatMap { fixed in sorted.firstIndex { $0.partition == fixed } }
    if let fixedPartition, fixedLane == nil {
      throw .refused(
        .unknownTopicOrPartition, about: "\(self.topic)-\(fixedPartition)", message: nil)
    }
    if lanes.isEmpty { throw .refused(.leaderNotAvailable, about: self.topic, message: nil) }
    if acks == -1 {
      producer = try cluster.patiently { () throws(ClientError) in
        let answer = try cluster.any().request(
          InitProducerIdRequest(transactionalId: nil, transactionTimeoutMs: 60_000))
        try answer.errorCode.require("producer id")
        return (answer.producerId, answer.producerEpoch)
      }
    }
  }

  mutating func add(key: [UInt8]?, value: [UInt8]?, headers: [RecordHeader]) throws(ClientError) {
    let lane =
      fixedLane ?? key.map { Partitioner.partition(key: $0, count: lanes.count) } ?? stickyLane
    // The record's own lengths and numbers take a few bytes more.
    let recordBytes = (key?.count ?? 0) + (value?.count ?? 0) + 32
    if !lanes[lane].batch.isEmpty, lanes[lane].batch.sizeInBytes + recordBytes > batchBytes {
      try send(lane)
    }
    lanes[lane].batch.append(timestamp: Clock.wallMs(), key: key, value: value, headers: headers)
  }

  mutating func flush() throws(ClientError) {
    for lane in lanes.indices { try send(lane) }
  }

  private mutating func send(_ index: Int) throws(ClientError) {
    if lanes[index].batch.isEmpty { return }
    if let producer {
      lanes[index].batch.setProducer(
        id: producer.id, epoch: producer.epoch, baseSequence: lanes[index].nextSequence)
    }
    let count = lanes[index].batch.count
    let bytes = try compressed(lanes[index].batch)
    lanes[index].batch = RecordBatchBuilder()
    while true {
      do {
        try attempt(bytes, index)
        outage.end()
        break
      } catch { try outage.bear(error, cluster) }
      do { try refreshLeaders() } catch { try outage.bear(error, cluster) }
    }
    lanes[index].nextSequence = RecordBatchHeader.sequence(
      lanes[index].nextSequence, advancedBy: Int32(count))
    sentRecords += Int64(count)
    if index == stickyLane { stickyLane = (stickyLane + 1) % lanes.count }
  }

  private func attempt(_ bytes: [UInt8], _ index: Int) throws(ClientError) {
    let partition = lanes[index].partition
    let broker = try cluster.broker(node: lanes[index].leader)
    let request = ProduceRequest(
      acks: acks, timeoutMs: Self.timeoutMs,
      topicData: [
        .init(name: topic, partitionData: [.init(index: partition, records: .inline(bytes))])
      ])
    if acks == 0 { return try broker.requestWithoutAnswer(request, highest: Self.highestVersion) }
    let response = try broker.request(
      request, highest: Self.highestVersion, waitMs: Int64(Self.timeoutMs))
    guard let answer = response.responses.first?.partitionResponses.first else {
      throw .refused(
        .unknownServerError, about: "\(topic)-\(partition)", message: "the answer is empty")
    }
    // The batch is there already: an earlier attempt's answer was lost.
    if answer.errorCode == .duplicateSequenceNumber { return }
    try answer.errorCode.require("\(topic)-\(partition)", answer.errorMessage)
  }

  private mutating func refreshLeaders() throws(ClientError) {
    for found in try cluster.topic(topic).partitions {
      for index in lanes.indices where lanes[index].partition == found.partitionIndex {
        lanes[index].leader = found.leaderId
      }
    }
  }

  private func compressed(_ batch: RecordBatchBuilder) throws(ClientError) -> [UInt8] {
    do throws(CompressionError) {
      return try batch.build(compression: compression) { records throws(CompressionError) in
        try Compression.compress(records, as: compression)
      }
    } catch { throw .refused(.corruptMessage, about: topic, message: "\(error)") }
  }
}
