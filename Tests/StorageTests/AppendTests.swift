// Appending: offsets, headers, refusals, rolls, indexes.

import Foundation
import Linux
import Model
import Records
import Testing

@testable import Storage

struct AppendTests {
  @Test func offsetsAndHeadersAreAssigned() throws {
    let fixture = try Fixture()
    #expect(
      try fixture.append(Batch(records: 3)) == .staged(baseOffset: 0, logAppendTimeMs: -1))
    #expect(
      try fixture.append(Batch(records: 2)) == .staged(baseOffset: 3, logAppendTimeMs: -1))
    #expect(fixture.log.logEndOffset == 5)
    #expect(fixture.log.highWatermark == 5)
    #expect(fixture.log.lastStableOffset == 5)
    let headers = try fixture.batches().map(\.header)
    #expect(headers.map(\.baseOffset) == [0, 3])
    #expect(headers.map(\.partitionLeaderEpoch) == [3, 3])
    let epochs = try File.contents(fixture.path("leader-epoch-checkpoint"))
    #expect(epochs == Array("0\n1\n3 0\n".utf8))
  }

  @Test func manyBatchesAreOneWrite() throws {
    let device = CountingDevice()
    let fixture = try Fixture(device: device)
    try fixture.append(Batch())
    let before = device.calls
    for index in 0..<100 {
      #expect(
        try fixture.stage(Batch()) == .staged(baseOffset: Int64(1 + index), logAppendTimeMs: -1))
    }
    #expect(fixture.log.logEndOffset == 1)
    try fixture.commit()
    #expect(fixture.log.logEndOffset == 101)
    #expect(device.calls == before + 1)
    for _ in 0..<AppendBuffer.batchesMax + 10 { _ = try fixture.stage(Batch()) }
    try fixture.commit()
    #expect(try fixture.batches().count == 101 + AppendBuffer.batchesMax + 10)
  }

  @Test func logAppendTime() throws {
    let fixture = try Fixture { $0.logAppendTime = true }
    fixture.nowMs = 77_000
    #expect(
      try fixture.append(Batch(timestamp: 1)) == .staged(baseOffset: 0, logAppendTimeMs: 77_000))
    let header = try fixture.batches()[0].header
    #expect(header.maxTimestamp == 77_000)
    #expect(header.isLogAppendTime)
    #expect(try fixture.log.maxTimestamp(nowMs: 0) == MaxTimestamp(offset: 0, timestampMs: 77_000))
  }

  @Test func refusals() throws {
    let fixture = try Fixture {
      $0.maxMessageBytes = 1_000
      $0.segmentBytes = 900
      $0.timestampBeforeMaxMs = 1_000
      $0.timestampAfterMaxMs = 2_000
    }
    let cases: [(Batch, AppendOutcome)] = [
      (Batch(payload: 940), .refused(.messageTooLarge)),
      (Batch(payload: 840, timestamp: 5_000), .refused(.recordListTooLarge)),
      (Batch(timestamp: 3_999), .refused(.invalidTimestamp)),
      (Batch(timestamp: 7_001), .refused(.invalidTimestamp)),
      (Batch(timestamp: 5_000, isControl: true), .refused(.invalidRecord)),
      (Batch(timestamp: 5_000, producerId: 4, epoch: 0), .refused(.invalidRecord)),
    ]
    for (batch, expected) in cases { #expect(try fixture.append(batch) == expected) }
    #expect(fixture.log.logEndOffset == 0)
    for timestamp in [-1, 4_000, 7_000] as [Int64] {
      #expect(try fixture.append(Batch(timestamp: timestamp)).isStaged)
    }
  }

  @Test func malformedRuns() throws {
    let fixture = try Fixture()
    func outcome(_ change: (inout [UInt8]) -> Void) throws -> AppendOutcome {
      var bytes = Batch(records: 3).bytes
      change(&bytes)
      return try bytes.withUnsafeBytes {
        let outcome: Result<AppendOutcome, StorageError>
        do throws(StorageError) {
          outcome = .success(try fixture.log.stage($0, from: .client, nowMs: 0))
        } catch { outcome = .failure(error) }
        return try outcome.get()
      }
    }
    #expect(try outcome { $0.removeLast() } == .malformed(.length))
    #expect(try outcome { $0.append(0) } == .malformed(.notOne))
    #expect(try outcome { $0 += $0 } == .malformed(.notOne))
    #expect(try outcome { $0 = Array($0[..<60]) } == .malformed(.tooShort))
    #expect(try outcome { $0 = [] } == .malformed(.tooShort))
    #expect(try outcome { $0[16] = 1 } == .malformed(.format))
    #expect(try outcome { $0[8] = 0xFF } == .malformed(.length))
    #expect(try outcome { $0[11] = 48 } == .malformed(.length))
    #expect(try outcome { $0[26] = 9 } == .malformed(.offsets))
    #expect(try outcome { $0[60] = 0 } == .malformed(.offsets))
    #expect(fixture.log.logEndOffset == 0)
    #expect(try fixture.append(Batch()).isStaged)
  }

  @Test func coordinatorsMayAppendRuns() throws {
    let fixture = try Fixture()
    var run = Batch(records: 2).bytes + Batch(records: 3).bytes
    let outcome = try run.withUnsafeMutableBytes {
      let outcome = try fixture.log.stage(
        UnsafeRawBufferPointer($0), from: .coordinator, nowMs: 0)
      try fixture.log.commit()
      return outcome
    }
    #expect(outcome == .staged(baseOffset: 0, logAppendTimeMs: -1))
    #expect(try fixture.batches().map(\.header.baseOffset) == [0, 2])
  }

  @Test func duplicatesWithinOneRound() throws {
    let fixture = try Fixture()
    let batch = Batch(records: 4, producerId: 9, epoch: 0, sequence: 0)
    #expect(try fixture.stage(batch) == .staged(baseOffset: 0, logAppendTimeMs: -1))
    #expect(try fixture.stage(batch) == .duplicate(baseOffset: 0, timestampMs: 1_000))
    var next = batch
    next.sequence = 5
    #expect(try fixture.stage(next) == .refused(.outOfOrderSequenceNumber))
    next.sequence = 4
    #expect(try fixture.stage(next) == .staged(baseOffset: 4, logAppendTimeMs: -1))
    try fixture.commit()
    #expect(fixture.log.logEndOffset == 8)
  }

  @Test func rollsBySize() throws {
    let fixture = try Fixture { $0.segmentBytes = 500 }
    for _ in 0..<4 { try fixture.append(Batch(payload: 189)) }
    #expect(fixture.log.segments.map(\.baseOffset) == [0, 2])
    #expect(fixture.log.segments.map(\.size) == [500, 500])
    // In one round as well: the first segment is written before the roll.
    for _ in 0..<5 { _ = try fixture.stage(Batch(payload: 189)) }
    try fixture.commit()
    #expect(fixture.log.segments.map(\.baseOffset) == [0, 2, 4, 6, 8])
    #expect(try fixture.batches().map(\.header.baseOffset) == Array(0..<9))
    for base in [0, 2, 4, 6] as [Int64] {
      #expect(try fixture.file(.timeindex, base) == hex("00000000000003e8 00000000"))
      #expect(try fixture.file(.index, base) == [])
    }
  }

  @Test func rollsByRecordTime() throws {
    let fixture = try Fixture { $0.segmentMs = 1_000 }
    fixture.nowMs = 1_000_000
    for timestamp in [10_000, 10_500, 11_000, 9_000, 11_001, 12_001] as [Int64] {
      try fixture.append(Batch(timestamp: timestamp))
    }
    #expect(fixture.log.segments.map(\.baseOffset) == [0, 4])
    try fixture.restart()
    try fixture.append(Batch(timestamp: 12_001))
    #expect(fixture.log.segments.count == 2)
    try fixture.append(Batch(timestamp: 12_002))
    #expect(fixture.log.segments.map(\.baseOffset) == [0, 4, 7])
  }

  @Test func rollsByClockWithoutTimestamps() throws {
    let fixture = try Fixture { $0.segmentMs = 1_000 }
    try fixture.append(Batch(timestamp: -1))
    fixture.nowMs += 1_000
    try fixture.append(Batch(timestamp: -1))
    fixture.nowMs += 1
    try fixture.append(Batch(timestamp: -1))
    #expect(fixture.log.segments.map(\.baseOffset) == [0, 2])
  }

  @Test func rollsWhenAnIndexIsFull() throws {
    let fixture = try Fixture {
      $0.indexIntervalBytes = 0
      $0.segmentIndexBytes = 48
    }
    for index in 0..<6 { try fixture.append(Batch(timestamp: Int64(index))) }
    // Three of four time index entries; the last is kept for the roll. The first batch has none.
    #expect(fixture.log.segments.map(\.baseOffset) == [0, 4])
    #expect(try fixture.file(.timeindex).count == 36)
  }

  @Test func rollsBeforeOffsetsOverflow() throws {
    let fixture = try Fixture()
    for _ in 0..<2 { try fixture.append(Batch(payload: 10)) }
    // As if 2^31 - 2 records had been removed by compaction.
    #expect(try fixture.directory.close().isEmpty)
    try fixture.overwrite(.log) { bytes in
      bytes.withUnsafeMutableBytes { raw in
        for index in 0..<2 {
          RecordBatchHeader.assign(
            baseOffset: Int64(Int32.max) - 2 + Int64(index), partitionLeaderEpoch: 3,
            in: UnsafeMutableRawBufferPointer(rebasing: raw[(index * 71)...]))
        }
      }
    }
    try File.remove("\(fixture.temporary.path)/.kafka_cleanshutdown")
    try fixture.crash()
    #expect(fixture.log.logEndOffset == Int64(Int32.max))
    try fixture.append(Batch(payload: 10))
    #expect(fixture.log.segments.map(\.baseOffset) == [0])
    try fixture.append(Batch(payload: 10))
    #expect(fixture.log.segments.map(\.baseOffset) == [0, Int64(Int32.max) + 1])
  }

  @Test func sparseIndexAsKafkas() throws {
    let fixture = try Fixture()
    // 1,000 bytes each: an entry once more than 4,096 bytes lie since the last one.
    for index in 0..<20 { try fixture.append(Batch(payload: 939, timestamp: Int64(100 + index))) }
    try fixture.restart()
    let entries = [5, 10, 15]
    var offsets: [UInt8] = []
    var times: [UInt8] = []
    for entry in entries {
      offsets += bigEndian(Int32(entry)) + bigEndian(Int32(entry * 1_000))
      times += bigEndian(Int64(100 + entry)) + bigEndian(Int32(entry))
    }
    times += bigEndian(Int64(119)) + bigEndian(Int32(19))
    #expect(try fixture.file(.index) == offsets)
    #expect(try fixture.file(.timeindex) == times)
  }

  @Test func readersFindOffsetsAndTimes() throws {
    let fixture = try Fixture {
      $0.segmentBytes = 100_000
      $0.indexIntervalBytes = 2_000
    }
    for index in 0..<500 {
      try fixture.append(Batch(records: 2, payload: 400, timestamp: Int64(1_000 + index * 10)))
    }
    try checkLookups(fixture)
    try fixture.restart()
    try checkLookups(fixture)
    let active = try #require(try fixture.log.place(of: 1_000))
    #expect(active.nextBaseOffset == .max)
    #expect(active.hasIndex)
    #expect(try fixture.log.place(of: 1_001) == nil)
    #expect(try fixture.log.place(of: -1) == nil)
    #expect(try fixture.log.place(ofTimestamp: 5_991) == nil)
    #expect(
      try fixture.log.maxTimestamp(nowMs: 0) == MaxTimestamp(offset: 999, timestampMs: 5_990))
  }

  private func checkLookups(_ fixture: Fixture) throws {
    let batches = try fixture.batches()
    for (segment, position, header) in batches {
      let handle = try #require(try fixture.log.place(of: header.baseOffset + 1))
      #expect(handle.segment.baseOffset == segment)
      #expect(handle.startPosition <= position)
      #expect(handle.startPosition > position - 3_000)
      #expect(try handle.log.size == handle.segment.size)
      for time in [header.maxTimestamp, header.maxTimestamp - 1] {
        let byTime = try #require(try fixture.log.place(ofTimestamp: time))
        #expect(byTime.segment.baseOffset == segment)
        #expect(byTime.startPosition <= position)
        #expect(byTime.startPosition > position - 6_000)
      }
    }
  }

  @Test func openSegmentsAreBounded() throws {
    let temporary = TemporaryDirectory()
    let environment = LogEnvironment(openSegmentsMax: 3)
    let directory = try LogDirectory(
      temporary.path, nodeId: 1, clusterId: nil, settings: LogSettings(),
      environment: environment)
    var logs: [PartitionLog] = []
    for index in 0..<10 {
      let partition = TopicPartition(topic: "t", partition: Int32(index))
      logs.append(
        try directory.create(partition, topicId: Fixture.topicId, settings: LogSettings()))
    }
    let batch = Batch(records: 1, payload: 3_000).bytes
    for round in 0..<30 {
      for log in logs where (round + Int(log.partition.partition)) % 3 != 0 {
        try batch.withUnsafeBytes {
          _ = try log.stage($0, from: .client, nowMs: 0)
          try log.commit()
        }
        #expect(logs.count { $0.active != nil } <= 3)
        #expect(environment.openLogs.count <= 3)
      }
    }
    for log in logs {
      #expect(log.logEndOffset == 20)
      #expect(!log.isOffline)
    }
    try directory.delete(logs[0...4].map(\.partition))
    #expect(environment.openLogs.count <= 3)
    for log in logs[5...] {
      try batch.withUnsafeBytes {
        _ = try log.stage($0, from: .client, nowMs: 0)
        try log.commit()
      }
    }
  }

  @Test func truncation() throws {
    let fixture = try Fixture { $0.segmentBytes = 5_000 }
    for index in 0..<20 {
      try fixture.append(
        Batch(
          records: 2, payload: 900, timestamp: Int64(index), producerId: 5, epoch: 0,
          sequence: Int32(index * 2)))
    }
    try fixture.log.truncate(to: 25, nowMs: 0)
    #expect(fixture.log.logEndOffset == 24)
    #expect(try fixture.batches().map(\.header.baseOffset).last == 22)
    #expect(try fixture.producer(5)?.lastBatch?.lastSequence == 23)
    var next = Batch(records: 2, producerId: 5, epoch: 0, sequence: 24)
    #expect(try fixture.append(next) == .staged(baseOffset: 24, logAppendTimeMs: -1))
    try fixture.restart()
    next.sequence = 26
    #expect(try fixture.append(next) == .staged(baseOffset: 26, logAppendTimeMs: -1))
    try fixture.log.truncate(to: 0, nowMs: 0)
    #expect(fixture.log.logEndOffset == 0)
    #expect(try fixture.producer(5) == nil)
    #expect(try fixture.append(Batch()) == .staged(baseOffset: 0, logAppendTimeMs: -1))
  }
}

extension AppendOutcome {
  var isStaged: Bool { if case .staged = self { true } else { false } }
}

func bigEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
  withUnsafeBytes(of: value.bigEndian) { Array($0) }
}
