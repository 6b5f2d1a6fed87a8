// What can be cleaned, and that putting a cleaned segment in place survives a crash at any moment.

import Foundation
import Glibc
import Linux
import Model
import Records
import Testing

@testable import Storage

/// Lets so many changes to names and files through, then none: the process is as good as dead.
final class DyingDevice: LogDevice {
  var changesLeft = Int.max

  private func count() throws(Errno) {
    if changesLeft == 0 { throw Errno(EIO, "dead") }
    changesLeft -= 1
  }

  override func link(_ fd: borrowing OwnedFD, to path: String) throws(Errno) {
    try count()
    try super.link(fd, to: path)
  }

  override func write(_ fd: borrowing OwnedFD, _ bytes: UnsafeRawBufferPointer, at offset: Int64)
    throws(Errno)
  {
    try count()
    try super.write(fd, bytes, at: offset)
  }

  override func rename(_ from: String, to: String) throws(Errno) {
    try count()
    try super.rename(from, to: to)
  }

  override func remove(_ path: String) throws(Errno) {
    try count()
    try super.remove(path)
  }
}

extension Fixture {
  /// Segments of three batches of two records, the last one active.
  func appendSegments(_ count: Int) throws {
    for segment in 0..<count {
      if segment > 0 {
        _ = try log.openedSegment(nowMs: nowMs)
        try log.roll(nowMs: nowMs)
      }
      for _ in 0..<3 { try append(Batch(records: 2, timestamp: 1_000 + log.logEndOffset)) }
    }
    try makeDurable()
  }

  /// Nothing is cleaned before the disk knows that recovery need not read it.
  func makeDurable() throws {
    try log.flush()
    try directory.writeCheckpoints(durable: true)
  }

  /// What a cleaner would write for the segments `offsets`: every third batch goes.
  func cleanedBytes(_ offsets: ClosedRange<Int64>) throws -> [UInt8] {
    var bytes: [UInt8] = []
    for segment in log.segments where offsets.contains(segment.baseOffset) {
      let all = try file(.log, segment.baseOffset)
      let size = Batch(records: 2).bytes.count
      bytes += all[..<size]
      bytes += all[(2 * size)...]
    }
    return bytes
  }

  func replacement(
    _ offsets: ClosedRange<Int64>, _ bytes: [UInt8], aborted: [AbortedTransaction] = []
  ) throws -> SegmentReplacement {
    let file = try log.openUnnamed()
    try File.writeAll(bytes, to: file)
    return try SegmentReplacement(
      of: log, by: file, size: Int64(bytes.count), offsets: offsets, abortedTransactions: aborted)
  }

  var offsets: [Int64] { get throws { try batches().map(\.header.baseOffset) } }
}

extension SegmentReplacement {
  /// Takes steps, with what belongs between them.
  /// - Returns: false when all is done.
  func step() throws -> Bool {
    switch try next() {
    case nil: return false
    case .check(let file): file.check()
    case .sync(let descriptors):
      for descriptor in descriptors { try File.sync(descriptor: descriptor, dataOnly: false) }
    }
    return true
  }
}

struct CleaningTests {
  /// Five segments; what is cleaned are those at 6 and 12.
  private let before: [Int64] = stride(from: 0, to: 30, by: 2).map { $0 }
  private let after: [Int64] = [0, 2, 4, 6, 10, 12, 16, 18, 20, 22, 24, 26, 28]

