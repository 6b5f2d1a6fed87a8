// When the logwriter looks at ages, and above all when it does not.

import Testing

@testable import LogWriter

struct RetentionScheduleTests {
  /// Looks at everything that a pass has to look at; `dueMs` of a slot says when it is due next.
  private func pass(
    _ schedule: inout RetentionSchedule, nowMs: Int64, dueMs: [UInt32: Int64] = [:]
  ) -> Set<UInt32> {
    var seen: Set<UInt32> = []
    while case .look(let slot) = schedule.next(nowMs: nowMs) {
      #expect(seen.insert(slot).inserted)
      schedule.looked(slot, dueMs: dueMs[slot] ?? .max, wasRaised: false)
    }
    return seen
  }

  @Test func sleepsWhileNothingCanExpire() {
    var schedule = RetentionSchedule(intervalMs: 100, earliestMs: 1_000)
    #expect(schedule.wakeMs == .max)
    for slot in [3, 1, 3] as [UInt32] { schedule.touch(slot) }
    #expect(schedule.wakeMs == 1_000)
    #expect(schedule.next(nowMs: 999) == .rest)
    #expect(pass(&schedule, nowMs: 1_000, dueMs: [3: 50_000]) == [1, 3])
    #expect(schedule.wakeMs == 50_000)
    #expect(pass(&schedule, nowMs: 49_999).isEmpty)
    #expect(pass(&schedule, nowMs: 50_000) == [3])
    #expect(schedule.wakeMs == .max)
  }

  @Test func looksAtMostOnceAnInterval() {
    var schedule = RetentionSchedule(intervalMs: 100, earliestMs: 0)
    schedule.touch(0)
    #expect(pass(&schedule, nowMs: 500, dueMs: [0: 510]) == [0])
    #expect(schedule.wakeMs == 600)
    schedule.touch(7)
    #expect(schedule.wakeMs == 600)
    #expect(pass(&schedule, nowMs: 600) == [0, 7])
    schedule.touch(7)
    #expect(schedule.wakeMs == 700)
    schedule.hasten()
    #expect(pass(&schedule, nowMs: 601) == [7])
  }

  @Test func touchedWhileItIsLookedAt() {
    var schedule = RetentionSchedule(intervalMs: 100, earliestMs: 0)
    schedule.touch(0)
    #expect(schedule.next(nowMs: 0) == .look(0))
    schedule.touch(0)
    schedule.looked(0, dueMs: .max, wasRaised: false)
    #expect(schedule.next(nowMs: 0) == .rest)
    #expect(schedule.wakeMs == 100)
    #expect(pass(&schedule, nowMs: 100) == [0])
  }

  /// Nothing is removed before the starts of all are durable.
  @Test func removesAfterTheCheckpoint() {
    var schedule = RetentionSchedule(intervalMs: 100, earliestMs: 0)
    schedule.touch(1)
    schedule.touch(2)
    for _ in 0..<2 {
      guard case .look(let slot) = schedule.next(nowMs: 0) else { return #expect(Bool(false)) }
      schedule.looked(slot, dueMs: .max, wasRaised: true)
    }
    #expect(schedule.wakeMs == 0)
    #expect(schedule.next(nowMs: 0) == .makeDurable([2, 1]))
    schedule.madeDurable([2])
    #expect(schedule.next(nowMs: 0) == .remove(2))
    #expect(schedule.next(nowMs: 0) == .rest)
    schedule.addBreached(1)
    #expect(schedule.next(nowMs: 0) == .remove(1))
    #expect(schedule.wakeMs == .max)
  }
}
