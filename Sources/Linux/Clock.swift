// The two clocks: one for durations, one for timestamps in records.

import CLinux
import Glibc

public enum Clock {
  /// Nanoseconds of CLOCK_MONOTONIC: for time-outs and durations.
  @inlinable public static func monotonicNs() -> UInt64 { read(CLOCK_MONOTONIC) }

  /// Milliseconds of CLOCK_MONOTONIC.
  @inlinable public static func monotonicMs() -> Int64 {
    Int64(read(CLOCK_MONOTONIC) / 1_000_000)
  }

  /// Milliseconds since 1970 of CLOCK_REALTIME: for timestamps that leave the process.
  @inlinable public static func wallMs() -> Int64 { Int64(read(CLOCK_REALTIME) / 1_000_000) }

  /// Gives the core up for a while. Only for waits on another process that is in the middle of
  /// something short.
  public static func sleep(microseconds: Int) {
    var time = timespec(tv_sec: 0, tv_nsec: microseconds * 1000)
    _ = nanosleep(&time, nil)
  }

  @usableFromInline static func read(_ clock: clockid_t) -> UInt64 {
    var time = timespec()
    let result = clock_gettime(clock, &time)
    precondition(result == 0, "clock_gettime cannot fail")
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
