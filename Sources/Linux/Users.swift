// Users of the system by name (getpwnam_r(3)).

import Glibc

public enum Users {
  /// The user that this process runs as.
  public static var own: UInt32 { geteuid() }

  /// The number of the user `name`, or nil when there is none.
  public static func number(named name: String) throws(Errno) -> UInt32? {
    var entry = passwd()
    let (result, isFound) = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16384) {
      buffer in
      var found: UnsafeMutablePointer<passwd>?
      let result = getpwnam_r(
        name, &entry, buffer.baseAddress.unsafelyUnwrapped, buffer.count, &found)
      return (result, found != nil)
    }
    if isFound { return entry.pw_uid }
    switch result {
    // All of these say that there is no such user; see the man page.
    case 0, ENOENT, ESRCH, EBADF, EPERM: return nil
    default: throw Errno(result, "getpwnam_r", name)
    }
  }
}
