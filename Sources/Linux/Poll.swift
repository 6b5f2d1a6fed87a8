// Waiting for one descriptor without a loop: for commands (poll(2)).

import CLinux
import Glibc

public enum Poll {
  /// Waits until `fd` is ready.
  /// - Parameter timeoutMs: -1 waits without end.
  /// - Returns: false after the time-out.
  public static func wait(_ fd: borrowing OwnedFD, _ readiness: Readiness, timeoutMs: Int32) -> Bool
  {
    waitAny([fd.rawValue], readiness, timeoutMs: timeoutMs) != nil
  }

  /// Waits until one of `descriptors` is ready.
  /// - Returns: the index of the first one that is, or nil after the time-out.
  public static func waitAny(_ descriptors: [Int32], _ readiness: Readiness, timeoutMs: Int32)
    -> Int?
  {
    var polled = descriptors.map {
      pollfd(fd: $0, events: Int16(truncatingIfNeeded: readiness.rawValue), revents: 0)
    }
    let deadline = Clock.monotonicNs() &+ UInt64(max(0, timeoutMs)) &* 1_000_000
    var left = timeoutMs
    while true {
      let count = poll(&polled, nfds_t(polled.count), left)
      if count > 0 { return polled.firstIndex { $0.revents != 0 } }
      if count == 0 { return nil }
      guard errno == EINTR else { return nil }
      if timeoutMs >= 0 {
        let now = Clock.monotonicNs()
        left = deadline > now ? Int32(clamping: (deadline - now) / 1_000_000) : 0
      }
    }
  }
}
