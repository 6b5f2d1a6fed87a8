// One or more values of every message of every edge.
import Linux
import Model

@testable import IPC

enum Samples {
  static let query = SegmentQuery(token: 7, slot: 3, generation: 9, offset: 1 << 40)
  static let refusal = SegmentRefusal(
    token: 7, slot: 3, generation: 9, error: .offsetOutOfRange)

  static func segment(index: Bool, transactions: Bool = false) -> SegmentDescription {
    SegmentDescription(
      token: .max, slot: 1, generation: 2, baseOffset: 3, nextBaseOffset: .max, size: 5,
      startPosition: 6, carriesIndex: index,
      transactions: SegmentTransactions(
        carriesIndex: transactions, nextBaseOffset: .max, lastStableOffset: -7, edition: .max >> 1))
  }

  static let id = UUID128(high: 0x0123_4567_89AB_CDEF, low: 0xFEDC_BA98_7654_3210)
  static let name = PartitionName(topic: "tópic", partition: 12, topicId: id)
  static let state = PartitionState(
    name: name, slot: 4, generation: 5, error: .kafkaStorageError, detail: "disk is full")

  static var config: LogConfig {
    var config = LogConfig()
    config.segmentBytes = 1
    config.segmentMs = 2
    config.segmentJitterMs = 3
    config.segmentIndexBytes = 4
    config.indexIntervalBytes = 5
    config.maxMessageBytes = 6
    config.logAppendTime = true
    config.timestampBeforeMaxMs = 7
    config.timestampAfterMaxMs = 8
    config.deletes = false
    config.compacts = true
    config.retentionMs = 9
    config.retentionBytes = 10
    config.fileDeleteDelayMs = 11
    config.minCleanableDirtyRatio = 0.25
    config.minCompactionLagMs = 14
    config.maxCompactionLagMs = 15
    config.deleteRetentionMs = 16
    config.flushMessages = 12
    config.flushMs = 13
    config.preallocate = true
    return config
  }

  static let dynamic = DynamicBrokerConfigs(
    clusterWide: ["log.retention.ms": ""],
    perBroker: ["log.retention.ms": "\u{e9}"])

  static let statistics = ProcessStatistics(
    role: .fetcher, instance: 2, pid: 4711, startedMs: 1_700_000_000_000, residentBytes: 1 << 22,
    cpuMicroseconds: 99,
    counters: [.init("fetch_requests", 5), .init("bytes_sent", .max), .level("parked", 3)],
    topics: [
      TopicWork(topic: "t", bytesIn: 1, bytesOut: 2, recordsIn: 3, requests: .max),
      TopicWork(topic: ""),
    ],
    connections: [
      ConnectionWork(
        number: 1 << 33, peer: "[::1]:4", clientId: "c", requests: 1, bytesIn: 2, bytesOut: 3)
    ])

  static let image = ImageUpdate(
    epoch: 8, isSnapshot: true,
    topics: [
      TopicImage(
        name: "a", id: id, maxMessageBytes: 1000,
        partitions: [
          PartitionImage(slot: 1, generation: 2, leaderEpoch: 3),
          PartitionImage(slot: PartitionImage.noSlot, generation: 0, leaderEpoch: -1),
        ]),
      TopicImage(
        name: "b", id: .zero, maxMessageBytes: 1, partitions: [], logAppendTime: true,
        timestampBeforeMaxMs: 2, timestampAfterMaxMs: 3, requiresKeys: true, minInsyncReplicas: 4,
        compression: TopicCompression(type: .zstd, level: -7)),
    ],
    removed: [id])

  static func fetch(socket: Bool) -> LentFetch {
    LentFetch(
      connection: 77, carriesSocket: socket, peer: "127.0.0.1:40912", frame: [0, 1, 2, 255])
  }

  static let request = ClientRequest(
    connection: 1, request: 2, listener: "PLAINTEXT", peer: "[::1]:4", localHost: "::1",
    localPort: 9092, principal: "User:ANONYMOUS", frame: [1, 2, 3])

