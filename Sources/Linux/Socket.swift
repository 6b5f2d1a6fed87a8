// What TCP and Unix sockets have in common.

import CLinux
import Glibc

public enum Socket {
  /// Ends both directions: every holder of the socket sees it (shutdown(2)). A peer that is gone
  /// already is no error.
  public static func shutdownBoth(_ fd: borrowing OwnedFD) {
    _ = Glibc.shutdown(fd.rawValue, Int32(SHUT_RDWR))
  }

  /// O_NONBLOCK, for listening sockets that were passed in: it belongs to the open file, so every
  /// process that shares the socket gets it.
  public static func setNonBlocking(_ fd: borrowing OwnedFD) throws(Errno) {
    let number = fd.rawValue
    let flags = try retrying("fcntl(F_GETFL)") { clinux_fcntl_int(number, F_GETFL, 0) }
    if flags & O_NONBLOCK != 0 { return }
    _ = try retrying("fcntl(F_SETFL)") { clinux_fcntl_int(number, F_SETFL, flags | O_NONBLOCK) }
  }
}
