// Crashes: files are left as a dying process or machine may leave them, and the log is opened again.

import Foundation
import Linux
import Model
import Records
import Testing

@testable import Storage

struct RecoveryTests {
  private func filled(_ count: Int = 50, segmentBytes: Int32 = 1 << 30) throws -> Fixture {
    let fixture = try Fixture {
      $0.segmentBytes = segmentBytes
      $0.indexIntervalBytes = 1_000
    }
    for index in 0..<count {
      try fixture.append(
        Batch(
          records: 2, payload: 239, timestamp: Int64(index), producerId: Int64(index % 3), epoch: 1,
          sequence: Int32(index / 3 * 2)))
    }
    return fixture
  }

  @Test func cleanRestartReadsNothing() throws {
    let fixture = try filled()
    let indexes = { try (fixture.file(.index), fixture.file(.timeindex)) }
    try fixture.restart()
    #expect(fixture.directory.wasClosedCleanly)
    #expect(fixture.report == nil)
    #expect(fixture.log.logEndOffset == 100)
    #expect(fixture.log.recoveryPoint == 100)
    #expect(fixture.log.active == nil)
    let before = try indexes()
    try fixture.append(Batch())
    try fixture.restart()
    let after = try indexes()
    #expect(Array(after.0.prefix(before.0.count)) == before.0)
    #expect(Array(after.1.prefix(before.1.count)) == before.1)
  }

  @Test func markerIsGoneWhileRunning() throws {
    let fixture = try filled(1)
    let marker = "\(fixture.temporary.path)/.kafka_cleanshutdown"
    try fixture.restart()
    #expect(!File.exists(marker))
    #expect(try fixture.directory.close().isEmpty)
    #expect(
      try File.contents(marker)
        == Array(#"{"version":0,"brokerEpoch":-1,"openTransactions":false}"#.utf8))
  }

  @Test func crashKeepsWhatWasWritten() throws {
    let fixture = try filled()
    let expected = try fixture.batches().map(\.header)
    try fixture.crash()
    #expect(try fixture.batches().map(\.header) == expected)
    #expect(fixture.report?.defect == nil)
    #expect(fixture.report?.checkedBytes == 15_000)
    // The indexes are as if nothing had happened.
    try fixture.restart()
    let again = try filled()
    try again.restart()
    #expect(try fixture.file(.index) == again.file(.index))
    #expect(try fixture.file(.timeindex) == again.file(.timeindex))
  }

  @Test(arguments: [1, 11, 12, 60, 61, 62, 299])
  func tornTails(_ kept: Int) throws {
    let fixture = try filled()
    try fixture.crash { try fixture.overwrite(.log) { $0.removeLast(300 - kept) } }
    #expect(fixture.log.logEndOffset == 98)
    let report = try #require(fixture.report)
    #expect(report.cutBytes == Int64(kept))
    #expect("\(report)".contains("ends at offset 98, cut \(kept) bytes: "))
    #expect(try fixture.batches().count == 49)
    #expect(try fixture.append(Batch()) == .staged(baseOffset: 98, logAppendTimeMs: -1))
  }

  @Test(arguments: [1, 60, 61, 4096, 2_000_000])
  func zeroTails(_ count: Int) throws {
    let fixture = try filled()
    try fixture.crash {
      try fixture.overwrite(.log) { $0 += [UInt8](repeating: 0, count: count) }
    }
    #expect(fixture.log.logEndOffset == 100)
    #expect(fixture.report?.cutBytes == Int64(count))
    #expect(try fixture.append(Batch()) == .staged(baseOffset: 100, logAppendTimeMs: -1))
  }

  /// Bytes of the header that the CRC does not cover decide where a batch is, and are checked so.
  @Test(arguments: Array(0..<12) + Array(16..<62) + [150, 299])
  func flippedBytes(_ byte: Int) throws {
    let fixture = try filled()
    try fixture.crash { try fixture.overwrite(.log) { $0[20 * 300 + byte] ^= 0x80 } }
    #expect(fixture.report?.defect != nil)
    #expect(fixture.log.logEndOffset == 40)
    #expect(fixture.report?.cutBytes == 9_000)
    #expect(try fixture.batches().count == 20)
    #expect(try fixture.append(Batch()) == .staged(baseOffset: 40, logAppendTimeMs: -1))
  }

  @Test func laterSegmentsGoWithTheCut() throws {
    let fixture = try filled(50, segmentBytes: 3_000)
    #expect(fixture.log.segments.map(\.baseOffset) == [0, 20, 40, 60, 80])
    try fixture.crash { try fixture.overwrite(.log, 40) { $0[600] ^= 1 } }
    #expect(fixture.log.segments.map(\.baseOffset) == [0, 20, 40])
    #expect(fixture.log.logEndOffset == 44)
    #expect(fixture.report?.removedSegments == 2)
    #expect(fixture.report?.cutBytes == 8_400)
    let names = try File.names(in: fixture.path(""))
    #expect(!names.contains { $0.hasPrefix("00000000000000000060") })
    for index in 0..<5 {
      #expect(
        try fixture.append(Batch()) == .staged(baseOffset: Int64(44 + index), logAppendTimeMs: -1))
    }
  }

