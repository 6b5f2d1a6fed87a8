// What the tests of the log share: temporary directories, batches with right checksums, random input
// that can be had again, and a whole log read back from its files.

import Foundation
import Linux
import Model
import Records
import Testing

@testable import Storage

/// SplitMix64. `STORAGE_TEST_SEED=<number>` in the environment repeats a run.
struct Seed: RandomNumberGenerator, CustomStringConvertible {
  let value: UInt64
  private var state: UInt64

  /// The seed of the environment.
  static var given: UInt64? {
    ProcessInfo.processInfo.environment["STORAGE_TEST_SEED"].flatMap { UInt64($0) }
  }

  init(_ fixed: UInt64? = nil) {
    value = fixed ?? Self.given ?? UInt64.random(in: 0...UInt64.max)
    state = value
  }

  var description: String { "STORAGE_TEST_SEED=\(value)" }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }
  mutating func chance(_ percent: Int) -> Bool { int(1...100) <= percent }
}

/// A directory that goes away with its owner; in memory where that can be had.
final class TemporaryDirectory {
  let path: String

  init() {
    let memory = "/dev/shm"
    let parent =
      FileManager.default.isWritableFile(atPath: memory) ? memory : NSTemporaryDirectory()
    path = "\(parent)/sluice-storage-\(UUID().uuidString)"
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A record batch as a producer sends it.
struct Batch {
  var records = 1
  var payload = 100
  var timestamp: Int64 = 1_000
  var producerId: Int64 = -1
  var epoch: Int16 = -1
  var sequence: Int32 = -1
  var isTransactional = false
  var isControl = false
  var fill: UInt8 = 7

  var bytes: [UInt8] {
    var header = RecordBatchHeader(
      attributes: .init(isTransactional: isTransactional, isControlBatch: isControl),
      lastOffsetDelta: Int32(records - 1), baseTimestamp: timestamp, maxTimestamp: timestamp,
      recordCount: Int32(records))
    header.batchLength = Int32(RecordBatchHeader.size - 12 + payload)
    header.producerId = producerId
    header.producerEpoch = epoch
    header.baseSequence = sequence
    var bytes = [UInt8](repeating: fill, count: RecordBatchHeader.size + payload)
    bytes.withUnsafeMutableBytes { raw in
      header.write(to: raw)
      header.crc = RecordBatchHeader.checksum(ofBatch: UnsafeRawBufferPointer(raw))
      header.write(to: raw)
    }
    return bytes
  }
}

/// A log directory with one partition, closed or crashed at will.
final class Fixture {
  let temporary = TemporaryDirectory()
  let settings = LogSettings()
  let device: LogDevice
  let partition = TopicPartition(topic: "t", partition: 0)
  static let topicId = UUID128(high: 1, low: 2)
  private(set) var directory: LogDirectory
  private(set) var log: PartitionLog
  private(set) var report: RecoveryReport?
  var nowMs: Int64 = 5_000

  init(
    device: LogDevice = LogDevice(), openSegmentsMax: Int = 8,
    _ configure: (inout LogConfig) -> Void = { _ in }
  ) throws {
    configure(&settings.config)
    self.device = device
    directory = try Self.open(temporary.path, settings, device, openSegmentsMax)
    log = try directory.create(partition, topicId: Self.topicId, settings: settings)
    log.lead(3)
  }

  private static func open(
    _ path: String, _ settings: LogSettings, _ device: LogDevice, _ openSegmentsMax: Int
  ) throws -> LogDirectory {
    try LogDirectory(
      path, nodeId: 1, clusterId: nil, settings: settings,
      environment: LogEnvironment(openSegmentsMax: openSegmentsMax, device: device))
  }

  /// Stages without committing.
  func stage(_ batch: Batch, from origin: AppendOrigin = .client) throws -> AppendOutcome {
    try stage(batch.bytes, from: origin)
  }

  func stage(_ bytes: [UInt8], from origin: AppendOrigin = .coordinator) throws -> AppendOutcome {
    // The bytes must live until the commit, as the slab does.
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
    memory.copyBytes(from: bytes)
    staged.append(memory)
    return try log.stage(UnsafeRawBufferPointer(memory), from: origin, nowMs: nowMs)
  }

  private var staged: [UnsafeMutableRawBufferPointer] = []

  func commit() throws {
    defer {
      for memory in staged { memory.deallocate() }
      staged = []
    }
    try log.commit()
  }

  @discardableResult
  func append(_ batch: Batch, from origin: AppendOrigin = .client) throws -> AppendOutcome {
    let outcome = try stage(batch, from: origin)
    try commit()
    return outcome
  }

  /// Appends the end of a producer's transaction.
  @discardableResult
  func end(_ producerId: Int64, commit: Bool, epoch: Int16 = 0) throws -> AppendOutcome {
    let outcome = try stage(Self.marker(producerId, commit: commit, epoch: epoch))
    try self.commit()
    return outcome
  }

  static func marker(_ producerId: Int64, commit: Bool, epoch: Int16 = 0) -> [UInt8] {
    EndTransactionMarker(isCommit: commit, coordinatorEpoch: 1).batch(
      timestamp: 1_000, producerId: producerId, producerEpoch: epoch)
  }

  /// Closes and opens again.
  func restart() throws {
    let failures = try directory.close()
    try #require(failures.isEmpty)
    try reopen()
  }

  /// Opens again without closing: memory is lost, files are as they are.
  func crash(_ damage: () throws -> Void = {}) throws {
    try damage()
    try reopen()
  }

  private func reopen() throws {
    // The lock belongs to the open directory: let go of it first.
    let path = temporary.path
    let elsewhere = TemporaryDirectory()
    directory = try Self.open(elsewhere.path, settings, device, 1)
    log = try directory.create(partition, topicId: Self.topicId, settings: settings)
    directory = try Self.open(path, settings, device, 8)
    let found = directory.logs[partition]
    log = try #require(found, "\(directory.refused)")
    log.lead(3)
    report = nil
    if log.needsRecovery || !log.unindexed.isEmpty { report = try recover() }
  }

  /// Bytes in a slice of recovery, and how many slices the last one took.
  var sliceBytes = Int64.max
  private(set) var slices = 0

  private func recover() throws -> RecoveryReport {
    let recovery = LogRecovery(log, nowMs: nowMs)
    slices = 0
    while true {
      slices += 1
      if let report = try recovery.advance(bytesMax: sliceBytes) { return report }
    }
  }

  func path(_ name: String) -> String { "\(temporary.path)/\(partition)/\(name)" }

  func file(_ kind: LogFileKind, _ base: Int64 = 0) throws -> [UInt8] {
    try File.contents(path(LogFileName.name(kind, base)))
  }

  func overwrite(_ kind: LogFileKind, _ base: Int64 = 0, _ change: (inout [UInt8]) -> Void) throws {
    var bytes = try file(kind, base)
    change(&bytes)
    try Data(bytes).write(to: URL(fileURLWithPath: path(LogFileName.name(kind, base))))
  }

  /// Headers and positions of all batches, from the files, checksums checked.
  func batches() throws -> [(segment: Int64, position: Int64, header: RecordBatchHeader)] {
    var found: [(Int64, Int64, RecordBatchHeader)] = []
    for segment in log.segments {
      let bytes = try file(.log, segment.baseOffset)
      try #require(Int64(bytes.count) == segment.size)
      try bytes.withUnsafeBytes { raw in
        var position = 0
        while position < raw.count {
          let rest = UnsafeRawBufferPointer(rebasing: raw[position...])
          let header = try #require(RecordBatchHeader(rest))
          try #require(header.sizeInBytes <= rest.count)
          let whole = UnsafeRawBufferPointer(rebasing: rest[..<header.sizeInBytes])
          #expect(header.checksumMatches(whole))
          found.append((segment.baseOffset, Int64(position), header))
          position += header.sizeInBytes
        }
      }
    }
    return found
  }

  /// What the log remembers of a producer, for comparison.
  func producer(_ id: Int64) throws -> ProducerEntry? {
    _ = try log.openedSegment(nowMs: nowMs)
    return log.producers[id]
  }
}

extension ProducerEntry {
  var batches: [ProducerBatch] { (0..<batchCount).map { batch($0) } }
}

func hex(_ text: String) -> [UInt8] {
  let digits = text.filter { !$0.isWhitespace }
  return stride(from: 0, to: digits.count, by: 2).map { i in
    let start = digits.index(digits.startIndex, offsetBy: i)
    return UInt8(digits[start...digits.index(after: start)], radix: 16) ?? 0
  }
}

/// A segment handle as plain values.
struct Place {
  let segment: LogSegment
  let nextBaseOffset: Int64
  let startPosition: Int64
  let hasIndex: Bool
  let log: OwnedDescriptor

  init?(_ handle: consuming SegmentHandle?) {
    guard let handle else { return nil }
    segment = handle.segment
    nextBaseOffset = handle.nextBaseOffset
    startPosition = handle.startPosition
    hasIndex = handle.index != nil
    guard let copy = try? handle.log.duplicate() else { return nil }
    log = OwnedDescriptor(copy)
  }
}

final class OwnedDescriptor {
  let fd: OwnedFD
  init(_ fd: consuming OwnedFD) { self.fd = fd }
  var size: Int64 { get throws { try File.status(fd).size } }
}

extension PartitionLog {
  func place(of offset: Int64) throws -> Place? { Place(try openSegment(at: offset)) }
  func place(ofTimestamp timestamp: Int64) throws -> Place? {
    Place(try openSegment(atTimestamp: timestamp, nowMs: 0))
  }
}
