// Whole runs: what is mapped, how far, what is grouped, and random logs against a model that knows
// only the rules.

import Foundation
import IPC
import Model
import Records
import Testing

@testable import Cleaner

struct RunTests {
  /// Segments of `count` batches of one record, all with the same few keys.
  private func manySegments(_ segments: Int, batches count: Int, keys: Int) throws -> TestLog {
    var offset: Int64 = 0
    var made: [Segment] = []
    for _ in 0..<segments {
      var segment = Segment(baseOffset: offset)
      for _ in 0..<count {
        segment.bytes += try makeBatch(
          at: offset, [Made(key: "k\(offset % Int64(keys))", value: "v\(offset)")])
        offset += 1
      }
      made.append(segment)
    }
    return TestLog(segments: made, endOffset: offset)
  }

  @Test func smallSegmentsBecomeOne() throws {
    var log = try manySegments(10, batches: 20, keys: 7)
    let outcome = try log.clean()
    #expect(outcome.replaced.count == 1)
    #expect(outcome.replaced[0].baseOffset == 0 && outcome.replaced[0].lastBaseOffset == 180)
    #expect(log.segments.count == 1)
    #expect(try log.records.map(\.offset) == Array(193..<200))
  }

  @Test func groupsKeepWithinTheirBounds() throws {
    func segment(_ base: Int64, _ size: Int64, _ index: Int64 = 0, _ time: Int64 = 0)
      -> SegmentToClean
    { SegmentToClean(baseOffset: base, size: size, indexSize: index, timeIndexSize: time) }
    func groups(_ segments: [SegmentToClean], end: Int64 = 1 << 40) -> [[Int64]] {
      SegmentGroups.group(segments, segmentBytes: 100, indexBytes: 50, endOffset: end)
        .map { $0.map(\.baseOffset) }
    }
    #expect(groups([]) == [])
    #expect(groups([segment(0, 50), segment(1, 50), segment(2, 1)], end: 3) == [[0, 1], [2]])
    #expect(groups([segment(0, 500), segment(1, 1)], end: 3) == [[0], [1]])
    #expect(groups([segment(0, 1, 50), segment(1, 1, 1)], end: 3) == [[0], [1]])
    #expect(groups([segment(0, 1, 0, 50), segment(1, 1, 0, 1)], end: 3) == [[0], [1]])
    // Offsets that an index of the first segment cannot tell.
    #expect(groups([segment(0, 1), segment(1 << 31, 1)], end: 1 << 31 + 1) == [[0], [1 << 31]])
    #expect(groups([segment(0, 1), segment(5, 1)], end: 1 << 31) == [[0, 5]])
    #expect(groups([segment(0, 1), segment(5, 1)], end: 1 << 31 + 1) == [[0], [5]])
    #expect(groups([segment(0, 1), segment(5, 0)], end: 1 << 40) == [[0, 5]])
  }