  @Test func onlyTheTailIsRead() throws {
    let fixture = try filled(50, segmentBytes: 3_000)
    try fixture.log.flush()
    try fixture.directory.writeCheckpoints(durable: false)
    for index in 0..<3 { try fixture.append(Batch(payload: 239, timestamp: Int64(index))) }
    // Damage below the recovery point is not looked for.
    try fixture.crash { try fixture.overwrite(.log, 20) { $0[200] ^= 1 } }
    #expect(fixture.report?.defect == nil)
    #expect(fixture.log.logEndOffset == 103)
    #expect(try #require(fixture.report).checkedBytes < 3_000)
    #expect(fixture.log.recoveryPoint == 100)
  }

  @Test func damageToWhatWasPromisedIsNotCut() throws {
    let fixture = try filled()
    try fixture.log.flush()
    try fixture.directory.writeCheckpoints(durable: false)
    try fixture.append(Batch())
    let damaged = {
      try fixture.overwrite(.log) { bytes in
        for index in bytes.indices.suffix(500) { bytes[index] = 0 }
      }
    }
    #expect(throws: StorageError.self) { try fixture.crash(damaged) }
    #expect(fixture.log.isOffline)
    let size = try fixture.file(.log).count
    #expect(size == 15_000 + 161)
    #expect(
      fixture.log.failure?.cause
        == .corruption("the bytes at position 14700 are no batch", offsets: 98..<100))
  }

  @Test func recoveryPointBeyondTheEnd() throws {
    let fixture = try filled()
    try fixture.log.flush()
    try fixture.directory.writeCheckpoints(durable: false)
    #expect(throws: StorageError.self) {
      try fixture.crash { try fixture.overwrite(.log) { $0.removeLast(600) } }
    }
    #expect(
      fixture.log.failure?.cause == .corruption("the log ends at offset 96", offsets: 96..<100))
    #expect(try fixture.append(Batch()) == .refused(.kafkaStorageError))
  }

  @Test func aPromisedLogThatIsEmptyNow() throws {
    let fixture = try filled()
    try fixture.log.flush()
    try fixture.directory.writeCheckpoints(durable: false)
    #expect(throws: StorageError.self) {
      try fixture.crash { try fixture.overwrite(.log) { $0 = [] } }
    }
    #expect(
      fixture.log.failure?.cause == .corruption("the log ends at offset 0", offsets: 0..<100))
  }

  /// Segments begin at 0, 20, 40, 60, 80.
  @Test(arguments: [true, false]) func aMissingSegmentBelowTheRecoveryPoint(_ clean: Bool) throws {
    let fixture = try filled(50, segmentBytes: 3_000)
    #expect(try fixture.directory.close().isEmpty)
    if !clean { try File.remove("\(fixture.temporary.path)/.kafka_cleanshutdown") }
    try fixture.crash { try File.remove(fixture.path(LogFileName.name(.log, 40))) }
    #expect(
      fixture.log.failure?.cause == .corruption("the file is missing", offsets: 40..<60))
    // Nothing of what is left was touched.
    #expect(try fixture.file(.log, 60).count == 3_000)
    #expect(fixture.directory.environment.takeFailed().count == 1)
  }

  @Test func aMissingSegmentBehindTheRecoveryPoint() throws {
    let fixture = try filled(50, segmentBytes: 3_000)
    try fixture.crash { try File.remove(fixture.path(LogFileName.name(.log, 40))) }
    #expect(fixture.report?.defect == "offsets 40 to 59 are missing")
    #expect(fixture.report?.removedSegments == 2)
    #expect(fixture.log.logEndOffset == 40)
    #expect(try fixture.append(Batch()) == .staged(baseOffset: 40, logAppendTimeMs: -1))
  }

  /// A closed segment whose last batches never reached the disk, cut at a boundary.
  @Test func aShortSegmentBehindTheRecoveryPoint() throws {
    let fixture = try filled(50, segmentBytes: 3_000)
    try fixture.crash { try fixture.overwrite(.log, 40) { $0.removeLast(600) } }
    #expect(fixture.report?.defect == "offsets 56 to 59 are missing")
    #expect(fixture.log.logEndOffset == 56)
    #expect(fixture.log.segments.map(\.baseOffset) == [0, 20, 40])
  }

  @Test func aShortSegmentBelowTheRecoveryPoint() throws {
    let fixture = try filled(48, segmentBytes: 3_000)
    try fixture.log.flush()
    try fixture.directory.writeCheckpoints(durable: false)
    for _ in 0..<20 { try fixture.append(Batch(payload: 239)) }
    #expect(throws: StorageError.self) {
      try fixture.crash { try fixture.overwrite(.log, 80) { $0.removeLast(900) } }
    }
    #expect(fixture.log.isOffline)
    #expect(try fixture.file(.log, 80).count == 2_100)
  }

  /// An index without entries is a file all the same: its lack would be one at every start.
  @Test func recoveryLeavesEveryIndexFile() throws {
    let fixture = try Fixture { $0.segmentBytes = 500 }
    for _ in 0..<8 { try fixture.append(Batch()) }
    #expect(fixture.log.segments.count > 2)
    try fixture.crash {
      for segment in fixture.log.segments {
        for kind in [LogFileKind.index, .timeindex] {
          try File.remove(fixture.path(LogFileName.name(kind, segment.baseOffset)))
        }
      }
    }
    for segment in fixture.log.segments {
      #expect(try fixture.file(.index, segment.baseOffset) == [])
      #expect(File.exists(fixture.path(LogFileName.name(.timeindex, segment.baseOffset))))
    }
    try fixture.restart()
    #expect(fixture.report == nil)
  }

  @Test(arguments: [LogFileKind.index, .timeindex], [true, false])
  func missingIndexesOfClosedSegments(_ kind: LogFileKind, _ clean: Bool) throws {
    let fixture = try filled(50, segmentBytes: 3_000)
    let (index, times) = (try fixture.file(.index, 40), try fixture.file(.timeindex, 40))
    #expect(try fixture.directory.close().isEmpty)
    if !clean { try File.remove("\(fixture.temporary.path)/.kafka_cleanshutdown") }
    try fixture.crash { try File.remove(fixture.path(LogFileName.name(kind, 40))) }
    #expect(fixture.report?.indexedSegments == 1)
    #expect(try fixture.file(.index, 40) == index)
    #expect(try fixture.file(.timeindex, 40) == times)
    #expect(fixture.log.logEndOffset == 100)
    #expect(try fixture.append(Batch()) == .staged(baseOffset: 100, logAppendTimeMs: -1))
    #expect(try fixture.producer(1)?.batchCount == 5)
  }

  /// Each is told with what follows from it, and only the one for recovery makes logs be read.
  @Test(arguments: [
    ("log-start-offset-checkpoint", "start with their first segments"),
    ("cleaner-offset-checkpoint", "are cleaned again"),
  ])
  func otherDamagedCheckpointsAreNoReasonToRecover(_ name: String, _ consequence: String) throws {
    let fixture = try filled()
    #expect(try fixture.directory.close().isEmpty)
    let checkpoint = "\(fixture.temporary.path)/\(name)"
    try fixture.crash { try Data("0\n1\nt".utf8).write(to: URL(fileURLWithPath: checkpoint)) }
    #expect(fixture.directory.damaged.map(\.error.path) == [checkpoint])
    #expect(fixture.directory.damaged.first?.consequence.contains(consequence) == true)
    #expect(fixture.report == nil)
    #expect(fixture.log.logEndOffset == 100)
  }

  /// Snapshots above the recovery point go, but not the one of the first segment: what it was made
  /// from is deleted, and the process may die again before anything is on disk.
  @Test func producersOutliveDeletionBeyondTheRecoveryPoint() throws {
    let fixture = try Fixture()
    for sequence in 0..<3 {
      try fixture.append(Batch(producerId: 1, epoch: 0, sequence: Int32(sequence)))
    }
    _ = try fixture.log.openedSegment(nowMs: fixture.nowMs)
    try fixture.log.roll(nowMs: fixture.nowMs)
    try fixture.append(Batch())
    #expect(fixture.log.deleteRecords(before: 3) == .none)
    try fixture.directory.writeLogStarts(durable: true)
    #expect(try fixture.log.removeBreachedSegments(nowMs: fixture.nowMs) == 0..<3)
    for _ in 0..<3 {
      try fixture.crash()
      #expect(fixture.report?.logEndOffset == 4)
      #expect(try fixture.producer(1)?.batches.map(\.lastSequence) == [0, 1, 2])
    }
  }

  @Test func aDamagedCheckpointCountsAsMissing() throws {
    let fixture = try filled()
    #expect(try fixture.directory.close().isEmpty)
    let checkpoint = "\(fixture.temporary.path)/recovery-point-offset-checkpoint"
    try fixture.crash { try Data("0\n1\nt".utf8).write(to: URL(fileURLWithPath: checkpoint)) }
    #expect(fixture.directory.damaged.count == 1)
    #expect(fixture.report?.checkedBytes == 15_000)
    #expect(fixture.log.logEndOffset == 100)
  }

  @Test func slicesComeToTheSameEnd() throws {
    let whole = try filled(50, segmentBytes: 4_000)
    try whole.crash { try whole.overwrite(.log, 78) { $0[300] ^= 1 } }
    let sliced = try filled(50, segmentBytes: 4_000)
    sliced.sliceBytes = 500
    try sliced.crash { try sliced.overwrite(.log, 78) { $0[300] ^= 1 } }
    #expect(sliced.slices > 20)
    #expect(sliced.report == whole.report)
    #expect(try sliced.batches().map(\.header) == whole.batches().map(\.header))
    for base in whole.log.segments.map(\.baseOffset) {
      for kind in [LogFileKind.index, .timeindex] {
        #expect(try sliced.file(kind, base) == whole.file(kind, base))
      }
    }
    for id in 0..<3 {
      #expect(try sliced.producer(Int64(id))?.batches == whole.producer(Int64(id))?.batches)
    }
  }

  enum IndexDamage: CaseIterable {
    case removed, emptied, torn, zeroTail, zeros, garbage, shifted, timeRemoved, timeGarbage
  }

  @Test(arguments: IndexDamage.allCases, [true, false])
  func damagedIndexes(_ damage: IndexDamage, _ clean: Bool) throws {
    let fixture = try filled(200)
    #expect(try fixture.directory.close().isEmpty)
    if !clean { try File.remove("\(fixture.temporary.path)/.kafka_cleanshutdown") }
    let index = fixture.path("00000000000000000000.index")
    try fixture.crash {
      switch damage {
      case .removed: try File.remove(index)
      case .emptied: try fixture.overwrite(.index) { $0 = [] }
      case .torn: try fixture.overwrite(.index) { $0.removeLast(3) }
      case .zeroTail: try fixture.overwrite(.index) { $0 += [UInt8](repeating: 0, count: 10_000) }
      case .zeros: try fixture.overwrite(.index) { $0 = $0.map { _ in 0 } }
      case .garbage: try fixture.overwrite(.index) { $0 = $0.map { $0 ^ 0x5A } }
      case .shifted: try fixture.overwrite(.index) { $0[$0.count - 1] ^= 4 }
      case .timeRemoved: try File.remove(fixture.path("00000000000000000000.timeindex"))
      case .timeGarbage: try fixture.overwrite(.timeindex) { $0 = $0.map { $0 ^ 0x5A } }
      }
    }
    for (_, position, header) in try fixture.batches() {
      let handle = try #require(try fixture.log.place(of: header.lastOffset))
      #expect(handle.startPosition <= position)
    }
    #expect(
      try fixture.append(Batch(timestamp: 9_999)) == .staged(baseOffset: 400, logAppendTimeMs: -1))
    #expect(try fixture.log.maxTimestamp(nowMs: 0) == MaxTimestamp(offset: 400, timestampMs: 9_999))
    // Opening for the append has repaired them.
    let position = try fixture.batches()[190].position
    let handle = try #require(try fixture.log.place(of: 380))
    if damage != .timeGarbage || !clean { #expect(handle.startPosition > position - 2_000) }
  }

  @Test(arguments: [true, false])
  func producersSurvive(_ clean: Bool) throws {
    let fixture = try filled(50, segmentBytes: 4_000)
    let before = try (0..<3).map { try fixture.producer(Int64($0)) }
    if clean { try fixture.restart() } else { try fixture.crash() }
    for id in 0..<3 {
      let now = try #require(try fixture.producer(Int64(id)))
      let was = try #require(before[id])
      #expect(now.batches == was.batches)
      #expect(now.batchCount == 5)
      #expect(now.producerEpoch == was.producerEpoch)
      #expect(now.lastTimestamp == was.lastTimestamp)
      for batch in was.batches {
        let retry = Batch(
          records: 2, producerId: Int64(id), epoch: 1, sequence: batch.firstSequence)
        #expect(
          try fixture.append(retry)
            == .duplicate(baseOffset: batch.firstOffset, timestampMs: batch.timestamp))
      }
    }
  }

  @Test func tornSnapshotsAreReplacedByOlderOnes() throws {
    let fixture = try filled(50, segmentBytes: 4_000)
    let before = try fixture.producer(1)
    #expect(try fixture.directory.close().isEmpty)
    try fixture.crash { try fixture.overwrite(.snapshot, 100) { $0[20] ^= 1 } }
    #expect(fixture.report == nil)
    #expect(try fixture.producer(1)?.batches == before?.batches)
    #expect(!File.exists(fixture.path("00000000000000000100.snapshot")))
  }

  @Test func epochsAreFoundInBatches() throws {
    let fixture = try filled(10)
    fixture.log.lead(8)
    try fixture.append(Batch())
    try fixture.crash { try File.remove(fixture.path("leader-epoch-checkpoint")) }
    let text = try File.contents(fixture.path("leader-epoch-checkpoint"))
    #expect(text == Array("0\n2\n3 0\n8 20\n".utf8))
    try fixture.crash { try fixture.overwrite(.log) { $0.removeLast() } }
    #expect(try File.contents(fixture.path("leader-epoch-checkpoint")) == Array("0\n1\n3 0\n".utf8))
  }

  @Test func kafkaLeavesPreallocatedIndexes() throws {
    let fixture = try filled(50)
    #expect(try fixture.directory.close().isEmpty)
    try File.remove("\(fixture.temporary.path)/.kafka_cleanshutdown")
    let expected = try fixture.file(.index)
    try fixture.crash {
      try fixture.overwrite(.index) { $0 += [UInt8](repeating: 0, count: 10_485_760 - $0.count) }
      try fixture.overwrite(.timeindex) {
        $0 += [UInt8](repeating: 0, count: 10_485_756 - $0.count)
      }
    }
    #expect(try fixture.file(.index) == expected)
    #expect(fixture.log.logEndOffset == 100)
  }
}
