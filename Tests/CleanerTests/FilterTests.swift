// Kafka's rules of compaction, one by one.

import Compression
import IPC
import Model
import Records
import Testing

@testable import Cleaner

struct FilterTests {
  @Test(arguments: CompressionType.allCases)
  func onlyTheLatestValueOfAKeyStays(_ type: CompressionType) throws {
    var log = TestLog(
      [
        try makeBatch(
          at: 0, [Made(key: "a", value: "1"), Made(key: "b", value: "1", timestamp: 1_007)], type),
        try makeBatch(at: 2, [Made(key: "a", value: "2"), Made(key: "c", value: "1")], type),
        try makeBatch(at: 4, [Made(key: "d", value: "1"), Made(key: "a", value: "3")], type),
      ], endOffset: 6)
    let untouched = try log.batches[2].bytes
    let outcome = try log.clean()
    #expect(try log.texts == ["b=1", "c=1", "d=1", "a=3"])
    #expect(try log.records.map(\.offset) == [1, 3, 4, 5])
    let batches = try log.batches
    #expect(batches.map(\.header.baseOffset) == [0, 2, 4])
    #expect(batches.map(\.header.lastOffset) == [1, 3, 5])
    #expect(batches.map(\.header.recordCount) == [1, 1, 2])
    #expect(batches.allSatisfy { $0.header.compression == type })
    #expect(batches.allSatisfy { $0.header.partitionLeaderEpoch == 5 })
    #expect(batches[0].header.maxTimestamp == 1_007)
    #expect(batches[0].records[0].timestamp == 1_007)
    #expect(batches[0].records[0].headers == [RecordHeader(key: "h", value: [1, 2])])
    #expect(batches[2].bytes == untouched)
    #expect(outcome.endOffset == 6)
    #expect(outcome.report.recordsRead == 6 && outcome.report.recordsKept == 4)
    // Again: nothing is left to do.
    let before = log.segments[0].bytes
    log.firstDirtyOffset = 0
    #expect(try log.clean().replaced.isEmpty)
    #expect(log.segments[0].bytes == before)
  }

  @Test func recordsWithoutKeyGo() throws {
    var log = TestLog(
      [
        try makeBatch(at: 0, [Made(key: nil, value: "1"), Made(key: "a", value: "1")]),
        try makeBatch(at: 2, [Made(key: nil, value: "2")]),
        try makeBatch(at: 3, [Made(key: "b", value: "2")]),
      ], endOffset: 4)
    _ = try log.clean()
    #expect(try log.texts == ["a=1", "b=2"])
    #expect(try log.batches.count == 2)
  }

  /// KIP-534: the first cleaning sets the horizon, a later one removes the tombstone.
  @Test(arguments: CompressionType.allCases)
  func tombstonesGoAtTheirHorizon(_ type: CompressionType) throws {
    var log = TestLog(
      [
        try makeBatch(at: 0, [Made(key: "a", value: "1"), Made(key: "b", value: "1")], type),
        try makeBatch(
          at: 2, [Made(key: "a", value: nil, timestamp: 900), Made(key: "c", value: "1")], type),
      ], endOffset: 4)
    _ = try log.clean()
    #expect(try log.texts == ["b=1", "a", "c=1"])
    var last = try #require(try log.batches.last)
    #expect(last.header.deleteHorizonMs == log.nowMs + 100)
    #expect(last.header.attributes.hasDeleteHorizon)
    #expect(last.records.map(\.timestamp) == [900, 1_000])
    #expect(last.header.maxTimestamp == 1_000)
    for (now, texts) in [
      (1_000_050, ["b=1", "a", "c=1"]), (1_000_099, ["b=1", "a", "c=1"]),
      (1_000_100, ["b=1", "c=1"]), (1_000_200, ["b=1", "c=1"]),
    ] as [(Int64, [String])] {
      log.nowMs = now
      log.firstDirtyOffset = 0
      _ = try log.clean()
      #expect(try log.texts == texts, "at \(now)")
    }
    last = try #require(try log.batches.last)
    #expect(last.header.deleteHorizonMs == 1_000_100)
    #expect(last.records.map(\.timestamp) == [1_000])
    #expect(last.header.lastOffset == 3)
  }

