// Which segments retention gives up, what DeleteRecords does, and that a crash at any step brings
// nothing back.

import Foundation
import Glibc
import Linux
import Model
import Records
import Testing

@testable import Storage

extension Fixture {
  /// All three steps of deletion.
  @discardableResult
  func retain() throws -> Int64 {
    let dueMs = try log.applyRetention(nowMs: nowMs)
    try directory.writeLogStarts(durable: true)
    _ = try log.removeBreachedSegments(nowMs: nowMs)
    return dueMs
  }

  /// Says that a segment was last appended to at `ms`.
  func setAppended(_ base: Int64, atMs ms: Int64) throws {
    try FileManager.default.setAttributes(
      [.modificationDate: Date(timeIntervalSince1970: Double(ms) / 1000)],
      ofItemAtPath: path(LogFileName.name(.log, base)))
  }

  /// One segment for each timestamp, of one batch with one record.
  func appendSegments(_ timestamps: [Int64]) throws {
    for timestamp in timestamps {
      if log.activeSegment.size > 0 { try log.roll(nowMs: nowMs) }
      try append(Batch(timestamp: timestamp))
    }
  }

  var bases: [Int64] { log.segments.map(\.baseOffset) }
  var names: Set<String> {
    get throws { Set(try File.names(in: "\(temporary.path)/\(partition)")) }
  }
}

struct RetentionTests {
  private let size = Int64(Batch().bytes.count)

  /// What is left of segments at offsets 0, 1, 2, …, and when to look again.
  struct Case: CustomTestStringConvertible {
    var timestamps: [Int64]
    var retentionMs: Int64 = -1
    /// In segments.
    var retentionSegments: Int64 = -1
    var left: [Int64]
    var dueMs: Int64 = .max
    var testDescription: String { "\(timestamps) \(retentionMs) \(retentionSegments)" }
  }

  @Test(arguments: [
    Case(timestamps: [1_000, 2_000, 3_000], left: [0, 1, 2]),
    Case(timestamps: [1_000, 2_000, 3_000], retentionMs: 3_500, left: [1, 2], dueMs: 5_501),
    // Exactly so old is not older.
    Case(timestamps: [1_000, 2_000], retentionMs: 4_000, left: [0, 1], dueMs: 5_001),
    Case(timestamps: [1_000, 2_000], retentionMs: 3_999, left: [1], dueMs: 6_000),
    // The oldest segment decides; one that is older behind it waits for it.
    Case(timestamps: [4_000, 1_000, 2_000], retentionMs: 2_000, left: [0, 1, 2], dueMs: 6_001),
    // All of it: an empty segment begins where the log ends.
    Case(timestamps: [1_000, 2_000], retentionMs: 100, left: [2]),
    // Records without timestamps count by the append, which was just now.
    Case(timestamps: [-1, 1_000], retentionMs: 1 << 50, left: [0, 1]),
    Case(timestamps: [0], retentionMs: 0, left: [1]),
    Case(timestamps: [1, 2, 3, 4], retentionSegments: 2, left: [2, 3]),
    Case(timestamps: [1, 2, 3, 4], retentionSegments: 4, left: [0, 1, 2, 3]),
    Case(timestamps: [1, 2, 3, 4], retentionSegments: 0, left: [4]),
    Case(
      timestamps: [1_000, 2_000, 3_000, 4_000], retentionMs: 2_500, retentionSegments: 3,
      left: [2, 3], dueMs: 5_501),
  ])
  func whatIsLeft(_ test: Case) throws {
    let fixture = try Fixture {
      $0.retentionMs = test.retentionMs
      $0.retentionBytes = test.retentionSegments < 0 ? -1 : test.retentionSegments * size
    }
    try fixture.appendSegments(test.timestamps)
    let dueMs = try fixture.retain()
    #expect(fixture.bases == test.left)
    #expect(fixture.log.logStartOffset == test.left[0])
    #expect(fixture.log.logEndOffset == Int64(test.timestamps.count))
    if test.timestamps.contains(-1) {
      #expect(dueMs > 1 << 50)
    } else {
      #expect(dueMs == test.dueMs)
    }
    // At rest after a restart it is the same, and nothing more goes.
    try fixture.restart()
    try fixture.retain()
    #expect(fixture.bases == test.left)
    try fixture.append(Batch())
    #expect(fixture.log.logEndOffset == Int64(test.timestamps.count) + 1)
  }

