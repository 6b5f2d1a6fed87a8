// A log under a random load on a disk that is recorded, what it has promised so far, and the check of
// a disk after a crash against that.

import Foundation
import Linux
import Model
import Records

@testable import Storage

final class CrashWorld {
  /// A partition as a topic id knows it: one that is deleted and created again is another.
  private final class Incarnation {
    let partition: TopicPartition
    let topicId: UUID128
    /// What was ever given to the disk, in order.
    var batches: [(header: RecordBatchHeader, bytes: [UInt8])] = []
    /// What producers were told to be on disk: everything below.
    var promisedEnd: Int64 = 0
    /// What clients were told to be deleted: everything below.
    var promisedStart: Int64 = 0
    var isDeleted = false
    var sequences: [Int64: Int32] = [:]
    var waiting: [Int64] = []
    /// Base offsets of batches that compaction may have removed.
    var removable: Set<Int64> = []

    init(_ partition: TopicPartition, _ topicId: UUID128) {
      self.partition = partition
      self.topicId = topicId
    }

    var end: Int64 { batches.last?.header.nextOffset ?? 0 }
  }

  let device: RecordingDevice
  private let temporary = TemporaryDirectory()
  private let home: String
  private var disk = DiskModel()
  private var seed: Seed
  private var executor: ManualSyncExecutor
  private var directory: LogDirectory?
  private let settings = LogSettings()
  private var incarnations: [Incarnation] = []
  private var nowMs: Int64 = 1_000_000
  private var nextTopicId: UInt64 = 1
  private var epoch: Int32 = 0
  private var imageCount = 0
  /// What is being put in the place of segments, and whose.
  private var replacement: (of: Incarnation, steps: SegmentReplacement)?
  /// Replacements that were finished.
  private(set) var replacements = 0

  init(_ seed: Seed) throws {
    self.seed = seed
    try File.makeDirectory(temporary.path)
    home = "\(temporary.path)/live"
    try File.makeDirectory(home)
    device = RecordingDevice(root: home)
    executor = ManualSyncExecutor(device)
    settings.config.segmentBytes = 1_500
    settings.config.indexIntervalBytes = 200
    settings.config.fileDeleteDelayMs = 0
    settings.config.compacts = true
    if self.seed.chance(30) { settings.config.flushMessages = 7 }
    try open()
    for number in 0..<2 { try create(Int32(number)) }
  }

  private var dataPath: String { "\(home)/data" }

  private func open() throws {
    executor = ManualSyncExecutor(device)
    let opened = try LogDirectory(
      dataPath, nodeId: 1, clusterId: "c", settings: settings,
      environment: LogEnvironment(openSegmentsMax: 4, device: device, executor: executor))
    directory = opened
    for incarnation in incarnations where !incarnation.isDeleted {
      guard let log = opened.logs[incarnation.partition] else { continue }
      if log.needsRecovery || !log.unindexed.isEmpty { try log.recover(nowMs: nowMs) }
      log.lead(epoch)
      incarnation.waiting = []
    }
  }

  private func create(_ number: Int32) throws {
    let partition = TopicPartition(topic: "t", partition: number)
    let topicId = UUID128(high: 1, low: nextTopicId)
    nextTopicId += 1
    // Known from before the first change: a crash may show any part of it.
    incarnations.append(Incarnation(partition, topicId))
    try directory?.create(partition, topicId: topicId, settings: settings).lead(epoch)
  }

  private func log(_ incarnation: Incarnation) -> PartitionLog? {
    directory?.logs[incarnation.partition]
  }

  // MARK: Load

  /// Does one random thing. What it promises is noted when it is over.
  func step() throws {
    nowMs += 10
    let living = incarnations.filter { !$0.isDeleted }
    guard let one = living.randomElement(using: &seed) else { return }
    switch seed.int(1...100) {
    case 1...40: try append(one)
    case 41...65: performSyncs()
    case 66...75: try clean(one)
    case 76...82: directory?.beginCheckpoint()
    case 83...86:
      epoch += 1
      for each in living { log(each)?.lead(epoch) }
    case 87...90: try deleteRecords(one)
    case 91...93: try directory?.sweep(nowMs: nowMs)
    case 94...95: try recreate(one)
    case 96...97: try restart(isClean: true)
    default: try restart(isClean: false)
    }
    takeNews()
  }

