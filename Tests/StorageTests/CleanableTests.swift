// Which part of a log can be cleaned, and when it is due.

import Linux
import Model
import Records
import Testing

@testable import Storage

struct CleanableTests {
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
    try fixture.end(4, commit: true)
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
}