  @Test func aBatchWithAppendTimeKeepsIt() throws {
    var log = TestLog(
      [
        try makeBatch(
          at: 0, [Made(key: "a", value: "1"), Made(key: "b", value: nil)], logAppendTimeMs: 7_777),
        try makeBatch(at: 2, [Made(key: "a", value: "2")]),
      ], endOffset: 3)
    _ = try log.clean()
    let first = try log.batches[0]
    #expect(first.header.isLogAppendTime && first.header.maxTimestamp == 7_777)
    #expect(first.records.map(\.timestamp) == [7_777])
    #expect(first.header.deleteHorizonMs == 1_000_100)
  }

  @Test func theLastBatchStaysEmpty() throws {
    var log = TestLog(
      [
        try makeBatch(at: 0, [Made(key: "a", value: "1")]),
        try makeBatch(at: 1, [Made(key: nil, value: "2"), Made(key: nil, value: "3")], .lz4),
      ], endOffset: 3)
    _ = try log.clean()
    let batches = try log.batches
    #expect(batches.count == 2)
    #expect(batches[1].header.recordCount == 0)
    #expect(batches[1].header.sizeInBytes == RecordBatchHeader.size)
    #expect(batches[1].header.baseOffset == 1 && batches[1].header.lastOffset == 2)
    #expect(batches[1].header.compression == CompressionType.none)
    #expect(batches[1].header.maxTimestamp == 1_000)
    #expect(batches[1].header.baseTimestamp == -1)
    log.firstDirtyOffset = 0
    #expect(try log.clean().replaced.isEmpty)
    // Once the log goes on, it goes.
    log.segments.append(
      Segment(baseOffset: 3, bytes: try makeBatch(at: 3, [Made(key: "a", value: "4")])))
    log.endOffset = 4
    _ = try log.clean()
    #expect(try log.texts == ["a=4"])
    #expect(try log.batches.count == 1)
  }

  @Test func theLastBatchOfAProducerStaysEmpty() throws {
    let producer = Producer(id: 9, epoch: 2, sequence: 10)
    var log = TestLog(
      [
        try makeBatch(at: 0, [Made(key: "a", value: "1")], producer: Producer(id: 9, epoch: 2)),
        try makeBatch(
          at: 1, [Made(key: "a", value: "2"), Made(key: "a", value: "3")], producer: producer),
        try makeBatch(at: 3, [Made(key: "a", value: "4")]),
      ], endOffset: 4)
    log.producers = [ProducerLastRecord(producerId: 9, producerEpoch: 2, lastDataOffset: 2)]
    _ = try log.clean()
    let batches = try log.batches
    #expect(batches.map(\.header.baseOffset) == [1, 3])
    #expect(batches[0].header.recordCount == 0)
    #expect(batches[0].header.producerId == 9 && batches[0].header.producerEpoch == 2)
    #expect(batches[0].header.baseSequence == 10 && batches[0].header.lastSequence == 11)
    // The producer is gone: so is the batch.
    log.producers = []
    log.firstDirtyOffset = 0
    _ = try log.clean()
    #expect(try log.batches.map(\.header.baseOffset) == [3])
  }

