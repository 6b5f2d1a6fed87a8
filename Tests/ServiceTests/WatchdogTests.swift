// How long a wait may last so that the watchdog is fed in time.

import Testing

@testable import Service

struct WatchdogTests {
  private static let second: UInt64 = 1_000_000_000

  @Test func withoutOneNothingChanges() {
    let watchdog = Watchdog(limitNs: nil, nowNs: 5)
    #expect(watchdog.dueNs == .max)
    for timeoutMs: Int32 in [-1, 0, 7, .max] {
      #expect(watchdog.limit(timeoutMs, nowNs: 5 * Self.second) == timeoutMs)
    }
  }

  @Test func itIsFedTwiceInItsTime() {
    var watchdog = Watchdog(limitNs: 30 * Self.second, nowNs: Self.second)
    // At once, then after half of its time.
    #expect(watchdog.limit(-1, nowNs: Self.second) == 0)
    watchdog.feed(nowNs: Self.second)
    #expect(watchdog.dueNs == 16 * Self.second)
    #expect(watchdog.limit(-1, nowNs: Self.second) == 15_001)
    #expect(watchdog.limit(20_000, nowNs: 2 * Self.second) == 14_001)
    #expect(watchdog.limit(3, nowNs: 2 * Self.second) == 3)
    #expect(watchdog.limit(0, nowNs: 2 * Self.second) == 0)
    #expect(watchdog.limit(-1, nowNs: 40 * Self.second) == 0)
  }
}
