// The walkers against the struct decoders: for any bytes both accept the same, and what the walker
// shows in place is what the decoder copied.
import KafkaProtocol
import Testing

@Suite struct WalkerTests {
  let seed = UInt64.random(in: 0...UInt64.max)

  @Test func produceWalkerAgreesWithDecoder() throws {
    try compare(ProduceRequest.self) { bytes, version in
      Self.walkProduce(bytes, version)
    } decode: { bytes, version in
      try ProduceRequest(decoding: bytes, version: version).lines
    }
  }

  @Test func fetchWalkerAgreesWithDecoder() throws {
    try compare(FetchRequest.self) { bytes, version in
      Self.walkFetch(bytes, version)
    } decode: { bytes, version in
      try FetchRequest(decoding: bytes, version: version).lines
    }
  }

  /// Random messages and mutations of them, in every version.
  private func compare<M: WireMessage>(
    _ type: M.Type, walk: ([UInt8], Int16) -> [String]?, decode: ([UInt8], Int16) throws -> [String]
  ) throws {
    let message = try #require(try Support.definitions()["\(type.messageName)"])
    var accepted = 0
    for version in type.validVersions {
      for round in 0..<200 {
        let seed = seed &+ UInt64(round)
        var random = SeededGenerator(seed: seed)
        var bytes = RandomEncoder.encode(message, version: Int(version), seed: seed)
        if round % 2 == 1 {
          let position = Int.random(in: 0..<bytes.count, using: &random)
          bytes[position] = UInt8.random(in: 0...255, using: &random)
        }
        if round % 8 == 7 { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
        let decoded = try? decode(bytes, version)
        let walked = walk(bytes, version)
        try #require(walked == decoded, "\(type.messageName) v\(version), seed \(seed)")
        if walked != nil { accepted += 1 }
      }
    }
    #expect(accepted > 100)
  }

  private static func walkProduce(_ bytes: [UInt8], _ version: Int16) -> [String]? {
    let span = bytes.span.bytes
    var lines: [String] = []
    do {
      var walker = try ProduceRequestWalker(reading: WireReader(span), version: version)
      let id = walker.transactionalId.map { $0.string(in: span) } ?? "null"
      lines.append("\(id) \(walker.acks) \(walker.timeoutMs) \(walker.topicDataCount)")
      while let item = try walker.next() {
        switch item {
        case .topicProduceData(let topic):
          lines.append(
            "\(topic.name.string(in: span)) \(topic.topicId) \(topic.partitionDataCount)")
        case .partitionProduceData(let partition):
          lines.append("\(partition.index) \(describe(partition.records))")
        }
      }
      try walker.reader.finish()
      return lines
    } catch { return nil }
  }

  private static func walkFetch(_ bytes: [UInt8], _ version: Int16) -> [String]? {
    let span = bytes.span.bytes
    var lines: [String] = []
    do {
      var walker = try FetchRequestWalker(reading: WireReader(span), version: version)
      while let item = try walker.next() {
        switch item {
        case .fetchTopic(let topic):
          lines.append("\(topic.topic.string(in: span)) \(topic.topicId) \(topic.partitionsCount)")
        case .fetchPartition(let partition): lines.append(describe(partition))
        case .forgottenTopic(let topic):
          lines.append("- \(topic.topic.string(in: span)) \(topic.topicId)")
        case .forgottenTopicPartitions(let partition): lines.append("- \(partition)")
        }
      }
      try walker.reader.finish()
      let clusterId = walker.clusterId.map { $0.string(in: span) } ?? "null"
      lines.append(
        line(
          clusterId, walker.rackId.string(in: span), walker.replicaId,
          walker.replicaState.replicaId, walker.replicaState.replicaEpoch, walker.maxWaitMs,
          walker.minBytes, walker.maxBytes, walker.isolationLevel, walker.sessionId,
          walker.sessionEpoch))
      return lines
    } catch { return nil }
  }

  private static func describe(_ partition: FetchRequestWalker.FetchPartition) -> String {
    line(
      partition.partition, partition.currentLeaderEpoch, partition.fetchOffset,
      partition.lastFetchedEpoch, partition.logStartOffset, partition.partitionMaxBytes,
      partition.replicaDirectoryId, partition.highWatermark)
  }

  fileprivate static func line(_ values: Any...) -> String {
    values.map { "\($0)" }.joined(separator: " ")
  }

  fileprivate static func describe(_ records: WireSlice?) -> String {
    records.map { "\($0.offset)+\($0.count)" } ?? "null"
  }
}

extension ProduceRequest {
  fileprivate var lines: [String] {
    var lines = ["\(transactionalId ?? "null") \(acks) \(timeoutMs) \(topicData.count)"]
    for topic in topicData {
      lines.append("\(topic.name) \(topic.topicId) \(topic.partitionData.count)")
      for partition in topic.partitionData {
        lines.append("\(partition.index) \(WalkerTests.describe(partition.records?.decoded))")
      }
    }
    return lines
  }
}

extension FetchRequest {
  fileprivate var lines: [String] {
    var lines: [String] = []
    for topic in topics {
      lines.append("\(topic.topic) \(topic.topicId) \(topic.partitions.count)")
      for partition in topic.partitions {
        lines.append(
          WalkerTests.line(
            partition.partition, partition.currentLeaderEpoch, partition.fetchOffset,
            partition.lastFetchedEpoch, partition.logStartOffset, partition.partitionMaxBytes,
            partition.replicaDirectoryId, partition.highWatermark))
      }
    }
    for topic in forgottenTopicsData {
      lines.append("- \(topic.topic) \(topic.topicId)")
      for partition in topic.partitions { lines.append("- \(partition)") }
    }
    lines.append(
      WalkerTests.line(
        clusterId ?? "null", rackId, replicaId, replicaState.replicaId, replicaState.replicaEpoch,
        maxWaitMs, minBytes, maxBytes, isolationLevel, sessionId, sessionEpoch))
    return lines
  }
}