  @Test func abortedRecordsGoAndMarkersFollow() throws {
    let transaction = Producer(id: 4, isTransactional: true)
    var log = TestLog(
      [
        try makeBatch(at: 0, [Made(key: "a", value: "1")]),
        try makeBatch(at: 1, [Made(key: "a", value: "aborted")], producer: transaction),
        makeMarker(at: 2, producerId: 4, commit: false),
        try makeBatch(
          at: 3, [Made(key: "b", value: "2")],
          producer: Producer(id: 4, sequence: 1, isTransactional: true)),
        makeMarker(at: 4, producerId: 4, commit: true),
        try makeBatch(at: 5, [Made(key: "z", value: "9")]),
      ], endOffset: 6)
    log.aborted = [
      AbortedTransaction(producerId: 4, firstOffset: 1, lastOffset: 2, lastStableOffset: 3)
    ]
    var outcome = try log.clean()
    // An aborted record does not make an older one superfluous.
    #expect(try log.texts == ["a=1", "b=2", "z=9"])
    // The marker stays as long as the transaction index of this round names its transaction.
    #expect(try log.batches.map(\.header.baseOffset) == [0, 2, 3, 4, 5])
    #expect(outcome.replaced[0].abortedTransactions.count == 1)
    #expect(log.aborted == outcome.replaced[0].abortedTransactions)
    let marker = try log.batches[1]
    #expect(marker.header.isControlBatch && marker.header.deleteHorizonMs == nil)
    // Next round: nothing of the aborted transaction is left, so its marker gets a horizon.
    log.firstDirtyOffset = 0
    outcome = try log.clean()
    #expect(outcome.replaced[0].abortedTransactions == [])
    #expect(try log.batches[1].header.deleteHorizonMs == 1_000_100)
    #expect(try log.batches[1].records.count == 1)
    #expect(log.aborted == [])
    log.nowMs = 1_000_100
    log.firstDirtyOffset = 0
    _ = try log.clean()
    #expect(try log.batches.map(\.header.baseOffset) == [0, 3, 4, 5])
    // The committed transaction has its record: its marker has no horizon.
    #expect(try log.batches[2].header.deleteHorizonMs == nil)
  }

  @Test func aMarkerStaysForItsProducer() throws {
    var log = TestLog(
      [
        makeMarker(at: 0, producerId: 4, epoch: 3, commit: true),
        try makeBatch(at: 1, [Made(key: "z", value: "9")]),
      ], endOffset: 2)
    log.producers = [ProducerLastRecord(producerId: 4, producerEpoch: 3, lastDataOffset: -1)]
    _ = try log.clean()
    #expect(try log.batches[0].header.deleteHorizonMs == 1_000_100)
    log.nowMs = 2_000_000
    log.firstDirtyOffset = 0
    _ = try log.clean()
    let kept = try log.batches[0].header
    #expect(kept.isControlBatch && kept.recordCount == 0 && kept.producerEpoch == 3)
    log.producers = []
    log.firstDirtyOffset = 0
    _ = try log.clean()
    #expect(try log.batches.map(\.header.baseOffset) == [1])
  }

  @Test func bombsAndDamageAreRefused() throws {
    let zeros = String(repeating: "0", count: 20 << 20)
    var bomb = TestLog([try makeBatch(at: 0, [Made(key: "a", value: zeros)], .zstd)], endOffset: 1)
    bomb.maxMessageBytes = 1_000
    let error = #expect(throws: CleaningError.self) { try bomb.clean() }
    #expect(error?.description.contains("decompresses to more than") == true)
    var damaged = TestLog([try makeBatch(at: 0, [Made(key: "a", value: "1")])], endOffset: 1)
    damaged.segments[0].bytes[66] ^= 1
    let damage = #expect(throws: CleaningError.self) { try damaged.clean() }
    #expect(damage?.description.contains("checksum") == true)
    damaged.segments[0].bytes.removeLast(3)
    #expect(throws: CleaningError.self) { try damaged.clean() }
    damaged.segments[0].bytes = Array(damaged.segments[0].bytes.prefix(30))
    #expect(throws: CleaningError.self) { try damaged.clean() }
  }

  @Test func largeBatchesAreReadWhole() throws {
    let large = String(repeating: "x", count: 700_000)
    var log = TestLog(
      [
        try makeBatch(at: 0, [Made(key: "a", value: large), Made(key: "b", value: large)]),
        try makeBatch(at: 2, [Made(key: "a", value: "small")]),
      ], endOffset: 3)
    _ = try log.clean()
    #expect(try log.records.map { $0.value?.count } == [700_000, 5])
  }
}
