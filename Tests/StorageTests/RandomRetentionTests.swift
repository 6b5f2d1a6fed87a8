// Appends, rolls, retention, DeleteRecords, restarts and crashes at every step of a deletion, at
// random and held against a model.

import Foundation
import Linux
import Model
import Records
import Testing

@testable import Storage

struct RandomRetentionTests {
  private struct Model {
    var batches: [(offset: Int64, batch: Batch)] = []
    var startOffset: Int64 = 0
    /// The start that is on disk: a crash does not go back before it.
    var durableStart: Int64 = 0
    var endOffset: Int64 = 0

    mutating func append(_ batch: Batch) {
      batches.append((endOffset, batch))
      endOffset += Int64(batch.records)
    }

    func bytes(_ offsets: Range<Int64>) -> Int64 {
      batches.filter { offsets.contains($0.offset) }.reduce(0) {
        $0 + Int64($1.batch.bytes.count)
      }
    }

    func newest(_ offsets: Range<Int64>) -> Int64 {
      batches.filter { offsets.contains($0.offset) }.map(\.batch.timestamp).max() ?? -1
    }
  }

  /// Where the log must start after retention, by Kafka's rules, from the segments' bounds.
  private func expectedStart(_ model: Model, _ bases: [Int64], _ config: LogConfig, nowMs: Int64)
    -> Int64
  {
    var segments = (bases + [model.endOffset]).indices.dropLast().map {
      bases[$0]..<(bases + [model.endOffset])[$0 + 1]
    }
    while segments.count > 1, segments[0].upperBound <= model.startOffset { segments.removeFirst() }
    func mayGo(_ segment: Range<Int64>) -> Bool { segments.count > 1 || model.bytes(segment) > 0 }
    if config.retentionBytes >= 0 {
      while let first = segments.first, mayGo(first),
        segments.reduce(0, { $0 + model.bytes($1) }) - model.bytes(first) >= config.retentionBytes
      {
        segments.removeFirst()
      }
    }
    while let first = segments.first, mayGo(first),
      nowMs - model.newest(first) > config.retentionMs
    {
      segments.removeFirst()
    }
    return max(model.startOffset, segments.first?.lowerBound ?? model.endOffset)
  }

  @Test(arguments: 0..<12)
  func againstAModel(_ run: Int) throws {
    var seed = Seed()
    let name = "\(seed) run \(run)"
    let fixture = try Fixture {
      $0.segmentBytes = Int32(seed.int(1_500...8_000))
      $0.indexIntervalBytes = Int32(seed.int(0...2_000))
      $0.retentionMs = Int64(seed.int(200...2_000))
      $0.retentionBytes = seed.chance(50) ? Int64(seed.int(0...20_000)) : -1
      $0.segmentMs = 1 << 40
    }
    fixture.nowMs = 10_000
    var model = Model()
    for _ in 0..<80 {
      fixture.nowMs += Int64(seed.int(0...60))
      switch seed.int(1...12) {
      case 1...6:
        for _ in 0..<seed.int(1...6) {
          let age = seed.int(0...300)
          let batch = Batch(
            records: seed.int(1...5), payload: seed.int(0...900),
            timestamp: fixture.nowMs - Int64(age))
          try fixture.append(batch)
          model.append(batch)
        }
      case 7, 8:
        let bases = fixture.bases
        model.startOffset = expectedStart(
          model, bases, fixture.settings.config, nowMs: fixture.nowMs)
        let dueMs = try fixture.log.applyRetention(nowMs: fixture.nowMs)
        #expect(dueMs > fixture.nowMs, "\(name)")
        try finishDeletion(fixture, &model, &seed)
      case 9:
        let offset = Int64(seed.int(-3...Int(model.endOffset) + 3))
        let error = fixture.log.deleteRecords(before: offset)
        if offset == -1 || (0...model.endOffset).contains(offset) {
          #expect(error == .none, "\(name)")
          model.startOffset = max(model.startOffset, offset == -1 ? model.endOffset : offset)
        } else {
          #expect(error == .offsetOutOfRange, "\(name)")
        }
        try finishDeletion(fixture, &model, &seed)
      case 10:
        try fixture.restart()
        model.durableStart = model.startOffset
      case 11: try fixture.directory.sweep(nowMs: fixture.nowMs, filesMax: seed.int(1...20))
      default: try crash(fixture, &model, name)
      }
      try compare(fixture, model, name)
    }
  }

  /// The later steps of a deletion, or only some of them.
  private func finishDeletion(_ fixture: Fixture, _ model: inout Model, _ seed: inout Seed) throws {
    let steps = seed.int(0...5)
    if steps == 0 { return }
    try fixture.directory.writeLogStarts(durable: true)
    model.durableStart = model.startOffset
    if steps == 1 { return }
    _ = try fixture.log.removeBreachedSegments(nowMs: fixture.nowMs)
    #expect(!fixture.log.hasBreachedSegments)
  }

  private func crash(_ fixture: Fixture, _ model: inout Model, _ name: String) throws {
    try fixture.crash()
    let start = fixture.log.logStartOffset
    #expect(start >= model.durableStart, "\(name)")
    #expect(start <= model.startOffset, "\(name)")
    model.startOffset = start
  }

  private func compare(_ fixture: Fixture, _ model: Model, _ name: String) throws {
    let log = fixture.log
    #expect(log.logStartOffset == model.startOffset, "\(name)")
    #expect(log.logEndOffset == model.endOffset, "\(name)")
    let first = log.segments[0].baseOffset
    #expect(first <= model.startOffset, "\(name)")
    let found = try fixture.batches().map(\.header.baseOffset)
    #expect(found == model.batches.map(\.offset).filter { $0 >= first }, "\(name)")
    #expect(try log.place(of: model.startOffset) != nil, "\(name)")
    #expect(try log.place(of: model.startOffset - 1) == nil, "\(name)")
    // The segments are all there is, apart from what waits to be removed.
    let bases = try fixture.names.compactMap { LogFileName.parse($0) }.filter { $0.kind == .log }
    #expect(Set(bases.map(\.offset)) == Set(fixture.bases), "\(name)")
  }
}
