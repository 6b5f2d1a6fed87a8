// Disks that fail: nothing half written may be seen, and the error must come out.

import Foundation
import Glibc
import Linux
import Model
import Records
import Testing

@testable import Storage

/// Counts changes to files.
class CountingDevice: LogDevice {
  private(set) var calls = 0

  override func write(
    _ fd: borrowing OwnedFD, _ vectors: UnsafeBufferPointer<iovec>, at offset: Int64
  ) throws(Errno) -> Int {
    calls += 1
    return try super.write(fd, vectors, at: offset)
  }

  override func write(_ fd: borrowing OwnedFD, _ bytes: UnsafeRawBufferPointer, at offset: Int64)
    throws(Errno)
  {
    calls += 1
    try super.write(fd, bytes, at: offset)
  }

  override func truncate(_ fd: borrowing OwnedFD, to size: Int64) throws(Errno) {
    calls += 1
    try super.truncate(fd, to: size)
  }
}

/// Fails appends on request: with an errno, or after some of the bytes.
final class FailingDevice: LogDevice {
  var failure: Int32?
  var shortBy: Int?
  var truncateFailure: Int32?
  var smallWriteFailure: Int32?
  var openFailure: Int32?
  var syncFailure: Int32?

  override func sync(descriptor: Int32, dataOnly: Bool) throws(Errno) {
    if let syncFailure { throw Errno(syncFailure, dataOnly ? "fdatasync" : "fsync") }
    try super.sync(descriptor: descriptor, dataOnly: dataOnly)
  }

  override func open(_ path: String, _ mode: OpenMode) throws(Errno) -> OwnedFD {
    if let openFailure { throw Errno(openFailure, "open", path) }
    return try super.open(path, mode)
  }

  override func write(
    _ fd: borrowing OwnedFD, _ vectors: UnsafeBufferPointer<iovec>, at offset: Int64
  ) throws(Errno) -> Int {
    if let failure { throw Errno(failure, "pwritev") }
    guard let shortBy else { return try super.write(fd, vectors, at: offset) }
    let all = vectors.flatMap {
      Array(UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len))
    }
    let part = Array(all.dropLast(shortBy))
    try part.withRawBytes { raw throws(Errno) in try super.write(fd, raw, at: offset) }
    return part.count
  }

  override func write(_ fd: borrowing OwnedFD, _ bytes: UnsafeRawBufferPointer, at offset: Int64)
    throws(Errno)
  {
    if let smallWriteFailure { throw Errno(smallWriteFailure, "pwrite") }
    try super.write(fd, bytes, at: offset)
  }

  override func truncate(_ fd: borrowing OwnedFD, to size: Int64) throws(Errno) {
    if let truncateFailure { throw Errno(truncateFailure, "ftruncate") }
    try super.truncate(fd, to: size)
  }
}

struct FaultTests {
  private func batch(_ sequence: Int32) -> Batch {
    Batch(records: 2, producerId: 5, epoch: 0, sequence: sequence)
  }

  @Test func noSpaceLeavesTheLogUsable() throws {
    let device = FailingDevice()
    let fixture = try Fixture(device: device)
    try fixture.append(batch(0))
    let size = fixture.log.activeSegment.size
    for shortBy in [nil, 1, 100, 260, 322] as [Int?] {
      device.failure = shortBy == nil ? ENOSPC : nil
      device.shortBy = shortBy
      _ = try fixture.stage(batch(2))
      _ = try fixture.stage(batch(4))
      let error = #expect(throws: StorageError.self) { try fixture.commit() }
      #expect(error?.isOutOfSpace == true)
      #expect(fixture.log.logEndOffset == 2)
      #expect(fixture.log.activeSegment.size == size)
      #expect(try Int64(fixture.file(.log).count) == size)
      #expect(!fixture.log.isOffline)
    }
    device.failure = nil
    device.shortBy = nil
    #expect(try fixture.append(batch(0)) == .duplicate(baseOffset: 0, timestampMs: 1_000))
    #expect(try fixture.append(batch(4)) == .refused(.outOfOrderSequenceNumber))
    #expect(try fixture.append(batch(2)) == .staged(baseOffset: 2, logAppendTimeMs: -1))
  }

  @Test func otherErrorsTakeThePartitionOffline() throws {
    let device = FailingDevice()
    let fixture = try Fixture(device: device)
    try fixture.append(batch(0))
    device.failure = EIO
    #expect(throws: StorageError.self) { try fixture.append(batch(2)) }
    device.failure = nil
    #expect(fixture.log.isOffline)
    #expect(fixture.log.failure?.description.contains("Input/output error") == true)
    #expect(fixture.directory.environment.takeFailed().map(\.partition) == [fixture.partition])
    #expect(fixture.directory.environment.takeFailed().isEmpty)
    #expect(try fixture.append(batch(2)) == .refused(.kafkaStorageError))
    // Not a clean stop: the next start looks at the log.
    #expect(try fixture.directory.close().count == 1)
    try fixture.crash()
    #expect(fixture.report != nil)
    #expect(try fixture.append(batch(2)) == .staged(baseOffset: 2, logAppendTimeMs: -1))
  }

  @Test(arguments: [EIO, ENOSPC]) func aFailedSyncIsNotTriedAgain(_ code: Int32) throws {
    let device = FailingDevice()
    let fixture = try Fixture(device: device)
    try fixture.append(batch(0))
    device.syncFailure = code
    fixture.log.requestFlush()
    fixture.directory.environment.finishSyncs()
    device.syncFailure = nil
    #expect(fixture.log.isOffline)
    #expect(fixture.log.recoveryPoint == 0)
    #expect(try fixture.append(batch(2)) == .refused(.kafkaStorageError))
    fixture.log.requestFlush()
    try fixture.log.flush()
    #expect(fixture.log.recoveryPoint == 0)
    #expect(try fixture.directory.close().count == 1)
    #expect(!File.exists("\(fixture.temporary.path)/.kafka_cleanshutdown"))
  }

