// Putting a cleaned segment in place of others survives a crash at any moment, and what the cleaner of
// Kafka has left is finished. The formats of what it writes are Kafka's.

import Foundation
import Glibc
import Linux
import Model
import Records
import Testing

@testable import Storage

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
  /// The new segment does not tell of earlier batches of its producers any more.
  @Test func producersAreOnDiskBeforeSegmentsGo() throws {
    let fixture = try Fixture()
    for sequence in 0..<3 {
      try fixture.append(Batch(producerId: 1, epoch: 0, sequence: Int32(sequence)))
    }
    _ = try fixture.log.openedSegment(nowMs: fixture.nowMs)
    try fixture.log.roll(nowMs: fixture.nowMs)
    let steps = try fixture.replacement(0...0, try fixture.cleanedBytes(0...0))
    guard case .check(let file) = try steps.next() else { throw CrashFinding("no check") }
    file.check()
    guard case .sync(let descriptors) = try steps.next() else { throw CrashFinding("no sync") }
    let synced = try descriptors.map {
      try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")
    }
    #expect(synced.contains(fixture.path(LogFileName.name(.snapshot, 3))))
  }

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

  // MARK: Formats

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
