// A log under random work, restarts, crashes and damage, held against a model: the list of batches
// that were appended. After a crash the log is the longest undamaged beginning of that list.

import Foundation
import Linux
import Model
import Records
import Testing

@testable import Storage

struct RandomLogTests {
  private struct Model {
    /// Each batch with its offset.
    var batches: [(offset: Int64, batch: Batch)] = []

    var endOffset: Int64 { batches.last.map { $0.offset + Int64($0.batch.records) } ?? 0 }

    /// What the log should remember, computed from scratch.
    var producers: ProducerState {
      var state = ProducerState()
      for (offset, batch) in batches where batch.producerId >= 0 {
        var header = batch.bytes.withUnsafeBytes { RecordBatchHeader($0) }
        header?.baseOffset = offset
        if let header { state.apply(header) }
      }
      return state
    }
  }

  @Test(arguments: 0..<12)
  func againstAModel(_ run: Int) throws {
    var seed = Seed()
    let description = "\(seed) run \(run)"
    let fixture = try Fixture {
      $0.segmentBytes = Int32(seed.int(2_000...40_000))
      $0.indexIntervalBytes = Int32(seed.int(0...3_000))
      $0.segmentMs = seed.chance(30) ? 50 : 1 << 40
    }
    var model = Model()
    for _ in 0..<60 {
      switch seed.int(1...10) {
      case 1...6: try appendSome(fixture, &model, &seed)
      case 7: try fixture.restart()
      case 8: try fixture.crash()
      case 9:
        try fixture.log.flush()
        try fixture.directory.writeCheckpoints(durable: false)
      default: try damage(fixture, &model, &seed)
      }
      try compare(fixture, model, description)
    }
  }

  private func appendSome(_ fixture: Fixture, _ model: inout Model, _ seed: inout Seed) throws {
    for _ in 0..<seed.int(1...4) {
      for _ in 0..<seed.int(1...10) {
        let batch = nextBatch(model, &seed)
        let expected = model.endOffset
        let outcome = try fixture.stage(batch)
        #expect(outcome == .staged(baseOffset: expected, logAppendTimeMs: -1), "\(seed)")
        model.batches.append((expected, batch))
      }
      try fixture.commit()
    }
  }

  private func nextBatch(_ model: Model, _ seed: inout Seed) -> Batch {
    var batch = Batch(
      records: seed.int(1...20), payload: seed.int(0...1_500),
      timestamp: Int64(seed.int(0...1_000)), fill: UInt8(seed.int(0...255)))
    if seed.chance(60) {
      batch.producerId = Int64(seed.int(0...3))
      let last = model.batches.last { $0.batch.producerId == batch.producerId }?.batch
      batch.epoch = last?.epoch ?? 0
      batch.sequence = last.map { $0.sequence + Int32($0.records) } ?? Int32(seed.int(0...9))
      if seed.chance(5) {
        batch.epoch += 1
        batch.sequence = 0
      }
    }
    return batch
  }

  /// Damages the part behind the recovery point and cuts the model to what must be left.
  private func damage(_ fixture: Fixture, _ model: inout Model, _ seed: inout Seed) throws {
    let active = fixture.log.activeSegment
    let placed = try fixture.batches()
    let candidates = placed.filter {
      $0.segment == active.baseOffset && $0.header.baseOffset >= fixture.log.recoveryPoint
    }
    guard let victim = candidates.randomElement(using: &seed) else { return }
    let position = Int(victim.position)
    var kept = victim.header.baseOffset
    let kind = seed.int(1...5)
    let byte = seed.int(16...(victim.header.sizeInBytes - 1))
    let tail = seed.int(1...5_000)
    try fixture.crash {
      switch kind {
      case 1:
        try fixture.overwrite(.log, active.baseOffset) { $0.removeLast($0.count - position - byte) }
      case 2: try fixture.overwrite(.log, active.baseOffset) { $0[position + byte] ^= 0x20 }
      case 3:
        try fixture.overwrite(.log, active.baseOffset) {
          for index in position..<$0.count { $0[index] = 0 }
        }
      case 4:
        kept = .max
        try fixture.overwrite(.log, active.baseOffset) { $0 += [UInt8](repeating: 0, count: tail) }
      default:
        kept = .max
        for kind in [LogFileKind.index, .timeindex] {
          try fixture.overwrite(kind, active.baseOffset) { $0 = Array($0.prefix(byte)) }
        }
      }
    }
    model.batches.removeAll { $0.offset >= kept }
  }

  private func compare(_ fixture: Fixture, _ model: Model, _ run: String) throws {
    #expect(fixture.log.logEndOffset == model.endOffset, "\(run)")
    let headers = try fixture.batches().map(\.header)
    #expect(headers.map(\.baseOffset) == model.batches.map(\.offset), "\(run)")
    let expected = model.producers
    for id in 0...3 {
      let now = try fixture.producer(Int64(id))
      let then = expected[Int64(id)]
      #expect(now?.batches == then?.batches, "\(run) producer \(id)")
      #expect(now?.producerEpoch == then?.producerEpoch, "\(run) producer \(id)")
    }
    let greatest = model.batches.map(\.batch.timestamp).max()
    #expect(try fixture.log.maxTimestamp(nowMs: 0)?.timestampMs == greatest, "\(run)")
    for (segment, position, header) in try fixture.batches().suffix(20) {
      let handle = try #require(try fixture.log.place(of: header.baseOffset))
      #expect(handle.segment.baseOffset == segment, "\(run)")
      #expect(handle.startPosition <= position, "\(run)")
    }
    if let greatest {
      let first = try #require(model.batches.first { $0.batch.timestamp == greatest })
      let handle = try #require(try fixture.log.place(ofTimestamp: greatest))
      let place = try #require(try fixture.batches().first { $0.header.baseOffset == first.offset })
      #expect(handle.segment.baseOffset == place.segment, "\(run)")
      #expect(handle.startPosition <= place.position, "\(run)")
    }
  }
}