  private func append(_ one: Incarnation) throws {
    guard let log = log(one) else { return }
    var staged: [[UInt8]] = []
    for _ in 0..<seed.int(1...3) {
      staged.append(nextBatch(one))
      let bytes = staged[staged.count - 1]
      // The memory lives until the commit: an array's buffer may not.
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
      memory.copyBytes(from: bytes)
      memories.append(memory)
      let outcome = try log.stage(UnsafeRawBufferPointer(memory), from: .client, nowMs: nowMs)
      guard case .staged(let baseOffset, _) = outcome else {
        throw CrashFinding(
          "\(one.partition): an append in order was answered with \(outcome), \(log.failure, default: "online")"
        )
      }
      note(one, bytes, baseOffset, log.leaderEpoch)
    }
    try log.commit()
    for memory in memories { memory.deallocate() }
    memories = []
    let durability = log.flushAfterAppend(acksAll: seed.chance(60), nowMs: nowMs)
    if case .onDisk(let offset) = durability.acksAll { one.waiting.append(offset) }
  }

  private var memories: [UnsafeMutableRawBufferPointer] = []

  private func nextBatch(_ one: Incarnation) -> [UInt8] {
    var batch = Batch(
      records: seed.int(1...4), payload: seed.int(0...300),
      timestamp: nowMs + Int64(seed.int(0...50)),
      fill: UInt8(seed.int(1...255)))
    if seed.chance(70) {
      batch.producerId = Int64(seed.int(1...3))
      batch.epoch = 0
      batch.sequence = one.sequences[batch.producerId] ?? 0
      one.sequences[batch.producerId] = batch.sequence + Int32(batch.records)
    }
    return batch.bytes
  }

  private func note(
    _ one: Incarnation, _ bytes: [UInt8], _ baseOffset: Int64, _ leaderEpoch: Int32
  ) {
    var bytes = bytes
    bytes.withUnsafeMutableBytes {
      RecordBatchHeader.assign(
        baseOffset: baseOffset, partitionLeaderEpoch: leaderEpoch,
        in: UnsafeMutableRawBufferPointer(rebasing: $0[..<RecordBatchHeader.size]))
    }
    guard let header = bytes.withUnsafeBytes({ RecordBatchHeader($0) }) else { return }
    one.batches.append((header, bytes))
  }

  private func performSyncs() {
    for _ in 0..<seed.int(1...6) where executor.begunCount > 0 {
      executor.perform(seed.int(0...(executor.begunCount - 1)))
    }
    directory?.environment.finishSyncs()
  }

  /// Begins a replacement, or takes the next step of the one that is going on.
  private func clean(_ one: Incarnation) throws {
    if let (owner, steps) = replacement {
      guard !owner.isDeleted else {
        replacement = nil
        return
      }
      do throws(SegmentReplacement.Failure) {
        switch try steps.next() {
        case .check(let file): file.check()
        case .sync(let descriptors):
          for descriptor in descriptors {
            do throws(Errno) { try device.sync(descriptor: descriptor, dataOnly: false) } catch {
              _ = steps.failed(error)
            }
          }
        case nil:
          replacement = nil
          replacements += 1
        }
      } catch .outdated {
        replacement = nil
      } catch {
        throw CrashFinding("\(owner.partition): a replacement failed: \(error)")
      }
      return
    }
    guard let log = log(one), let cleanable = try log.cleanable(nowMs: nowMs),
      cleanable.endOffset > cleanable.firstDirtyOffset
    else { return }
    let closed = log.segments.filter { $0.baseOffset < cleanable.endOffset }
    if closed.isEmpty { return }
    let first = seed.int(0...(closed.count - 1))
    let last = seed.int(first...min(first + 3, closed.count - 1))
    let file = try log.openUnnamed()
    var size: Int64 = 0
    for segment in closed[first...last] {
      let path = "\(log.path)/\(LogFileName.name(.log, segment.baseOffset))"
      for batch in try Self.batches(in: path) {
        // The last one of what is cleaned stays always, as a cleaner has it.
        if seed.chance(50), batch.header.nextOffset < cleanable.endOffset {
          one.removable.insert(batch.header.baseOffset)
          continue
        }
        try batch.bytes.withUnsafeBytes { raw in try device.write(file, raw, at: size) }
        size += Int64(batch.bytes.count)
      }
    }
    let steps = try SegmentReplacement(
      of: log, by: file, size: size,
      offsets: closed[first].baseOffset...closed[last].baseOffset, abortedTransactions: [])
    replacement = (one, steps)
  }

