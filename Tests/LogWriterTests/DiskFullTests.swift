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
    #expect(answers.last?.error == ErrorCode.none)
    #expect(coordinator.entry(partitions[0])?.logEndOffset == 0)
    #expect(coordinator.entry(partitions[0])?.isOffline == false)
    #expect(try frontend.append(partitions[0], batch()).baseOffset == 0)
  }
}