  @Test func aCleanedSegmentTakesThePlaceOfOthers() throws {
    let fixture = try Fixture { $0.indexIntervalBytes = 0 }
    try fixture.appendSegments(5)
    let aborted = AbortedTransaction(
      producerId: 1, firstOffset: 6, lastOffset: 13, lastStableOffset: 14)
    let bytes = try fixture.cleanedBytes(6...12)
    let held = try #require(try fixture.log.place(of: 8))
    let replacement = try fixture.replacement(6...12, bytes, aborted: [aborted])
    while try replacement.step() {}
    #expect(fixture.bases == [0, 6, 18, 24])
    #expect(try fixture.offsets == after)
    #expect(try fixture.log.abortedTransactions() == [aborted])
    // Who had the old segment open goes on reading it.
    #expect(try held.log.size == held.segment.size)
    // The indexes are of the new file.
    let place = try #require(try fixture.log.place(of: 12))
    #expect(place.segment.baseOffset == 6 && place.nextBaseOffset == 18)
    #expect(place.startPosition > 0)
    #expect(try fixture.log.maxTimestamp(nowMs: 0)?.offset == 29)
    // In the hole: the next batch there is.
    #expect(try fixture.log.place(of: 9)?.segment.baseOffset == 6)
    let names = try fixture.names
    #expect(!names.contains { $0.hasSuffix(".cleaned") || $0.hasSuffix(".swap") })
    #expect(names.contains("00000000000000000012.log.deleted"))
    try fixture.directory.sweep(nowMs: .max)
    #expect(try !fixture.names.contains { $0.hasSuffix(".deleted") })
    for stop in [fixture.restart, { try fixture.crash() }] {
      try stop()
      #expect(fixture.report?.defect == nil)
      #expect(fixture.bases == [0, 6, 18, 24])
      #expect(try fixture.offsets == after)
    }
    #expect(try fixture.append(Batch()) == .staged(baseOffset: 30, logAppendTimeMs: -1))
  }

  /// The indexes that come with a cleaned segment are those that appending its batches would make.
  @Test func theIndexesAreTheUsualOnes() throws {
    let fixture = try Fixture { $0.indexIntervalBytes = 300 }
    for number in 0..<40 {
      try fixture.append(Batch(records: 2, timestamp: 1_000 + Int64(number % 7) * 10))
    }
    _ = try fixture.log.openedSegment(nowMs: 0)
    try fixture.log.roll(nowMs: 0)
    let index = try fixture.file(.index)
    let times = try fixture.file(.timeindex)
    #expect(index.count > 80)
    let replacement = try fixture.replacement(0...0, try fixture.file(.log))
    while try replacement.step() {}
    #expect(try fixture.file(.index) == index)
    #expect(try fixture.file(.timeindex) == times)
  }

  @Test func anEmptySegmentIsOneToo() throws {
    let fixture = try Fixture()
    try fixture.appendSegments(3)
    let replacement = try fixture.replacement(0...6, [])
    while try replacement.step() {}
    #expect(fixture.bases == [0, 12])
    #expect(try fixture.offsets == [12, 14, 16])
    for stop in [fixture.restart, { try fixture.crash() }] {
      try stop()
      #expect(fixture.bases == [0, 12])
      #expect(try fixture.log.place(of: 3)?.segment.size == 0)
    }
  }