  private func deleteRecords(_ one: Incarnation) throws {
    guard let log = log(one), let directory else { return }
    let offset = Int64(seed.int(Int(log.logStartOffset)...Int(log.logEndOffset)))
    guard log.deleteRecords(before: offset) == .none else { return }
    // Retention deletes what is on disk only; this may be more.
    try directory.writeLogStarts(durable: true)
    one.promisedStart = max(one.promisedStart, offset)
    _ = try log.removeBreachedSegments(nowMs: nowMs)
  }

  private func recreate(_ one: Incarnation) throws {
    guard let directory else { return }
    one.isDeleted = true
    try directory.delete([one.partition])
    if seed.chance(50) { performSyncs() }
    try create(one.partition.partition)
  }

  private func restart(isClean: Bool) throws {
    if isClean, let failures = try directory?.close(), let first = failures.first {
      throw CrashFinding("a clean stop failed: \(first)")
    }
    directory = nil
    replacement = nil
    try open()
    for one in incarnations where !one.isDeleted {
      guard let log = log(one) else { throw CrashFinding("\(one.partition) is gone") }
      if log.isOffline { throw CrashFinding("\(one.partition) went offline") }
      guard log.logEndOffset == max(one.end, one.promisedStart) else {
        throw CrashFinding(
          "\(one.partition) ends at \(log.logEndOffset) instead of \(one.end) after a restart")
      }
      if isClean { one.promisedEnd = log.logEndOffset }
    }
  }

  /// Producers are told what has been made durable.
  private func takeNews() {
    for one in incarnations where !one.isDeleted {
      guard let log = log(one) else { continue }
      one.waiting.removeAll { offset in
        guard log.recoveryPoint >= offset else { return false }
        one.promisedEnd = max(one.promisedEnd, offset)
        return true
      }
    }
    directory?.environment.takeFlushed { _ in }
    _ = directory?.environment.takeCleanable()
  }

  // MARK: Crashes

  /// Runs a step, and lets the power go `count` times somewhere within it.
  /// - Returns: what was wrong afterwards.
  func stepWithCrashes(_ count: Int) throws -> [String] {
    let promises = incarnations.map { ($0, $0.promisedEnd, $0.promisedStart) }
    try step()
    let changes = device.take()
    var findings: [String] = []
    for _ in 0..<count {
      let made = seed.int(0...changes.count)
      var image = disk
      for change in changes.prefix(made) { image.apply(change) }
      let loss = DiskModel.Loss.allCases[seed.int(0...3)]
      // Only what was told before the crash counts.
      let isOver = made == changes.count
      let kept = incarnations.map { ($0, $0.promisedEnd, $0.promisedStart) }
      let before = isOver ? kept : promises
      if let finding = try check(image, loss, before, isOver: isOver) {
        findings.append("\(loss), after \(made) of \(changes.count) changes: \(finding)")
      }
    }
    for change in changes { disk.apply(change) }
    return findings
  }

  private func check(
    _ image: DiskModel, _ loss: DiskModel.Loss, _ promises: [(Incarnation, Int64, Int64)],
    isOver: Bool
  ) throws -> String? {
    imageCount += 1
    let path = "\(temporary.path)/\(imageCount)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try image.write(to: path, loss, &seed)
    do {
      let recovered = try LogDirectory(
        "\(path)/data", nodeId: 1, clusterId: "c", settings: settings,
        environment: LogEnvironment(openSegmentsMax: 4))
      for (one, end, start) in promises where !one.isDeleted {
        if let finding = try check(recovered, one, end, start, loss) {
          return "\(one.partition) (\(one.topicId.low)): \(finding)"
        }
      }
      return nil
    } catch { return "the directory cannot be opened: \(error)" }
  }