  @Test func compactedTopicsKeepWhatIsOld() throws {
    let fixture = try Fixture {
      $0.deletes = false
      $0.compacts = true
      $0.retentionMs = 1
      $0.retentionBytes = 0
    }
    try fixture.appendSegments([1, 2, 3])
    #expect(try fixture.retain() == .max)
    #expect(fixture.bases == [0, 1, 2])
    // But not what lies below the log start offset.
    fixture.log.raiseLogStart(to: 2)
    try fixture.retain()
    #expect(fixture.bases == [2])
  }

  /// What was written with a time in the future goes `retention.ms` after it was written.
  @Test func theFutureKeepsNothing() throws {
    let fixture = try Fixture { $0.retentionMs = 1_000 }
    let nowMs = Int64(Date().timeIntervalSince1970) * 1000
    fixture.nowMs = nowMs
    fixture.settings.config.timestampAfterMaxMs = .max
    try fixture.appendSegments([.max - 5, nowMs + 1_000_000, nowMs])
    try fixture.setAppended(0, atMs: nowMs - 1_000)
    try fixture.setAppended(1, atMs: nowMs - 500)
    #expect(try fixture.retain() == nowMs + 1)
    #expect(fixture.bases == [0, 1, 2])
    fixture.nowMs += 1
    #expect(try fixture.retain() == nowMs + 501)
    #expect(fixture.bases == [1, 2])
    fixture.nowMs += 500
    try fixture.retain()
    #expect(fixture.bases == [2])
  }

  /// A time index that lost its end, or lies, deletes nothing.
  @Test(arguments: [0, 12, 24]) func indexesAreNotBelieved(_ kept: Int) throws {
    let fixture = try Fixture {
      $0.indexIntervalBytes = 0
      $0.retentionMs = 1_000
      $0.segmentMs = 1 << 40
    }
    fixture.nowMs = 10_000
    for timestamp in 1...5 { try fixture.append(Batch(timestamp: Int64(timestamp) * 2_000)) }
    try fixture.log.roll(nowMs: 0)
    try fixture.restart()
    try fixture.overwrite(.timeindex) { $0 = Array($0.prefix(kept)) }
    try fixture.retain()
    #expect(fixture.bases == [0, 5])
    try fixture.overwrite(.timeindex) { bytes in
      bytes = [UInt8](repeating: 0, count: 7) + [1, 0, 0, 0, 4]
    }
    try fixture.retain()
    #expect(fixture.bases == [0, 5])
    fixture.nowMs = 11_001
    try fixture.retain()
    #expect(fixture.bases == [5])
  }

