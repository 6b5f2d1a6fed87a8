// A logwriter that keeps its logs in memory and answers at once. Segments are memfds.

import IPC
import Linux
import Model
import Records

@testable import Coordinator

final class FakeLogWriter {
  struct Log {
    var name: PartitionName
    var config: LogConfig
    var slot: UInt32
    var bytes: [UInt8] = []
    var startOffset: Int64 = 0
    var endOffset: Int64 = 0
    var leaderEpoch: Int32 = 0
  }

  /// By slot.
  var logs: [UInt32: Log] = [:]
  private var nextSlot: UInt32 = 0
  /// Grows with every restart.
  var generation: UInt32 = 1
  /// Answers to `createPartitions` for these topics.
  var failures: [String: ErrorCode] = [:]
  /// Answer to `append`.
  var appendError = ErrorCode.none
  private(set) var messages: [CoordinatorToLogWriter] = []

  var inventory: [PartitionState] {
    logs.values.sorted { $0.slot < $1.slot }.map { state($0) }
  }

  /// A new process with the logs of the old one.
  func restart() { generation += 1 }

  func log(_ topic: String, _ partition: Int32 = 0) -> Log? {
    logs.values.first { $0.name.topic == topic && $0.name.partition == partition }
  }

  func entry(_ ref: SlotRef) -> ScoreboardEntry? {
    guard ref.generation == generation, let log = logs[ref.slot] else { return nil }
    return ScoreboardEntry(
      generation: generation, logStartOffset: log.startOffset, logEndOffset: log.endOffset,
      highWatermark: log.endOffset, lastStableOffset: log.endOffset, leaderEpoch: log.leaderEpoch,
      isOffline: false, segmentBaseOffset: 0, segmentPosition: Int64(log.bytes.count))
  }

  func handle(_ message: CoordinatorToLogWriter) -> [(LogWriterToCoordinator, OwnedFDBox?)] {
    messages.append(message)
    switch message {
    case .createPartitions(let token, let specs):
      return [(.partitionsCreated(token: token, specs.map { create($0) }), nil)]
    case .deletePartitions(let token, let names):
      for name in names { logs = logs.filter { $0.value.name != name } }
      let states = names.map {
        PartitionState(name: $0, slot: PartitionImage.noSlot, generation: 0)
      }
      return [(.partitionsDeleted(token: token, states), nil)]
    case .append(let token, let slot, _, _, let batches):
      return [(.appended(token: token, append(slot, batches, token)), nil)]
    case .openSegment(let query):
      return [open(token: query.token, query.slot, query.generation)]
    case .lookUpTimestamp(let token, let slot, let generation, _):
      return [open(token: token, slot, generation)]
    case .lookUpMaxTimestamp(let token, let slot, _):
      let (offset, timestampMs) = greatest(slot)
      return [
        (.maxTimestamp(token: token, error: .none, offset: offset, timestampMs: timestampMs), nil)
      ]
    case .deleteRecords(let token, let records):
      return [(.recordsDeleted(token: token, records.map { delete($0) }), nil)]
    case .configureTopic(let id, let config):
      for (slot, log) in logs where log.name.topicId == id { logs[slot]?.config = config }
      return []
    case .reportStatistics, .configureBroker: return []
    case .describeLogDirs(let token):
      let partitions = logs.values.sorted { $0.slot < $1.slot }.map {
        LogDirState.Partition(
          topic: $0.name.topic, partition: $0.name.partition, size: Int64($0.bytes.count))
      }
      return [
        (
          .logDirs(
            token: token,
            [
              LogDirState(path: "/a", totalBytes: 1000, usableBytes: 10, partitions: partitions),
              LogDirState(path: "/b", error: .kafkaStorageError),
            ]), nil
        )
      ]
    }
  }

  private func delete(_ records: RecordsToDelete) -> RecordsDeleted {
    guard records.generation == generation, var log = logs[records.slot] else {
      return RecordsDeleted(error: .notLeaderOrFollower)
    }
    if !log.config.deletes { return RecordsDeleted(error: .policyViolation) }
    let start = records.beforeOffset == -1 ? log.endOffset : records.beforeOffset
    guard start >= 0, start <= log.endOffset else {
      return RecordsDeleted(error: .offsetOutOfRange)
    }
    log.startOffset = max(log.startOffset, start)
    logs[records.slot] = log
    return RecordsDeleted(error: .none, lowWatermark: log.startOffset)
  }