  @Test func aCheckpointThatCannotBeSyncedLeavesTheOldOne() throws {
    let device = FailingDevice()
    let fixture = try Fixture(device: device)
    let (directory, environment) = (fixture.directory, fixture.directory.environment)
    let path = "\(fixture.temporary.path)/recovery-point-offset-checkpoint"
    try directory.writeCheckpoints(durable: true)
    let before = try File.contents(path)
    try fixture.append(batch(0))
    try fixture.log.flush()
    #expect(directory.recoveryPointsChanged)
    device.syncFailure = EIO
    directory.beginCheckpoint()
    environment.finishSyncs()
    #expect(try File.contents(path) == before)
    #expect(directory.takeCheckpointFailure() != nil)
    #expect(directory.takeCheckpointFailure() == nil)
    #expect(fixture.log.checkpointedRecoveryPoint == 0)
    // Later it works: nothing but time is lost.
    device.syncFailure = nil
    #expect(directory.recoveryPointsChanged && directory.canBeginCheckpoint)
    directory.beginCheckpoint()
    environment.finishSyncs()
    #expect(try File.contents(path) == Array("0\n1\nt 0 2\n".utf8))
    #expect(fixture.log.checkpointedRecoveryPoint == 2)
  }

  @Test func aTornWriteThatCannotBeCutIsCutAtTheNextStart() throws {
    let device = FailingDevice()
    let fixture = try Fixture(device: device)
    try fixture.append(batch(0))
    device.shortBy = 10
    device.truncateFailure = EIO
    #expect(throws: StorageError.self) { try fixture.append(batch(2)) }
    #expect(fixture.log.isOffline)
    device.shortBy = nil
    device.truncateFailure = nil
    try fixture.crash()
    #expect(fixture.log.logEndOffset == 2)
    #expect(fixture.report?.cutBytes == 151)
    #expect(try fixture.append(batch(2)) == .staged(baseOffset: 2, logAppendTimeMs: -1))
  }

  @Test func noSpaceForIndexesOnlyMakesThemSparser() throws {
    let device = FailingDevice()
    let fixture = try Fixture(device: device) { $0.indexIntervalBytes = 0 }
    try fixture.append(Batch(timestamp: 0))
    device.smallWriteFailure = ENOSPC
    for sequence in 1..<200 { try fixture.append(Batch(timestamp: Int64(sequence))) }
    #expect(!fixture.log.isOffline)
    #expect(fixture.log.logEndOffset == 200)
    #expect(try fixture.log.maxTimestamp(nowMs: 0) == MaxTimestamp(offset: 199, timestampMs: 199))
    device.smallWriteFailure = nil
    for sequence in 200..<300 { try fixture.append(Batch(timestamp: Int64(sequence))) }
    try fixture.restart()
    for (_, position, header) in try fixture.batches() {
      let place = try #require(try fixture.log.place(of: header.baseOffset))
      #expect(place.startPosition <= position)
    }
    #expect(try fixture.log.maxTimestamp(nowMs: 0) == MaxTimestamp(offset: 299, timestampMs: 299))
  }

  @Test func noSpaceForARollRefusesUntilThereIs() throws {
    let device = FailingDevice()
    let fixture = try Fixture(device: device) { $0.segmentBytes = 1_000 }
    for _ in 0..<6 { try fixture.append(Batch()) }
    device.openFailure = ENOSPC
    for _ in 0..<3 {
      #expect(throws: StorageError.self) { try fixture.append(Batch()) }
      #expect(!fixture.log.isOffline)
      #expect(fixture.log.logEndOffset == 6)
    }
    device.openFailure = nil
    #expect(try fixture.append(Batch()) == .staged(baseOffset: 6, logAppendTimeMs: -1))
    #expect(fixture.log.segments.map(\.baseOffset) == [0, 6])
    try fixture.crash()
    #expect(fixture.log.logEndOffset == 7)
    #expect(fixture.report?.defect == nil)
  }

  @Test func tooFewDescriptorsPass() throws {
    let device = FailingDevice()
    let fixture = try Fixture(device: device)
    device.openFailure = EMFILE
    #expect(throws: StorageError.self) { try fixture.append(batch(0)) }
    #expect(!fixture.log.isOffline)
    device.openFailure = nil
    #expect(try fixture.append(batch(0)) == .staged(baseOffset: 0, logAppendTimeMs: -1))
  }

  @Test func failingIndexWritesTakeThePartitionOffline() throws {
    let device = FailingDevice()
    let fixture = try Fixture(device: device) { $0.indexIntervalBytes = 0 }
    try fixture.append(batch(0))
    device.smallWriteFailure = EIO
    var sequence: Int32 = 2
    while !fixture.log.isOffline, sequence < 1_000 {
      do { try fixture.append(batch(sequence)) } catch { continue }
      sequence += 2
    }
    #expect(fixture.log.isOffline)
    // What was acknowledged is there.
    device.smallWriteFailure = nil
    try fixture.crash()
    #expect(fixture.log.logEndOffset >= Int64(sequence))
    #expect(fixture.report?.defect == nil)
  }

  @Test func vanishedFilesTakeThePartitionOffline() throws {
    let fixture = try Fixture()
    try fixture.append(batch(0))
    try fixture.restart()
    try File.remove(fixture.path("00000000000000000000.log"))
    #expect(throws: StorageError.self) { try fixture.append(batch(2)) }
    #expect(fixture.log.isOffline)
  }
}
