// Transactions in the log: the indexes of aborted ones, through rolls, crashes, truncation, deletion
// and failed writes, and the last stable offset, also of a log at rest.

import Foundation
import Glibc
import Linux
import Model
import Records
import Testing

@testable import Storage

extension Fixture {
  /// A batch of a transaction that is or becomes open.
  func send(_ producerId: Int64, records: Int = 2, payload: Int = 300) throws {
    let sequence = (log.producers[producerId]?.lastBatch?.lastSequence ?? -1) + 1
    try append(
      Batch(
        records: records, payload: payload, producerId: producerId, epoch: 0, sequence: sequence,
        isTransactional: true))
  }

  /// Three producers whose transactions overlap, over several segments; one is open at the end.
  /// - Returns: the aborted ones, in the order of their markers.
  func writeTransactions(rounds: Int = 12) throws -> [AbortedTransaction] {
    var aborted: [AbortedTransaction] = []
    var open: [Int64: Int64] = [:]
    for round in 0..<rounds {
      for id in Int64(1)...3 where round % Int(id) == 0 {
        if open[id] == nil { open[id] = log.logEndOffset }
        try send(id)
        try append(Batch())
      }
      for id in Int64(1)...3 where (round + 1) % (2 * Int(id)) == 0 {
        guard let first = open.removeValue(forKey: id) else { continue }
        let marker = log.logEndOffset
        let commit = round % 3 == 0
        try end(id, commit: commit)
        if commit { continue }
        aborted.append(
          AbortedTransaction(
            producerId: id, firstOffset: first, lastOffset: marker,
            lastStableOffset: open.values.min() ?? marker + 1))
      }
    }
    return aborted
  }

  /// What the files have, by segment.
  func indexFiles() throws -> [Int64: [UInt8]] {
    var files: [Int64: [UInt8]] = [:]
    for segment in log.segments {
      let path = path(LogFileName.name(.txnindex, segment.baseOffset))
      if File.exists(path) { files[segment.baseOffset] = try File.contents(path) }
    }
    return files.filter { !$0.value.isEmpty }
  }
}