  static let frontendToLogWriter: [FrontendToLogWriter] = [
    .attachSlab(size: 1 << 30), .append([]),
    .append([
      AppendEntry(cookie: 1, slot: 2, generation: 3, offset: 4, length: 5, acks: -1),
      AppendEntry(cookie: .max, slot: .max, generation: 0, offset: .max, length: .max, acks: 1),
    ]),
  ]
  static let logWriterToFrontend: [LogWriterToFrontend] = [
    .scoreboard,
    .appended([
      AppendedEntry(cookie: 1, error: .none, baseOffset: 4, logAppendTimeMs: 5, logStartOffset: 6),
      AppendedEntry(cookie: 2, error: .unknownServerError),
      AppendedEntry(cookie: 3, error: .kafkaStorageError, trouble: .lowOnSpace),
    ]),
  ]
  static let frontendToFetcher: [FrontendToFetcher] = [
    .fetch(fetch(socket: true)), .fetch(fetch(socket: false)), .forget(connection: 9), .giveBack,
  ]
  static let fetcherToFrontend: [FetcherToFrontend] = [
    .served(connection: 1, bytes: 1 << 40), .refused(connection: 2, reason: "why"), .draining,
    .returned(ReturnedSocket(connection: 3, unanswered: 4)),
    .returned(ReturnedSocket(connection: 3, unanswered: 0, sent: 1 << 40, rest: [5, 6])),
  ]
  static let frontendToCoordinator: [FrontendToCoordinator] = [
    .request(request), .statistics([statistics, statistics]), .statistics([]),
  ]
  static let coordinatorToFrontend: [CoordinatorToFrontend] = [
    .response(connection: 1, request: 2, frame: [9, 9]),
    .refused(connection: 1, request: 2, reason: "no"), .image(image),
    .reportStatistics(busiest: 50),
    .configureBroker(dynamic), .configureBroker(DynamicBrokerConfigs()),
  ]
  static let frontendToCodec: [FrontendToCodec] = [
    .attachSlab(size: 1 << 28), .open([]),
    .open([
      OpenEntry(
        cookie: 1, offset: 2, length: 3, target: .lz4, level: 9, requiresKeys: true,
        timestampMin: 4, timestampMax: 5, decompressedMax: 6, batchMax: 7),
      OpenEntry(cookie: .max, offset: .max, length: .max, decompressedMax: 0, batchMax: .max),
    ]), .reportStatistics,
  ]
  static let codecToFrontend: [CodecToFrontend] = [
    .opened([]),
    .opened([
      OpenedEntry(cookie: 1, verdict: .sound, maxTimestamp: 5, records: [1, 2, 3]),
      OpenedEntry(cookie: 2, verdict: .noKey, faults: [0, 7]),
      OpenedEntry(cookie: 3, verdict: .recompressedTooLarge, detail: 1 << 40),
    ]), .statistics(statistics),
  ]
  static let fetcherToLogWriter: [FetcherToLogWriter] = [.attachWaitBoard, .openSegment(query)]
  static let logWriterToFetcher: [LogWriterToFetcher] = [
    .scoreboard, .segment(segment(index: true)), .segment(segment(index: false)),
    .segment(segment(index: true, transactions: true)),
    .segment(segment(index: false, transactions: true)),
    .segmentUnavailable(refusal), .advanced(slots: [1, 2, .max]), .advanced(slots: []),
    .dropped([
      DroppedSegments(slot: 1, generation: 2, fromOffset: .min, toOffset: .max),
      DroppedSegments(slot: 3, generation: 4, fromOffset: 5, toOffset: 6),
    ]),
  ]
  static let fetcherToCoordinator: [FetcherToCoordinator] = [.statistics(statistics)]
  static let coordinatorToFetcher: [CoordinatorToFetcher] = [
    .image(image), .reportStatistics(busiest: 50), .configureBroker(dynamic),
  ]
  static let coordinatorToLogWriter: [CoordinatorToLogWriter] = [
    .createPartitions(
      token: 1, [PartitionSpec(name: name, config: config, leaderEpoch: 5, creation: .begun)]),
    .deletePartitions(token: 2, [name, name]), .configureTopic(topicId: id, config),
    .append(token: 3, slot: 4, generation: 5, acks: -1, batches: [1, 2, 3]), .openSegment(query),
    .lookUpTimestamp(token: 1, slot: 2, generation: 3, timestampMs: -2),
    .lookUpMaxTimestamp(token: 1, slot: 2, generation: 3), .reportStatistics(busiest: 50),
    .deleteRecords(token: 1, [RecordsToDelete(slot: 2, generation: 3, beforeOffset: -1)]),
    .configureBroker(dynamic),
    .describeLogDirs(token: 9),
  ]
  static let logWriterToCoordinator: [LogWriterToCoordinator] = [
    .scoreboard(clusterId: "nQ5IT4hhTvKqEOtqMfoXWQ"), .inventory([state, state], isLast: true),
    .partitionsCreated(token: 1, [state]),
    .partitionsDeleted(token: 2, []),
    .appended(
      token: 3,
      AppendedEntry(cookie: 3, error: .none, baseOffset: 1, logAppendTimeMs: 2, logStartOffset: 3)),
    .segment(segment(index: true)), .segmentUnavailable(refusal),
    .maxTimestamp(token: 4, error: .none, offset: 5, timestampMs: 6), .partitionChanged(state),
    .statistics([statistics, statistics]),
    .logDirs(token: 9, []),
    .logDirs(
      token: 9,
      [
        LogDirState(
          path: "/srv/a", totalBytes: 1 << 40, usableBytes: 7,
          partitions: [.init(topic: "t", partition: 3, size: 1 << 33)]),
        LogDirState(path: "/srv/b", error: .kafkaStorageError),
      ]),
    .recordsDeleted(
      token: 1,
      [RecordsDeleted(error: .none, lowWatermark: 7), RecordsDeleted(error: .offsetOutOfRange)]),
  ]
  static let aborted = AbortedTransaction(
    producerId: 1, firstOffset: 2, lastOffset: 3, lastStableOffset: 4)
  static let order = CleaningOrder(
    token: 1, topic: "t", partition: 2, firstDirtyOffset: 3, endOffset: 4, nowMs: 5,
    deleteRetentionMs: 6, maxMessageBytes: 7, segmentBytes: 8, segmentIndexBytes: 9,
    segments: [SegmentToClean(baseOffset: 1, size: 2, indexSize: 3, timeIndexSize: 4)],
    producers: [ProducerLastRecord(producerId: 1, producerEpoch: 2, lastDataOffset: -1)],
    abortedTransactions: [aborted, aborted])
  static let cleanerToLogWriter: [CleanerToLogWriter] = [
    .openSegment(token: 1, baseOffset: 2), .openOutput(token: 3, baseOffset: 4),
    .replace(
      CleanedSegment(
        token: 1, baseOffset: 2, lastBaseOffset: 3, size: 4, abortedTransactions: [aborted])),
    .cleaned(
      token: 1, endOffset: 2,
      CleaningReport(recordsRead: 3, recordsKept: 4, bytesRead: 5, bytesWritten: 6)),
    .failed(token: 1, reason: "corrupt"), .statistics(statistics),
  ]
  static let logWriterToCleaner: [LogWriterToCleaner] = [
    .clean(order), .segment(token: 1, baseOffset: 2), .output(token: 3, baseOffset: 4),
    .replaced(token: 5, baseOffset: 6), .cancel(token: 7), .reportStatistics,
    .configureBroker(dynamic),
  ]
  static let adminToCoordinator: [AdminToCoordinator] = [
    .status(busiest: 0), .status(busiest: 50),
  ]
  static let coordinatorToAdmin: [CoordinatorToAdmin] = [.status([]), .status([statistics])]

