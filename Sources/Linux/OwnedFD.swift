// A file descriptor with exactly one owner. It is closed when its owner lets go of it, on every path.

import CLinux
import Glibc

/// A descriptor that closes itself. All descriptors of Sluice are close-on-exec.
public struct OwnedFD: ~Copyable {
  /// The descriptor's number; valid as long as the owner lives.
  public let rawValue: Int32

  /// Takes over an open descriptor.
  public init(taking rawValue: Int32) {
    precondition(rawValue >= 0, "not a descriptor")
    self.rawValue = rawValue
  }

  deinit { _ = Glibc.close(rawValue) }

  /// Closes now. close(2) frees the number even when it reports an error, so there is none to handle;
  /// whoever needs to know that data reached the disk calls fsync before.
  public consuming func close() {}

  /// Gives the number away: the caller closes it.
  public consuming func release() -> Int32 {
    let number = rawValue
    discard self
    return number
  }

  /// A second descriptor of the same open file (F_DUPFD_CLOEXEC).
  public borrowing func duplicate() throws(Errno) -> OwnedFD {
    try Self.duplicate(of: rawValue)
  }

  /// A second descriptor of the open file behind `number`, which stays its owner's.
  public static func duplicate(of number: Int32) throws(Errno) -> OwnedFD {
    OwnedFD(
      taking: try retrying("fcntl(F_DUPFD_CLOEXEC)") {
        clinux_fcntl_int(number, F_DUPFD_CLOEXEC, 0)
      })
  }
}