struct TransactionTests {
  @Test func everyAbortHasAnEntryInTheSegmentOfItsMarker() throws {
    let fixture = try Fixture { $0.segmentBytes = 2_000 }
    #expect(fixture.log.abortedTransactionsEdition == 0)
    let aborted = try fixture.writeTransactions()
    #expect(aborted.count > 6)
    #expect(fixture.log.transactionIndexes.count > 3)
    #expect(try fixture.log.abortedTransactions() == aborted)
    for (index, segment) in fixture.log.segments.enumerated() {
      let next =
        index + 1 < fixture.log.segments.count ? fixture.log.segments[index + 1].baseOffset : .max
      let here = aborted.filter { $0.lastOffset >= segment.baseOffset && $0.lastOffset < next }
      guard let handle = try fixture.log.openSegment(at: segment.baseOffset) else {
        Issue.record("no segment")
        continue
      }
      let carriesIndex = handle.transactionIndex != nil
      #expect(carriesIndex == !here.isEmpty)
      #expect(
        handle.transactions.nextBaseOffset
          == fixture.log.transactionIndexes.first { $0 > segment.baseOffset } ?? .max)
      #expect(handle.transactions.lastStableOffset == fixture.log.lastStableOffset)
      #expect(handle.transactions.edition == UInt32(aborted.count))
    }
    #expect(fixture.log.abortedTransactionsEdition == UInt32(aborted.count))
  }

  /// One commit may abort more transactions than the tail of the index holds.
  @Test func manyMarkersInOneCommit() throws {
    let fixture = try Fixture()
    for id in Int64(1)...200 { try fixture.send(id, records: 1) }
    for id in Int64(1)...200 {
      let outcome = try fixture.stage(Fixture.marker(id, commit: id % 2 == 0))
      #expect(outcome.isStaged)
      #expect(fixture.log.lastStableOffset == min(fixture.log.lastStableOffset, id - 1))
    }
    try fixture.commit()
    #expect(fixture.log.lastStableOffset == 400)
    let aborted = try fixture.log.abortedTransactions()
    #expect(aborted.map(\.producerId) == Array(stride(from: Int64(1), through: 199, by: 2)))
    #expect(aborted.map(\.lastStableOffset) == Array(stride(from: Int64(1), through: 199, by: 2)))
  }

  @Test func whatIsNoMarkerIsRefused() throws {
    let fixture = try Fixture()
    try fixture.send(4)
    let empty = Batch(producerId: 4, epoch: 0, isTransactional: true, isControl: true)
    #expect(try fixture.append(empty, from: .coordinator) == .malformed(.marker))
    #expect(try fixture.stage(Fixture.marker(-1, commit: true)) == .malformed(.marker))
    try fixture.end(4, commit: false, epoch: 3)
    #expect(try fixture.end(4, commit: false, epoch: 2) == .refused(.invalidProducerEpoch))
    #expect(fixture.log.lastStableOffset == fixture.log.logEndOffset)
    #expect(try fixture.producer(4)?.coordinatorEpoch == 1)
  }

  // MARK: Crashes

  enum Damage: String, CaseIterable {
    case none, lost, torn, zeros, hole, stale, emptied, begun
  }

  /// Whatever a crash leaves of the entries behind the recovery point, they are made from the batches.
  @Test(arguments: Damage.allCases, [0, 5, 11, 12])
  func recoveryMakesTheEntries(damage: Damage, durableRounds: Int) throws {
    for slice in [Int64.max, 700] {
      let fixture = try Fixture { $0.segmentBytes = 2_000 }
      fixture.sliceBytes = slice
      _ = try fixture.writeTransactions(rounds: durableRounds)
      if durableRounds > 0 { try fixture.makeDurable() }
      let point = fixture.log.recoveryPoint
      _ = try fixture.writeTransactions(rounds: 13)
      let expected = try fixture.indexFiles()
      let stable = fixture.log.lastStableOffset
      let end = fixture.log.logEndOffset
      // The file that the recovery point lies in keeps what is below it.
      let durable = fixture.log.segments.last { $0.baseOffset <= point }?.baseOffset ?? 0
      let kept = try fixture.log.abortedTransactions().filter {
        $0.lastOffset < point && $0.lastOffset >= durable
      }.count
      try fixture.crash {
        for base in expected.keys where base >= durable {
          let name = fixture.path(LogFileName.name(.txnindex, base))
          let size = base == durable ? kept * 34 : 0
          switch damage {
          case .none: break
          case .lost: if size == 0 { try File.remove(name) }
          case .torn:
            try fixture.overwrite(.txnindex, base) { $0.removeLast(min(15, $0.count - size)) }
          case .zeros:
            try fixture.overwrite(.txnindex, base) { bytes in
              bytes = bytes[..<size] + [UInt8](repeating: 0, count: 100)
            }
          case .hole:
            try fixture.overwrite(.txnindex, base) { bytes in
              if bytes.count < size + 68 { return }
              bytes.replaceSubrange(size..<size + 34, with: [UInt8](repeating: 0, count: 34))
            }
          case .stale:
            try fixture.overwrite(.txnindex, base) { bytes in
              bytes += TransactionIndex.encode([
                AbortedTransaction(
                  producerId: 9, firstOffset: end + 1, lastOffset: end + 5,
                  lastStableOffset: end + 6)
              ])
            }
          case .emptied: try fixture.overwrite(.txnindex, base) { $0 = Array($0[..<size]) }
          case .begun:
            try fixture.overwrite(.txnindex, base) { $0 = Array($0[..<size]) + [0, 0, 7] }
          }
        }
      }
      #expect(try fixture.indexFiles() == expected, "\(damage) \(durableRounds) \(slice)")
      #expect(fixture.log.lastStableOffset == stable)
      #expect(fixture.log.logEndOffset == end)
      // The index goes on where it was.
      for id in Int64(1)...3 { try fixture.end(id, commit: false) }
      let all = try fixture.log.abortedTransactions()
      #expect(zip(all, all.dropFirst()).allSatisfy { $0.lastOffset < $1.lastOffset })
      #expect(fixture.log.lastStableOffset == fixture.log.logEndOffset)
    }
  }

  /// A marker that the crash cut off was none.
  @Test func whatIsCutOffIsOpenAgain() throws {
    let fixture = try Fixture()
    try fixture.send(1)
    try fixture.end(1, commit: false)
    try fixture.send(1)
    try fixture.send(2)
    let size = fixture.log.size
    try fixture.end(1, commit: false)
    let expected = try fixture.log.abortedTransactions().dropLast()
    try fixture.crash {
      try fixture.overwrite(.log) { $0 = Array($0[..<(Int(size) + 30)]) }
    }
    #expect(fixture.log.logEndOffset == 7)
    #expect(fixture.log.lastStableOffset == 3)
    #expect(try fixture.log.abortedTransactions() == Array(expected))
  }

  /// An index without its segment, as a crash may leave it, is not taken for that of a later one.
  @Test func anIndexWithoutItsSegmentGoes() throws {
    let fixture = try Fixture()
    try fixture.append(Batch())
    let stale = fixture.path(LogFileName.name(.txnindex, 1))
    try fixture.crash {
      try Data(
        TransactionIndex.encode([
          AbortedTransaction(producerId: 9, firstOffset: 1, lastOffset: 2, lastStableOffset: 3)
        ])
      ).write(to: URL(fileURLWithPath: stale))
    }
    #expect(!File.exists(stale))
    #expect(fixture.log.abortedTransactionsEdition == 0)
  }

  // MARK: Rest

  @Test(arguments: ["sluice", "kafka", "without a snapshot"])
  func aLogAtRestKnowsItsLastStableOffset(marker: String) throws {
    let fixture = try Fixture { $0.segmentBytes = 2_000 }
    let aborted = try fixture.writeTransactions()
    try fixture.send(7)
    let stable = fixture.log.lastStableOffset
    #expect(stable < fixture.log.logEndOffset)
    let failures = try fixture.directory.close()
    #expect(failures.isEmpty)
    let clean = "\(fixture.temporary.path)/.kafka_cleanshutdown"
    #expect(
      try String(decoding: File.contents(clean), as: UTF8.self)
        .contains(#""openTransactions":true"#))
    if marker != "sluice" {
      try Data(#"{"version":0,"brokerEpoch":5}"#.utf8).write(to: URL(fileURLWithPath: clean))
    }
    if marker == "without a snapshot" {
      try File.remove(fixture.path(LogFileName.name(.snapshot, fixture.log.logEndOffset)))
    }
    try fixture.crash()
    #expect(fixture.report == nil)
    #expect(fixture.log.isLoaded == (marker == "without a snapshot"))
    #expect(fixture.log.lastStableOffset == stable)
    #expect(try fixture.log.abortedTransactions() == aborted)
    for id in [Int64(1), 2, 3, 7] { try fixture.end(id, commit: true) }
    #expect(fixture.log.lastStableOffset == fixture.log.logEndOffset)
    try fixture.restart()
    #expect(fixture.log.lastStableOffset == fixture.log.logEndOffset)
    #expect(try fixture.log.abortedTransactions() == aborted)
  }

  // MARK: What goes

  @Test func truncationCutsTheIndexAndOpensTransactions() throws {
    let fixture = try Fixture { $0.segmentBytes = 2_000 }
    let aborted = try fixture.writeTransactions()
    let cut = aborted[3]
    try fixture.log.truncate(to: cut.lastOffset, nowMs: 0)
    #expect(fixture.log.logEndOffset == cut.lastOffset)
    #expect(try fixture.log.abortedTransactions() == Array(aborted[..<3]))
    #expect(fixture.log.lastStableOffset <= cut.firstOffset)
    try fixture.end(cut.producerId, commit: false)
    #expect(try fixture.log.abortedTransactions() == Array(aborted[...3]))
    try fixture.log.truncate(to: 0, nowMs: 0)
    #expect(fixture.log.abortedTransactionsEdition == 0)
    #expect(fixture.log.lastStableOffset == 0)
  }

  @Test func indexesGoWithTheirSegments() throws {
    let fixture = try Fixture { $0.segmentBytes = 2_000 }
    let aborted = try fixture.writeTransactions()
    let base = fixture.log.transactionIndexes[2]
    #expect(fixture.log.deleteRecords(before: base) == .none)
    try fixture.directory.writeLogStarts(durable: true)
    _ = try fixture.log.removeBreachedSegments(nowMs: 0)
    let left = aborted.filter { $0.lastOffset >= base }
    #expect(left.count < aborted.count)
    #expect(try fixture.log.abortedTransactions() == left)
    try fixture.restart()
    #expect(try fixture.log.abortedTransactions() == left)
    // All of it goes, open transactions too.
    #expect(fixture.log.deleteRecords(before: -1) == .none)
    #expect(fixture.log.lastStableOffset == fixture.log.logEndOffset)
    _ = try fixture.log.openedSegment(nowMs: 0)
    try fixture.log.roll(nowMs: 0)
    try fixture.directory.writeLogStarts(durable: true)
    _ = try fixture.log.removeBreachedSegments(nowMs: 0)
    #expect(fixture.log.abortedTransactionsEdition == 0)
    let directory = "\(fixture.temporary.path)/\(fixture.partition)"
    let names = try File.names(in: directory).filter { $0.hasSuffix(".txnindex") }
    #expect(names.isEmpty)
  }

  /// A marker without its entry would show aborted records: neither is there.
  @Test func noMarkerWithoutItsEntry() throws {
    let device = FailingDevice()
    let fixture = try Fixture(device: device)
    try fixture.send(1)
    try fixture.end(1, commit: false)
    try fixture.send(1)
    let end = fixture.log.logEndOffset
    device.smallWriteFailure = ENOSPC
    #expect(throws: StorageError.self) { try fixture.end(1, commit: false) }
    #expect(fixture.log.logEndOffset == end)
    #expect(fixture.log.lastStableOffset == end - 2)
    #expect(fixture.log.failure == nil)
    device.smallWriteFailure = nil
    #expect(try fixture.log.abortedTransactions().count == 1)
    try fixture.end(1, commit: false)
    #expect(try fixture.log.abortedTransactions().map(\.lastOffset) == [2, end])
    device.smallWriteFailure = EIO
    try fixture.send(1)
    #expect(throws: StorageError.self) { try fixture.end(1, commit: false) }
    #expect(fixture.log.isOffline)
  }
}