  /// A map that takes few keys cleans a log all the same, in several runs.
  @Test func aFullMapCleansAsFarAsItReaches() throws {
    var log = try manySegments(6, batches: 50, keys: 120)
    log.memory.mapBytesMax = 40 * OffsetMap.entrySize
    let full = log
    var ends: [Int64] = []
    while log.firstDirtyOffset < log.endOffset {
      let before = log.firstDirtyOffset
      ends.append(try log.clean().endOffset)
      try #require(log.firstDirtyOffset > before)
    }
    #expect(ends.count >= 7)
    #expect(ends.last == 300)
    #expect(try log.records.map(\.offset) == Array(180..<300))
    // What lies behind the map is not touched.
    var once = full
    let end = try once.clean().endOffset
    #expect(end < 50)
    #expect(
      try once.records.filter { $0.offset >= end } == (try full.records.filter { $0.offset >= end })
    )
  }

  @Test func oneBatchWithTooManyKeysIsAnError() throws {
    var log = TestLog(
      [try makeBatch(at: 0, (0..<100).map { Made(key: "\($0)", value: "v") })], endOffset: 100)
    log.memory.mapBytesMax = 20 * OffsetMap.entrySize
    let error = #expect(throws: CleaningError.self) { try log.clean() }
    #expect(error?.description.contains("log.cleaner.dedupe.buffer.size") == true)
  }

  @Test func onlyTheDirtyPartIsMapped() throws {
    var log = try manySegments(4, batches: 10, keys: 5)
    log.firstDirtyOffset = 35
    _ = try log.clean()
    // Older records with a key of the dirty part go; nothing else does.
    #expect(try log.records.map(\.offset) == Array(35..<40))
    var other = try manySegments(4, batches: 10, keys: 40)
    other.firstDirtyOffset = 35
    #expect(try other.clean().report.recordsKept == 40)
  }

  @Test func anUnchangedSegmentIsNotWritten() throws {
    var log = try manySegments(3, batches: 10, keys: 30)
    log.segmentBytes = 1
    let outcome = try log.clean()
    #expect(outcome.replaced.isEmpty)
    #expect(outcome.report.bytesWritten == 0)
    #expect(try log.records.count == 30)
  }

  @Test func gapsOfEarlierCleaningsAreNoObstacle() throws {
    var log = TestLog(
      segments: [
        Segment(baseOffset: 0), Segment(baseOffset: 10),
        Segment(baseOffset: 50, bytes: try makeBatch(at: 70, [Made(key: "a", value: "1")])),
        Segment(baseOffset: 90),
      ], endOffset: 100)
    let outcome = try log.clean()
    #expect(outcome.endOffset == 100)
    #expect(log.segments.count == 1)
    #expect(try log.texts == ["a=1"])
  }

  // MARK: Random logs

  /// A log of random batches: keys, tombstones, keyless records, producers, transactions, codecs.
  private struct RandomLog {
    var log: TestLog
    /// Offsets of records that were aborted.
    var aborted: Set<Int64> = []

    init(_ random: inout SeededGenerator) throws {
      var offset: Int64 = 0
      var segments: [Segment] = []
      var sequences: [Int64: Int32] = [:]
      var open: [Int64: (first: Int64, offsets: [Int64])] = [:]
      var abortedTransactions: [AbortedTransaction] = []
      var last: [Int64: Int64] = [:]
      for _ in 0..<Int.random(in: 1...5, using: &random) {
        var segment = Segment(baseOffset: offset)
        for _ in 0..<Int.random(in: 1...12, using: &random) {
          if let (id, transaction) = open.randomElement(using: &random),
            Int.random(in: 0..<3, using: &random) == 0
          {
            let commits = Bool.random(using: &random)
            segment.bytes += makeMarker(at: offset, producerId: id, commit: commits)
            if !commits {
              abortedTransactions.append(
                AbortedTransaction(
                  producerId: id, firstOffset: transaction.first, lastOffset: offset,
                  lastStableOffset: offset + 1))
              aborted.formUnion(transaction.offsets)
            }
            open[id] = nil
            offset += 1
            continue
          }
          let count = Int.random(in: 1...6, using: &random)
          var records: [Made] = []
          for _ in 0..<count {
            records.append(
              Made(
                key: Int.random(in: 0..<12, using: &random) == 0
                  ? nil : "k\(Int.random(in: 0..<15, using: &random))",
                value: Int.random(in: 0..<4, using: &random) == 0
                  ? nil : "v\(Int.random(in: 0..<99, using: &random))",
                timestamp: Int64.random(in: 0..<100_000, using: &random)))
          }
          var producer: Producer?
          let id = Int64.random(in: 1...6, using: &random)
          if id <= 3 {
            producer = Producer(id: id, sequence: sequences[id] ?? 0, isTransactional: id > 1)
            sequences[id, default: 0] += Int32(count)
            last[id] = offset + Int64(count) - 1
            if id > 1 {
              var transaction = open[id] ?? (offset, [])
              transaction.offsets += (0..<Int64(count)).map { offset + $0 }
              open[id] = transaction
            }
          }
          segment.bytes += try makeBatch(
            at: offset, records, CompressionType.allCases.randomElement(using: &random) ?? .none,
            producer: producer)
          offset += Int64(count)
        }
        segments.append(segment)
      }
      // Nothing beyond the last stable offset is cleaned: the open transactions are ended.
      for (id, transaction) in open.sorted(by: { $0.key < $1.key }) {
        segments[segments.count - 1].bytes += makeMarker(at: offset, producerId: id, commit: false)
        abortedTransactions.append(
          AbortedTransaction(
            producerId: id, firstOffset: transaction.first, lastOffset: offset,
            lastStableOffset: offset + 1))
        aborted.formUnion(transaction.offsets)
        offset += 1
      }
      log = TestLog(segments: segments, endOffset: max(1, offset))
      log.aborted = abortedTransactions
      log.producers = last.map {
        ProducerLastRecord(producerId: $0.key, producerEpoch: 0, lastDataOffset: $0.value)
      }
      log.segmentBytes = Int32.random(in: 1...20_000, using: &random)
      log.memory.bufferBytes = 128 << 10
    }
  }

  @Test(arguments: (0..<60).map { _ in UInt64.random(in: .min ... .max) })
  func aRandomLogKeepsWhatTheRulesSay(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let made = try RandomLog(&random)
    var log = made.log
    let before = try log.batches
    let all = try log.records
    // The last record of each key that was not aborted.
    var latest: [[UInt8]: Int64] = [:]
    for record in all where !made.aborted.contains(record.offset) {
      if let key = record.key { latest[key] = record.offset }
    }
    let expected = all.filter { record in
      !made.aborted.contains(record.offset)
        && record.key.map { latest[$0] == record.offset } ?? false
    }
    let outcome = try log.clean()
    #expect(outcome.endOffset == log.endOffset, "seed \(seed)")
    #expect(try log.records == expected, "seed \(seed)")
    try checkBatches(before, try log.batches, made, seed)
    // Once more, before any horizon: nothing changes but what markers still wait for.
    log.firstDirtyOffset = 0
    _ = try log.clean()
    #expect(try log.records == expected, "seed \(seed)")
    let twice = try log.batches
    log.firstDirtyOffset = 0
    _ = try log.clean()
    #expect(try log.batches == twice, "seed \(seed)")
    // After every horizon: tombstones are gone, and markers of transactions without records.
    log.nowMs += 101
    log.firstDirtyOffset = 0
    _ = try log.clean()
    #expect(try log.records == expected.filter { $0.value != nil }, "seed \(seed)")
    log.firstDirtyOffset = 0
    _ = try log.clean()
    let end = try log.batches
    log.nowMs += 1_000
    log.firstDirtyOffset = 0
    _ = try log.clean()
    #expect(try log.records == expected.filter { $0.value != nil }, "seed \(seed)")
    #expect(try log.batches.count <= end.count, "seed \(seed)")
  }

  /// Offsets never change, producers are remembered, and an empty batch has a reason.
  private func checkBatches(
    _ before: [ReadBatch], _ after: [ReadBatch], _ made: RandomLog, _ seed: UInt64
  ) throws {
    let old = Dictionary(uniqueKeysWithValues: before.map { ($0.header.baseOffset, $0.header) })
    for batch in after {
      let header = batch.header
      let was = try #require(old[header.baseOffset], "seed \(seed)")
      #expect(header.lastOffset == was.lastOffset, "seed \(seed)")
      #expect(header.producerId == was.producerId && header.producerEpoch == was.producerEpoch)
      #expect(header.baseSequence == was.baseSequence && header.lastSequence == was.lastSequence)
      #expect(header.isTransactional == was.isTransactional)
      #expect(header.isControlBatch == was.isControlBatch)
      let isLast = made.log.producers.contains {
        $0.producerId == header.producerId && $0.lastDataOffset == header.lastOffset
      }
      if header.recordCount == 0 {
        #expect(isLast || header.nextOffset == made.log.endOffset, "seed \(seed)")
      }
    }
    for producer in made.log.producers {
      #expect(
        after.contains {
          $0.header.producerId == producer.producerId
            && $0.header.lastOffset == producer.lastDataOffset
        }, "seed \(seed)")
    }
    #expect(
      zip(after, after.dropFirst()).allSatisfy { $0.header.nextOffset <= $1.header.baseOffset })
    if let last = before.last, last.header.nextOffset == made.log.endOffset {
      #expect(after.last?.header.nextOffset == made.log.endOffset, "seed \(seed)")
    }
  }
}