  private func check(
    _ directory: LogDirectory, _ one: Incarnation, _ promisedEnd: Int64, _ promisedStart: Int64,
    _ loss: DiskModel.Loss
  ) throws -> String? {
    guard let log = directory.logs[one.partition], log.topicId == one.topicId else {
      let other = directory.logs[one.partition]?.topicId.low
      return promisedEnd > 0 ? "not there, topic id \(other.map { "\($0)" } ?? "-")" : nil
    }
    if log.needsRecovery || !log.unindexed.isEmpty {
      do { try log.recover(nowMs: nowMs) } catch { return "recovery failed: \(error)" }
    }
    if let failure = log.failure { return "offline: \(failure)" }
    if log.logStartOffset < promisedStart {
      return "starts at \(log.logStartOffset), deleted below \(promisedStart)"
    }
    if log.logEndOffset < max(promisedEnd, promisedStart) {
      return "ends at \(log.logEndOffset), promised \(promisedEnd)"
    }
    let found = try Self.batches(of: log, in: "\(directory.path)/\(one.partition)")
    let first = log.segments[0].baseOffset
    let written = one.batches.filter {
      $0.header.baseOffset >= first && $0.header.nextOffset <= log.logEndOffset
    }
    let isThere = Set(found.map(\.header.baseOffset))
    // What compaction has removed may come back, and goes with the next one.
    let expected = written.filter {
      isThere.contains($0.header.baseOffset) || !one.removable.contains($0.header.baseOffset)
    }
    guard found.map(\.bytes) == expected.map(\.bytes) else {
      return "has \(found.map(\.header.baseOffset)) of \(expected.map(\.header.baseOffset))"
    }
    if first > log.logStartOffset { return "its first segment \(first) is behind its start" }
    let greatest = found.map(\.header.maxTimestamp).max()
    return try checkDerived(
      log, written.map(\.header), greatest, isWhole: first == 0 && log.logStartOffset == 0)
  }

  /// Producers, leader epochs and indexes, and whether the log goes on.
  private func checkDerived(
    _ log: PartitionLog, _ headers: [RecordBatchHeader], _ greatest: Int64?, isWhole: Bool
  ) throws -> String? {
    let told = try log.maxTimestamp(nowMs: nowMs)?.timestampMs
    if log.logStartOffset == 0, told != greatest {
      return "greatest timestamp \(told ?? -1), not \(greatest ?? -1), segments "
        + "\(log.segments), recovery point \(log.checkpointedRecoveryPoint)"
    }
    _ = try log.openedSegment(nowMs: nowMs)
    if isWhole {
      var producers = ProducerState()
      var epochs: [LeaderEpochEntry] = []
      for header in headers {
        if header.hasProducerId { producers.apply(header) }
        if header.partitionLeaderEpoch > epochs.last?.epoch ?? -1 {
          epochs.append(
            LeaderEpochEntry(epoch: header.partitionLeaderEpoch, startOffset: header.baseOffset))
        }
      }
      for id in Int64(1)...3 where producers[id]?.batches != log.producers[id]?.batches {
        return "producer \(id) is \(log.producers[id]?.batches.map(\.lastSequence) ?? []), not "
          + "\(producers[id]?.batches.map(\.lastSequence) ?? [])"
      }
      if log.epochs != epochs { return "leader epochs \(log.epochs), not \(epochs)" }
    }
    let end = log.logEndOffset
    let bytes = Batch(timestamp: nowMs).bytes
    let outcome = try bytes.withUnsafeBytes { raw in
      let outcome = try log.stage(raw, from: .client, nowMs: nowMs)
      try log.commit()
      return outcome
    }
    return outcome == .staged(baseOffset: end, logAppendTimeMs: -1)
      ? nil : "the next append was answered with \(outcome)"
  }

  /// All batches of the log's files, their checksums compared.
  private static func batches(of log: PartitionLog, in path: String) throws
    -> [(header: RecordBatchHeader, bytes: [UInt8])]
  {
    var found: [(RecordBatchHeader, [UInt8])] = []
    for segment in log.segments {
      let batches = try batches(in: "\(path)/\(LogFileName.name(.log, segment.baseOffset))")
      let size = batches.reduce(0) { $0 + $1.bytes.count }
      guard Int64(size) == segment.size else {
        throw CrashFinding("segment \(segment.baseOffset) has \(size) bytes")
      }
      found += batches
    }
    return found
  }

  private static func batches(in file: String) throws
    -> [(header: RecordBatchHeader, bytes: [UInt8])]
  {
    var found: [(RecordBatchHeader, [UInt8])] = []
    let bytes = try File.contents(file)
    var position = 0
    while position < bytes.count {
      let rest = bytes[position...]
      guard let header = rest.withUnsafeBytes({ RecordBatchHeader($0) }),
        header.sizeInBytes <= rest.count
      else { throw CrashFinding("no batch at \(position) of \(file)") }
      let batch = Array(rest.prefix(header.sizeInBytes))
      guard batch.withUnsafeBytes({ header.checksumMatches($0) }) else {
        throw CrashFinding("wrong checksum at offset \(header.baseOffset)")
      }
      found.append((header, batch))
      position += header.sizeInBytes
    }
    return found
  }
}

/// Something that must not be.
struct CrashFinding: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
