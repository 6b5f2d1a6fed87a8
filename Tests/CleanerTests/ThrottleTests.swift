import Testing

@testable import Cleaner

struct ThrottleTests {
  @Test func restsForWhatItMoved() {
    var throttle = Throttle(bytesPerSecond: 1_000)
    #expect(throttle.restMs(after: 0, nowNs: 0) == 0)
    #expect(throttle.restMs(after: 500, nowNs: 0) == 500)
    #expect(throttle.restMs(after: 500, nowNs: 500_000_000) == 500)
    // Work of its own counts as rest; what was not used is not saved up.
    #expect(throttle.restMs(after: 500, nowNs: 1_200_000_000) == 500)
    #expect(throttle.restMs(after: 100, nowNs: 60_000_000_000) == 100)
    var free = Throttle(bytesPerSecond: nil)
    #expect(free.restMs(after: 1 << 40, nowNs: 0) == 0)
  }
}