  /// Calls `check` once for every direction of every edge.
  static func forEachDirection(_ check: any DirectionCheck) {
    check.run(frontendToLogWriter)
    check.run(logWriterToFrontend)
    check.run(frontendToFetcher)
    check.run(fetcherToFrontend)
    check.run(frontendToCoordinator)
    check.run(coordinatorToFrontend)
    check.run(frontendToCodec)
    check.run(codecToFrontend)
    check.run(fetcherToLogWriter)
    check.run(logWriterToFetcher)
    check.run(fetcherToCoordinator)
    check.run(coordinatorToFetcher)
    check.run(coordinatorToLogWriter)
    check.run(logWriterToCoordinator)
    check.run(cleanerToLogWriter)
    check.run(logWriterToCleaner)
    check.run(adminToCoordinator)
    check.run(coordinatorToAdmin)
  }
}

protocol DirectionCheck {
  func run<M: Message>(_ samples: [M])
}

func payload<M: Message>(of message: M) -> [UInt8] {
  var writer = MessageWriter()
  message.encode(into: &writer)
  return writer.bytes
}

/// Decodes as a channel does; nil and the rule when it is refused.
func decode<M: Message>(_ type: M.Type, _ kind: UInt16, _ bytes: [UInt8]) -> (M?, String) {
  bytes.withUnsafeBytes { raw in
    var reader = MessageReader(raw)
    do {
      let message = try M(kind: kind, from: &reader)
      try reader.end()
      return (message, "")
    } catch { return (nil, "\(error)") }
  }
}
