// systemd's watchdog (WatchdogSec=, sd_watchdog_enabled(3)): the loop itself says that it goes round,
// so a process that is stuck in a handler is killed and started again.

import CSystemd

struct Watchdog {
  private let intervalNs: UInt64
  /// When to speak next; never without a watchdog.
  private(set) var dueNs: UInt64

  /// Takes the watchdog's time from the environment; at most one loop of a process gets it.
  init(nowNs: UInt64) {
    var limitUs: UInt64 = 0
    let isWatched = sd_watchdog_enabled(1, &limitUs) > 0
    self.init(limitNs: isWatched ? limitUs &* 1000 : nil, nowNs: nowNs)
  }

  /// - Parameter limitNs: how long the process may be silent; nil for ever.
  init(limitNs: UInt64?, nowNs: UInt64) {
    intervalNs = (limitNs ?? 0) / 2
    dueNs = limitNs == nil ? .max : nowNs
  }

  /// Says that the process is alive, and when it is to say so again.
  mutating func feed(nowNs: UInt64) {
    sd_notify(0, "WATCHDOG=1")
    dueNs = nowNs &+ intervalNs
  }

  /// The time-out of a wait that ends in time to speak: -1 is for ever.
  func limit(_ timeoutMs: Int32, nowNs: UInt64) -> Int32 {
    if dueNs == .max { return timeoutMs }
    let ms = dueNs <= nowNs ? 0 : Int32(clamping: (dueNs - nowNs) / 1_000_000 + 1)
    return timeoutMs < 0 ? ms : min(timeoutMs, ms)
  }
}