  @Test func filesGoAfterTheirDelay() throws {
    let fixture = try Fixture {
      $0.retentionMs = 1
      $0.fileDeleteDelayMs = 100
      $0.indexIntervalBytes = 0
    }
    for sequence in 0..<3 {
      if sequence > 0 { try fixture.log.roll(nowMs: 0) }
      try fixture.append(Batch(producerId: 1, epoch: 0, sequence: Int32(sequence)))
    }
    let reader = try #require(try fixture.log.place(of: 0))
    try fixture.retain()
    #expect(fixture.bases == [3])
    let renamed = try fixture.names.filter { $0.hasSuffix(".deleted") }
    #expect(renamed.contains("00000000000000000000.log.deleted"))
    #expect(renamed.contains("00000000000000000001.timeindex.deleted"))
    #expect(renamed.contains("00000000000000000002.snapshot.deleted"))
    #expect(try fixture.names.contains("00000000000000000003.snapshot"))
    #expect(fixture.directory.nextRemovalMs == fixture.nowMs + 100)
    try fixture.directory.sweep(nowMs: fixture.nowMs + 99)
    #expect(try fixture.names.filter { $0.hasSuffix(".deleted") } == renamed)
    // A crash in between: the next start finds them.
    try fixture.crash()
    #expect(fixture.directory.nextRemovalMs == 0)
    #expect(fixture.log.logStartOffset == 3)
    while fixture.directory.nextRemovalMs != nil { try fixture.directory.sweep(nowMs: 0) }
    #expect(try fixture.names.filter { $0.hasSuffix(".deleted") }.isEmpty)
    #expect(try reader.log.size == size)
    // The producer is known still.
    #expect(
      try fixture.append(Batch(producerId: 1, epoch: 0, sequence: 3))
        == .staged(baseOffset: 3, logAppendTimeMs: -1))
  }

  @Test func leaderEpochsBeginAtTheStart() throws {
    let fixture = try Fixture { $0.retentionMs = 1_000 }
    try fixture.appendSegments([1_000])
    fixture.log.lead(5)
    try fixture.appendSegments([1_000, 1_000])
    fixture.log.lead(6)
    try fixture.appendSegments([5_000])
    let path = fixture.path(LogFileName.leaderEpochCheckpoint)
    #expect(try File.contents(path) == Array("0\n3\n3 0\n5 1\n6 3\n".utf8))
    #expect(fixture.log.deleteRecords(before: 2) == .none)
    try fixture.directory.writeLogStarts(durable: true)
    _ = try fixture.log.removeBreachedSegments(nowMs: 0)
    #expect(try File.contents(path) == Array("0\n2\n5 2\n6 3\n".utf8))
    // Also where nothing of the log is in memory.
    try fixture.restart()
    try fixture.retain()
    #expect(try File.contents(path) == Array("0\n1\n6 3\n".utf8))
  }

  /// What an older file says stands nowhere else that a recovery looks: power loss leaves one of two.
  @Test func trimmedEpochsAreOnDiskBeforeTheyTakeTheirPlace() throws {
    final class Device: LogDevice {
      var synced: [String] = []
      override func sync(descriptor: Int32, dataOnly: Bool) throws(Errno) {
        let link = "/proc/self/fd/\(descriptor)"
        synced.append((try? FileManager.default.destinationOfSymbolicLink(atPath: link)) ?? link)
        try super.sync(descriptor: descriptor, dataOnly: dataOnly)
      }
    }
    let device = Device()
    let fixture = try Fixture(device: device)
    try fixture.appendSegments([1_000])
    fixture.log.lead(5)
    try fixture.appendSegments([1_000])
    let path = fixture.path(LogFileName.leaderEpochCheckpoint)
    #expect(fixture.log.deleteRecords(before: 1) == .none)
    try fixture.directory.writeLogStarts(durable: true)
    device.synced = []
    _ = try fixture.log.removeBreachedSegments(nowMs: 0)
    #expect(try File.contents(path) == Array("0\n1\n5 1\n".utf8))
    #expect(device.synced.contains("\(path).tmp"))
  }

  @Test func deletingRecords() throws {
    let fixture = try Fixture()
    try fixture.appendSegments([1, 2, 3])
    let log = fixture.log
    for (offset, error, start) in [
      (2, .none, 2), (1, .none, 2), (4, .offsetOutOfRange, 2), (-2, .offsetOutOfRange, 2),
      (-1, .none, 3),
    ] as [(Int64, ErrorCode, Int64)] {
      #expect(log.deleteRecords(before: offset) == error, "\(offset)")
      #expect(log.logStartOffset == start)
    }
    try fixture.directory.writeLogStarts(durable: true)
    #expect(try log.removeBreachedSegments(nowMs: 0) == 0..<2)
    #expect(try log.place(of: 2) == nil)
    #expect(try log.place(of: 3) != nil)
    fixture.settings.config.deletes = false
    #expect(log.deleteRecords(before: -1) == .policyViolation)
    try fixture.crash()
    #expect(fixture.log.logStartOffset == 3)
    #expect(fixture.log.logEndOffset == 3)
  }

  /// Offsets that were given out are not given out again, though the crash took their records.
  @Test(arguments: [0, 1]) func theStartOutlivesTheEnd(_ cut: Int) throws {
    let fixture = try Fixture()
    try fixture.appendSegments([1, 2, 3])
    #expect(fixture.log.deleteRecords(before: -1) == .none)
    try fixture.directory.writeLogStarts(durable: true)
    try fixture.crash {
      for base in 1...2 {
        try FileManager.default.removeItem(
          atPath: fixture.path(
            LogFileName.name(.log, Int64(base))))
      }
      if cut == 1 { try fixture.overwrite(.log) { $0 = [] } }
    }
    #expect(fixture.log.logStartOffset == 3)
    #expect(fixture.log.logEndOffset == 3)
    #expect(fixture.bases == [3])
    #expect(try fixture.append(Batch()) == .staged(baseOffset: 3, logAppendTimeMs: -1))
    try fixture.crash()
    #expect(fixture.log.logEndOffset == 4)
  }

  /// A partition of the same name begins at 0, whatever the old one's start was.
  @Test func aNewPartitionHasNoOldStart() throws {
    let fixture = try Fixture()
    try fixture.appendSegments([1, 2, 3])
    #expect(fixture.log.deleteRecords(before: -1) == .none)
    try fixture.directory.writeLogStarts(durable: true)
    try fixture.directory.delete([fixture.partition])
    let text = try File.contents("\(fixture.temporary.path)/log-start-offset-checkpoint")
    #expect(text == Array("0\n0\n".utf8))
  }
}