  @Test func whatACleanerMayNotWriteIsRefused() throws {
    let fixture = try Fixture()
    try fixture.appendSegments(4)
    let good = try fixture.cleanedBytes(6...12)
    let size = Batch(records: 2).bytes.count
    var flipped = good
    flipped[70] ^= 1
    let cases: [(String, [UInt8])] = [
      ("checksum", flipped), ("no whole batch", Array(good.dropLast(size - 20))),
      ("no batch", Array(good.dropLast(1))), ("follows", good + good[..<size]),
      ("not of the segments", good + (try fixture.file(.log, 18))[..<size]),
      ("follows", (try fixture.file(.log, 0))[..<size] + good),
      ("no batch", [UInt8](repeating: 0, count: 100)),
    ]
    for (reason, bytes) in cases {
      let replacement = try fixture.replacement(6...12, bytes)
      do {
        while try replacement.step() {}
        Issue.record("accepted: \(reason)")
      } catch SegmentReplacement.Failure.defect(let text) {
        #expect(text.contains(reason), "\(text)")
      }
    }
    #expect(fixture.bases == [0, 6, 12, 18])
    #expect(try !fixture.names.contains { $0.contains(".cleaned") })
    // Not the active segment, not what is not there.
    for offsets in [0...18, 18...18, 3...6, 6...9] as [ClosedRange<Int64>] {
      #expect(throws: SegmentReplacement.Failure.self) {
        try fixture.replacement(offsets, good)
      }
    }
  }

  @Test func aLogThatHasChangedKeepsItsSegments() throws {
    for steps in 1...3 {
      let fixture = try Fixture { $0.fileDeleteDelayMs = 0 }
      try fixture.appendSegments(5)
      let replacement = try fixture.replacement(6...12, try fixture.cleanedBytes(6...12))
      for _ in 0..<steps { #expect(try replacement.step()) }
      fixture.log.raiseLogStart(to: 14)
      _ = try fixture.log.removeBreachedSegments(nowMs: fixture.nowMs)
      #expect(throws: SegmentReplacement.Failure.self) { while try replacement.step() {} }
      replacement.abandon()
      #expect(fixture.bases == [12, 18, 24])
      try fixture.directory.sweep(nowMs: .max)
      let names = try fixture.names
      #expect(!names.contains { $0.contains(".swap") || $0.contains(".cleaned") }, "\(steps)")
    }
  }

  /// Dead after any number of changes: the next start finds the old log or the new one.
  @Test func aCrashAtAnyMomentLeavesAWholeLog() throws {
    var outcomes: Set<Bool> = []
    var changes = 0
    while true {
      let device = DyingDevice()
      let fixture = try Fixture(device: device)
      try fixture.appendSegments(5)
      let aborted = AbortedTransaction(
        producerId: 1, firstOffset: 6, lastOffset: 13, lastStableOffset: 14)
      let replacement = try fixture.replacement(
        6...12, try fixture.cleanedBytes(6...12), aborted: [aborted])
      device.changesLeft = changes
      var isDone = false
      do {
        while try replacement.step() {}
        isDone = true
      } catch is SegmentReplacement.Failure {}
      device.changesLeft = .max
      try fixture.crash()
      let offsets = try fixture.offsets
      let isNew = offsets == after
      #expect(isNew || offsets == before, "after \(changes) changes: \(offsets)")
      #expect(fixture.bases == (isNew ? [0, 6, 18, 24] : [0, 6, 12, 18, 24]))
      #expect(try fixture.log.abortedTransactions() == (isNew ? [aborted] : []))
      #expect(fixture.report?.defect == nil)
      #expect(try !fixture.names.contains { $0.hasSuffix(".swap") || $0.hasSuffix(".cleaned") })
      #expect(try fixture.append(Batch()) == .staged(baseOffset: 30, logAppendTimeMs: -1))
      outcomes.insert(isNew)
      if isDone { break }
      changes += 1
    }
    #expect(outcomes == [true, false])
    #expect(changes > 15)
  }

  /// Dead while a start repairs what an earlier death has left.
  @Test func aRepairMayBeInterrupted() throws {
    for changes in 0..<12 {
      let device = DyingDevice()
      let fixture = try Fixture(device: device)
      try fixture.appendSegments(5)
      let replacement = try fixture.replacement(6...12, try fixture.cleanedBytes(6...12))
      for _ in 0..<3 { _ = try replacement.step() }
      #expect(try fixture.names.contains("00000000000000000006.log.swap"))
      let directory = "\(fixture.temporary.path)/\(fixture.partition)"
      device.changesLeft = changes
      let repair = SwapRecovery(directory, LogEnvironment(openSegmentsMax: 4, device: device))
      _ = try? repair.recover(try File.names(in: directory))
      device.changesLeft = .max
      try fixture.crash()
      #expect(try fixture.offsets == after, "after \(changes) changes")
    }
  }

  // MARK: Directories that Kafka left

  /// Files by name; what is there afterwards.
  @Test(
    arguments: [
      // Not finished: cleaned files go, and swaps of the same and later offsets.
      (["0.log", "5.log", "0.log.cleaned", "0.index.cleaned"], ["0.log", "5.log"]),
      (["0.log", "5.log", "0.log.swap", "0.index.cleaned"], ["0.log", "5.log"]),
      (["0.log", "5.log", "5.log.swap", "0.index.cleaned"], ["0.log", "5.log"]),
      // Valid: the segments that it stands for go.
      (["0.log", "5.log", "9.log", "0.log.swap", "0.index.swap"], ["0.log", "0.index", "9.log"]),
      (["5.log", "9.log", "0.log.swap", "0.log.deleted"], ["0.log", "0.log.deleted", "9.log"]),
      (
        ["9.log", "0.log", "0.index.swap", "0.timeindex.swap"],
        ["9.log", "0.log", "0.index", "0.timeindex"]
      ),
      // A split of one segment into two that was valid, before another began.
      (["0.log", "9.log", "0.log.swap", "9.log.cleaned"], ["0.log", "9.log"]),
      (
        ["0.log", "0.snapshot", "5.snapshot", "5.log", "0.log.swap", "9.log"],
        ["0.log", "0.snapshot", "9.log"]
      ),
    ] as [([String], [String])])
  func whatKafkaLeftIsFinished(_ files: [String], _ expected: [String]) throws {
    func full(_ name: String) -> String {
      let dot = name.firstIndex(of: ".") ?? name.endIndex
      return String(repeating: "0", count: 19) + name[..<dot] + name[dot...]
    }
    let temporary = TemporaryDirectory()
    try File.makeDirectory(temporary.path)
    for name in files {
      var bytes: [UInt8] = []
      if name.hasSuffix(".log.swap") {
        // Holds offsets from its own to 7.
        let base = Int64(name.prefix(1)) ?? 0
        bytes = Batch(records: Int(8 - min(base, 7))).bytes
        bytes.withUnsafeMutableBytes {
          RecordBatchHeader.assign(baseOffset: base, partitionLeaderEpoch: 0, in: $0)
        }
      }
      try Data(bytes).write(to: URL(fileURLWithPath: "\(temporary.path)/\(full(name))"))
    }
    let repair = SwapRecovery(temporary.path, LogEnvironment(openSegmentsMax: 4))
    let left = try repair.recover(try File.names(in: temporary.path))
    #expect(Set(left) == Set(expected.map(full)))
    #expect(Set(try File.names(in: temporary.path)) == Set(expected.map(full)))
    #expect(Set(try repair.recover(left)) == Set(left))
  }

  // MARK: What can be cleaned

  @Test func whatIsDirtyAndWhatIsLeftAlone() throws {
    let fixture = try Fixture { $0.compacts = true }
    try fixture.appendSegments(4)
    let size = fixture.log.segments[0].size
    func cleanable() throws -> CleanableLog {
      try #require(try fixture.log.cleanable(nowMs: fixture.nowMs))
    }
    var all = try cleanable()
    #expect(all.firstDirtyOffset == 0 && all.endOffset == 18)
    #expect(all.dirtyBytes == 3 * size && all.cleanBytes == 0 && all.dirtyRatio == 1)
    #expect(all.isDue(fixture.settings.config) && all.nextChangeMs == .max)
    fixture.log.cleaned(upTo: 12)
    all = try cleanable()
    #expect(all.firstDirtyOffset == 12 && all.dirtyBytes == size && all.cleanBytes == 2 * size)
    #expect(!all.isDue(fixture.settings.config))
    fixture.settings.config.minCleanableDirtyRatio = 0.3
    #expect(all.isDue(fixture.settings.config))
    fixture.log.cleaned(upTo: 18)
    #expect(try !cleanable().isDue(fixture.settings.config))
    fixture.settings.config.compacts = false
    #expect(try fixture.log.cleanable(nowMs: 0) == nil)
  }

  @Test func youngRecordsWait() throws {
    // Newest records of the segments: 1_004, 1_010, 1_016.
    let fixture = try Fixture {
      $0.compacts = true
      $0.minCompactionLagMs = 1_000
    }
    try fixture.appendSegments(4)
    let expected: [(nowMs: Int64, end: Int64, next: Int64)] = [
      (2_000, 0, 2_004), (2_004, 6, 2_010), (2_012, 12, 2_016), (2_016, 18, .max),
    ]
    for (nowMs, end, next) in expected {
      let cleanable = try #require(try fixture.log.cleanable(nowMs: nowMs))
      #expect(cleanable.endOffset == end && cleanable.nextChangeMs == next, "at \(nowMs)")
      #expect(cleanable.isDue(fixture.settings.config) == (end > 0))
    }
  }

  @Test func oldRecordsDoNotWaitForTheRatio() throws {
    let fixture = try Fixture {
      $0.compacts = true
      $0.minCleanableDirtyRatio = 1
      $0.maxCompactionLagMs = 1_000
    }
    try fixture.appendSegments(3)
    fixture.log.cleaned(upTo: 6)
    // The first record of what is dirty is of 1_006.
    for (nowMs, isDue) in [(2_000, false), (2_006, false), (2_007, true)] as [(Int64, Bool)] {
      let cleanable = try #require(try fixture.log.cleanable(nowMs: nowMs))
      #expect(cleanable.isDue(fixture.settings.config) == isDue, "at \(nowMs)")
      #expect(isDue || cleanable.nextChangeMs == 2_007)
    }
  }

  @Test func whatIsBeyondTheLastStableOffsetIsLeftAlone() throws {
    let fixture = try Fixture { $0.compacts = true }
    try fixture.appendSegments(2)
    try fixture.append(
      Batch(records: 1, producerId: 4, epoch: 0, sequence: 0, isTransactional: true))
    for _ in 0..<2 {
      try fixture.log.roll(nowMs: 0)
      try fixture.append(Batch())
    }
    #expect(try fixture.log.cleanable(nowMs: 0)?.waitsForRecoveryPoint == false)
    #expect(try fixture.log.cleanable(nowMs: 0)?.endOffset == 6)
    try fixture.append(
      Batch(producerId: 4, epoch: 0, isTransactional: true, isControl: true), from: .coordinator)
    let early = try #require(try fixture.log.cleanable(nowMs: 0))
    #expect(early.endOffset == 6 && early.waitsForRecoveryPoint)
    try fixture.makeDurable()
    #expect(try fixture.log.cleanable(nowMs: 0)?.endOffset == 14)
  }

  /// Nobody looks at a log that is being recovered; it is news afterwards.
  @Test func whatWasRecoveredIsNews() throws {
    let fixture = try Fixture { $0.compacts = true }
    try fixture.appendSegments(2)
    try fixture.crash()
    let news = fixture.directory.environment.takeCleanable()
    #expect(news.contains { $0 === fixture.log })
    #expect(try fixture.log.cleanable(nowMs: 0)?.endOffset == 6)
  }

  @Test func theCheckpointIsKafkas() throws {
    let fixture = try Fixture { $0.compacts = true }
    try fixture.appendSegments(3)
    fixture.log.cleaned(upTo: 12)
    try fixture.directory.writeCleanedOffsets(durable: false)
    let path = "\(fixture.temporary.path)/cleaner-offset-checkpoint"
    #expect(try String(decoding: File.contents(path), as: UTF8.self) == "0\n1\nt 0 12\n")
    try fixture.restart()
    #expect(fixture.log.cleanedOffset == 12)
    // One beyond the end of the log counts for nothing.
    try Data("0\n1\nt 0 99\n".utf8).write(to: URL(fileURLWithPath: path))
    try fixture.restart()
    #expect(try fixture.log.cleanable(nowMs: 0)?.firstDirtyOffset == 0)
    // A partition of the same name later begins anew.
    fixture.log.cleaned(upTo: 6)
    try fixture.directory.delete([fixture.partition])
    #expect(try String(decoding: File.contents(path), as: UTF8.self) == "0\n0\n")
  }

  @Test func theTransactionIndexIsKafkas() throws {
    let temporary = TemporaryDirectory()
    try File.makeDirectory(temporary.path)
    let path = "\(temporary.path)/0.txnindex"
    let entries = [
      AbortedTransaction(producerId: 1, firstOffset: 2, lastOffset: 3, lastStableOffset: 4),
      AbortedTransaction(producerId: .max, firstOffset: 5, lastOffset: 6, lastStableOffset: 7),
    ]
    let bytes = TransactionIndex.encode(entries)
    #expect(
      Array(bytes[..<34])
        == hex("0000 0000000000000001 0000000000000002 0000000000000003 0000000000000004"))
    let device = LogDevice()
    #expect(try TransactionIndex.read(path, device) == [])
    try Data(bytes + [0, 0, 1]).write(to: URL(fileURLWithPath: path))
    #expect(try TransactionIndex.read(path, device) == entries)
    try Data([0, 1] + bytes[2...]).write(to: URL(fileURLWithPath: path))
    #expect(throws: StorageError.self) { try TransactionIndex.read(path, device) }
  }
}
