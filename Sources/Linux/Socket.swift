// What TCP and Unix sockets have in common.

import CLinux
import Glibc

public enum Socket {
  /// Ends both directions: every holder of the socket sees it (shutdown(2)). A peer that is gone
  /// already is no error.
  public static func shutdownBoth(_ fd: borrowing OwnedFD) {
    _ = Glibc.shutdown(fd.rawValue, Int32(SHUT_RDWR))
  }
}