  /// Appends a batch as a producer would.
  func append(_ slot: UInt32, _ batches: [UInt8], _ token: UInt64 = 0) -> AppendedEntry {
    guard appendError == .none else { return AppendedEntry(cookie: token, error: appendError) }
    guard var log = logs[slot] else {
      return AppendedEntry(cookie: token, error: .unknownTopicOrPartition)
    }
    let baseOffset = log.endOffset
    var bytes = batches
    bytes.withUnsafeMutableBytes { raw in
      var position = 0
      while let header = RecordBatchHeader(UnsafeRawBufferPointer(rebasing: raw[position...])) {
        RecordBatchHeader.assign(
          baseOffset: log.endOffset, partitionLeaderEpoch: 0,
          in: UnsafeMutableRawBufferPointer(rebasing: raw[position...]))
        log.endOffset += Int64(header.lastOffsetDelta) + 1
        position += header.sizeInBytes
      }
    }
    log.bytes += bytes
    logs[slot] = log
    return AppendedEntry(cookie: token, error: .none, baseOffset: baseOffset, logStartOffset: 0)
  }

  /// A log's disk is gone.
  func lose(_ topic: String, _ partition: Int32) -> Log? {
    log(topic, partition).flatMap { logs.removeValue(forKey: $0.slot) }
  }

  /// Adds a log that nobody asked for, as found on disk.
  func addLog(_ name: PartitionName, leaderEpoch: Int32 = 0) {
    logs[nextSlot] = Log(name: name, config: LogConfig(), slot: nextSlot, leaderEpoch: leaderEpoch)
    nextSlot += 1
  }

  private func create(_ spec: PartitionSpec) -> PartitionState {
    if let error = failures[spec.name.topic] {
      return PartitionState(
        name: spec.name, slot: PartitionImage.noSlot, generation: 0, error: error, detail: "full")
    }
    if let log = logs.values.first(where: {
      $0.name.topic == spec.name.topic && $0.name.partition == spec.name.partition
    }) {
      logs[log.slot]?.config = spec.config
      return log.name.topicId == spec.name.topicId
        ? state(log)
        : PartitionState(
          name: spec.name, slot: PartitionImage.noSlot, generation: 0, error: .inconsistentTopicId)
    }
    if spec.creation == .done {
      return PartitionState(
        name: spec.name, slot: PartitionImage.noSlot, generation: 0, error: .kafkaStorageError,
        detail: "no directory")
    }
    let log = Log(name: spec.name, config: spec.config, slot: nextSlot)
    logs[nextSlot] = log
    nextSlot += 1
    return state(log)
  }

  private func state(_ log: Log) -> PartitionState {
    PartitionState(name: log.name, slot: log.slot, generation: generation)
  }

  private func open(
    token: UInt64, _ slot: UInt32, _ generation: UInt32
  ) -> (LogWriterToCoordinator, OwnedFDBox?) {
    guard let log = logs[slot], generation == self.generation,
      let file = try? MemoryFile.sealed(name: "segment", contents: log.bytes)
    else {
      return (
        .segmentUnavailable(
          SegmentRefusal(
            token: token, slot: slot, generation: generation, error: .unknownTopicOrPartition)),
        nil
      )
    }
    return (
      .segment(
        SegmentDescription(
          token: token, slot: slot, generation: generation, baseOffset: 0, nextBaseOffset: .max,
          size: Int64(log.bytes.count), startPosition: 0, carriesIndex: false)),
      OwnedFDBox(file)
    )
  }

  /// As a time index has it: the last offset of the batch with the greatest timestamp.
  private func greatest(_ slot: UInt32) -> (Int64, Int64) {
    (logs[slot]?.bytes ?? []).withUnsafeBytes { bytes in
      var found: (Int64, Int64) = (-1, -1)
      var batches = RecordBatchIterator(bytes)
      while let (header, _) = try? batches.next() {
        if header.maxTimestamp <= found.1 { continue }
        found = (header.lastOffset, header.maxTimestamp)
      }
      return found
    }
  }

  /// Every record of an uncompressed log.
  func records(_ slot: UInt32) -> [Record] {
    (logs[slot]?.bytes ?? []).withUnsafeBytes { bytes in
      var records: [Record] = []
      var batches = RecordBatchIterator(bytes)
      while let (header, batch) = try? batches.next() {
        records +=
          (try? Record.all(
            of: header,
            payload: UnsafeRawBufferPointer(rebasing: batch[RecordBatchHeader.size...]))) ?? []
      }
      return records
    }
  }
}
