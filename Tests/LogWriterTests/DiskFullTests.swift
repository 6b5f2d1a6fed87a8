// A disk without room: what was not written is refused, and nothing else is.

import Glibc
import IPC
import Linux
import Model
import Testing

@testable import LogWriter
@testable import Storage

/// Has no room for the next writes.
final class FullDevice: LogDevice {
  var failingWrites = 0

  override func write(
    _ fd: borrowing OwnedFD, _ vectors: UnsafeBufferPointer<iovec>, at offset: Int64
  ) throws(Errno) -> Int {
    if failingWrites > 0 {
      failingWrites -= 1
      throw Errno(ENOSPC, "pwritev")
    }
    return try super.write(fd, vectors, at: offset)
  }
}

@Suite(.serialized) struct DiskFullTests {
  /// More batches than one pwritev takes: the first write of the round fails, a second would not.
  /// No batch may be answered with an offset that another one got.
  @Test func aFailedWriteEndsItsRun() throws {
    let device = FullDevice()
    let broker = try Broker(device: device)
    let coordinator = try CoordinatorSide(broker)
    let partitions = try coordinator.create(2)
    let frontend = try FrontendSide(broker)
    device.failingWrites = 1
    var entries: [AppendEntry] = []
    for index in 0..<700 {
      entries.append(frontend.entry(partitions[0], batch(payload: 10), cookie: UInt64(index)))
    }
    entries.append(frontend.entry(partitions[1], batch()))
    let answers = try frontend.append(entries)
    #expect(answers.dropLast().allSatisfy { $0.error == .kafkaStorageError })
    // No one else is let run into it.
    #expect(answers.last?.trouble == .lowOnSpace)
    #expect(coordinator.entry(partitions[0])?.logEndOffset == 0)
    #expect(coordinator.entry(partitions[0])?.isOffline == false)
    try broker.run { !broker.writer.store.isAnyLow }
    #expect(try frontend.append(partitions[0], batch()).baseOffset == 0)
  }

  // MARK: Watermarks

  /// Says how much room there is; the watermark is 50 of 1,000 MiB.
  final class SmallDevice: LogDevice {
    var freeMiB: Int64 = 1_000
    /// Writes find no room, as long as the ballast is there.
    var isFull = false
    private(set) var looks = 0
    private(set) var ballastBytes: Int64 = 0

    override func space(_ path: String) throws(Errno) -> FileSystemSpace {
      looks += 1
      return FileSystemSpace(totalBytes: 1_000 << 20, availableBytes: freeMiB << 20)
    }

    override func allocate(_ fd: borrowing OwnedFD, count: Int64) throws(Errno) {
      ballastBytes = count
    }

    override func remove(_ path: String) throws(Errno) {
      if path.hasSuffix("ballast") {
        ballastBytes = 0
        isFull = false
      }
      try super.remove(path)
    }

    override func write(
      _ fd: borrowing OwnedFD, _ vectors: UnsafeBufferPointer<iovec>, at offset: Int64
    ) throws(Errno) -> Int {
      if isFull { throw Errno(ENOSPC, "pwritev") }
      return try super.write(fd, vectors, at: offset)
    }
  }

  private func broker(_ device: LogDevice) throws -> Broker {
    try Broker(
      device: device,
      overrides: [
        "sluice.log.dir.ballast.bytes=4194304", "log.retention.check.interval.ms=1",
        "log.initial.task.delay.ms=0",
      ])
  }

  @Test func lowOnSpaceProducersAreRefused() throws {
    let device = SmallDevice()
    device.freeMiB = 49
    let broker = try broker(device)
    let coordinator = try CoordinatorSide(broker)
    let partition = try coordinator.create(1)[0]
    let frontend = try FrontendSide(broker)
    let refused = try frontend.append(partition, batch())
    #expect(refused.error == .kafkaStorageError)
    #expect(refused.trouble == .lowOnSpace)
    #expect(broker.writer.status.contains("low on space (49 MiB free)"))
    // The coordinator's records are taken, and can be read.
    try coordinator.sibling.send(
      .append(
        token: 1, slot: partition.slot, generation: partition.generation, acks: -1,
        batches: batch()))
    guard case .appended(1, let entry) = try coordinator.sibling.next() else { throw Unexpected() }
    #expect(entry.error == .none)
    let fetcher = try FetcherSide(broker)
    guard case .segment = try fetcher.open(partition, at: 0) else { throw Unexpected() }
    // A little more is not enough, a quarter more is.
    device.freeMiB = 55
    try broker.run { device.looks > 3 }
    #expect(try frontend.append(partition, batch()).trouble == .lowOnSpace)
    device.freeMiB = 70
    try broker.run { !broker.writer.store.isAnyLow }
    #expect(try frontend.append(partition, batch()).baseOffset == 1)
    #expect(!broker.writer.status.contains("low"))
    #expect(device.ballastBytes == 4 << 20)
    // Nobody looks while nothing is appended.
    let looks = device.looks
    try broker.rounds(50)
    #expect(device.looks == looks)
  }

  @Test func theBallastIsForTheCoordinator() throws {
    let device = SmallDevice()
    let broker = try broker(device)
    #expect(device.ballastBytes == 4 << 20)
    let coordinator = try CoordinatorSide(broker)
    let partition = try coordinator.create(1)[0]
    let frontend = try FrontendSide(broker)
    device.isFull = true
    device.freeMiB = 0
    let answer = try frontend.append(partition, batch())
    #expect(answer.error == .kafkaStorageError)
    #expect(answer.trouble == .full)
    #expect(device.ballastBytes > 0)
    #expect(try frontend.append(partition, batch()).trouble == .lowOnSpace)
    try coordinator.sibling.send(
      .append(
        token: 1, slot: partition.slot, generation: partition.generation, acks: -1,
        batches: batch()))
    guard case .appended(1, let entry) = try coordinator.sibling.next() else { throw Unexpected() }
    #expect(entry.error == .none)
    #expect(entry.baseOffset == 0)
    #expect(device.ballastBytes == 0)
  }

  /// What may go goes early: the files of deleted segments do not wait.
  @Test func deletionsDoNotWait() throws {
    let device = SmallDevice()
    let broker = try broker(device)
    let coordinator = try CoordinatorSide(broker)
    let partition = try coordinator.create(1) {
      $0.retentionMs = 60_000
      $0.segmentBytes = 200
    }[0]
    let frontend = try FrontendSide(broker)
    for age in [100_000, 100_000, 0] as [Int64] {
      _ = try frontend.append(partition, batch(timestamp: Clock.wallMs() - age))
    }
    func deleted() throws -> Int {
      try File.names(in: "\(broker.logPath)/t-0").filter { $0.hasSuffix(".log.deleted") }.count
    }
    try broker.run { try deleted() == 2 }
    device.freeMiB = 10
    try broker.run {
      // Looked at once a second while records come.
      _ = try frontend.append(partition, batch())
      return try deleted() == 0
    }
  }
}
