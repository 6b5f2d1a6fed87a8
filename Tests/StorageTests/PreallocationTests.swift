// `preallocate`: room is set aside for a new segment, its file is as long as what was written, and what
// is left over goes back.

import Foundation
import Glibc
import Linux
import Model
import Records
import Testing

@testable import Storage

/// A disk that sets nothing aside on request.
private final class CrampedDevice: LogDevice {
  var failure: Int32?

  override func setAside(_ fd: borrowing OwnedFD, count: Int64) throws(Errno) {
    if let failure { throw Errno(failure, "fallocate") }
    try super.setAside(fd, count: count)
  }
}

struct PreallocationTests {
  private static let segmentBytes: Int32 = 1 << 20
  private let large = Batch(payload: 400_000)

  private func fixture(_ device: LogDevice = LogDevice(), openSegmentsMax: Int = 8) throws
    -> Fixture
  {
    try Fixture(device: device, openSegmentsMax: openSegmentsMax) {
      $0.preallocate = true
      $0.segmentBytes = Self.segmentBytes
    }
  }

  private func status(_ fixture: Fixture, _ base: Int64 = 0) throws -> FileStatus {
    try File.status(fixture.path(LogFileName.name(.log, base)))
  }

  /// Nothing beyond the last page.
  private func isTrimmed(_ status: FileStatus) -> Bool {
    status.allocatedBytes - status.size < 8192
  }

  private func hasRoom(_ status: FileStatus) -> Bool {
    status.allocatedBytes >= Int64(Self.segmentBytes)
  }

  @Test func roomIsSetAsideForEachNewSegment() throws {
    let fixture = try fixture()
    #expect(try status(fixture).size == 0)
    #expect(try hasRoom(status(fixture)))
    try fixture.append(large)
    #expect(try status(fixture).size == Int64(large.bytes.count))
    #expect(try hasRoom(status(fixture)))
    try fixture.append(large)
    let old = try File.open(fixture.path(LogFileName.name(.log, 0)), .readWrite)
    try File.setModified(old, 1_700_000_000_123)
    try fixture.append(large)
    #expect(fixture.log.segments.map(\.baseOffset) == [0, 2])
    #expect(try isTrimmed(status(fixture)))
    #expect(try status(fixture).modifiedMs == 1_700_000_000_123)
    #expect(try hasRoom(status(fixture, 2)))
    #expect(fixture.directory.environment.bytesSetAside == 2 * UInt64(Self.segmentBytes))
    #expect(try fixture.batches().count == 3)
  }

  @Test func aCleanStopGivesBack() throws {
    let fixture = try fixture()
    try fixture.append(large)
    try fixture.restart()
    #expect(fixture.report == nil)
    #expect(try isTrimmed(status(fixture)))
    // It is for new segments.
    try fixture.append(large)
    #expect(try !hasRoom(status(fixture)))
    try fixture.append(large)
    #expect(try hasRoom(status(fixture, 2)))
    #expect(try fixture.batches().count == 3)
  }

  @Test(arguments: [0, 1]) func aStartAfterACrashGivesBack(batches: Int) throws {
    let fixture = try fixture()
    for _ in 0..<batches { try fixture.append(large) }
    let before = try status(fixture)
    #expect(hasRoom(before))
    try fixture.crash()
    #expect(try isTrimmed(status(fixture)))
    #expect(try status(fixture).modifiedMs == before.modifiedMs)
    #expect(fixture.log.logEndOffset == Int64(batches))
    try fixture.append(large)
    #expect(try fixture.batches().count == batches + 1)
  }

  @Test func aSegmentThatWasPutDownKeepsItsRoomUntilTheStop() throws {
    let fixture = try fixture(openSegmentsMax: 1)
    try fixture.append(large)
    let other = try fixture.directory.create(
      TopicPartition(topic: "u", partition: 0), topicId: .random(), settings: LogSettings())
    try other.openedSegment(nowMs: 0).addTimeIndexEntry()
    #expect(fixture.log.active == nil)
    #expect(try hasRoom(status(fixture)))
    try fixture.restart()
    #expect(try isTrimmed(status(fixture)))
  }

  @Test func theNextSegmentGoesByTheConfigOfThen() throws {
    let fixture = try fixture()
    try fixture.append(large)
    fixture.settings.config.preallocate = false
    #expect(try hasRoom(status(fixture)))
    try fixture.append(large)
    try fixture.append(large)
    #expect(try isTrimmed(status(fixture)))
    #expect(try !hasRoom(status(fixture, 2)))
    fixture.settings.config.preallocate = true
    try fixture.append(large)
    try fixture.append(large)
    #expect(try hasRoom(status(fixture, 4)))
  }

  @Test func aFileSystemThatCannotDoesWithout() throws {
    let device = CrampedDevice()
    device.failure = EOPNOTSUPP
    let fixture = try fixture(device)
    for _ in 0..<3 { try fixture.append(large) }
    #expect(fixture.log.segments.count == 2)
    #expect(try !hasRoom(status(fixture, 2)))
    try fixture.restart()
    #expect(try fixture.batches().count == 3)
  }

  @Test func withoutRoomOnlyProducersOfThePartitionAreRefused() throws {
    let device = CrampedDevice()
    let fixture = try fixture(device)
    try fixture.append(large)
    try fixture.append(large)
    device.failure = ENOSPC
    for _ in 0..<2 {
      let error = #expect(throws: StorageError.self) { try fixture.append(large) }
      #expect(error?.isOutOfSpace == true)
      #expect(error?.isDiskFull == false)
      #expect(error?.description.contains("no 1048576 bytes to set aside") == true)
    }
    #expect(!fixture.log.isOffline)
    #expect(fixture.log.logEndOffset == 2)
    #expect(!File.exists(fixture.path(LogFileName.name(.log, 2))))
    #expect(throws: StorageError.self) {
      try fixture.directory.create(
        TopicPartition(topic: "u", partition: 0), topicId: .random(), settings: fixture.settings)
    }
    #expect(!File.exists("\(fixture.temporary.path)/u-0"))
    // A smaller batch still fits the segment that there is.
    #expect(try fixture.append(Batch()) == .staged(baseOffset: 2, logAppendTimeMs: -1))
    // Groups go on, and so does what makes room.
    #expect(
      try fixture.append(large, from: .coordinator) == .staged(baseOffset: 3, logAppendTimeMs: -1))
    #expect(try !hasRoom(status(fixture, 3)))
    fixture.settings.config.retentionMs = 1
    fixture.nowMs = Clock.wallMs() + 1_000_000
    _ = try fixture.log.applyRetention(nowMs: fixture.nowMs)
    #expect(fixture.log.activeSegment.baseOffset == 4)
    device.failure = nil
    #expect(try fixture.append(large) == .staged(baseOffset: 4, logAppendTimeMs: -1))
    try fixture.crash()
    #expect(fixture.log.logEndOffset == 5)
  }

  @Test func otherFailuresTakeThePartitionOffline() throws {
    let device = CrampedDevice()
    let fixture = try fixture(device)
    try fixture.append(large)
    try fixture.append(large)
    device.failure = EIO
    #expect(throws: StorageError.self) { try fixture.append(large) }
    #expect(fixture.log.isOffline)
  }
}
