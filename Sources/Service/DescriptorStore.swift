// The supervisor's store of descriptors (systemd's FileDescriptorStoreMax=, FDSTORE=1 in sd_notify(3)):
// what a process puts there outlives it and is passed to the process that comes after it, among its
// sockets and under its name. The store survives a restart, whatever its cause, and is emptied when
// the unit is stopped.

import CSystemd
import Glibc
import Linux

public struct DescriptorStore {
  /// Asks the supervisor to keep a duplicate of a descriptor. It closes `barrier` when it has done so,
  /// or not: see `Parcel.isRefused` for how to tell.
  /// - Returns: false when there is no supervisor to ask.
  public var keep: (_ descriptor: Int32, _ barrier: Int32) -> Bool
  /// Has the supervisor let go of what it keeps.
  public var drop: () -> Void

  public init(keep: @escaping (Int32, Int32) -> Bool, drop: @escaping () -> Void) {
    self.keep = keep
    self.drop = drop
  }

  /// The store of whoever started this process.
  /// - Parameter name: what is stored comes back under it (FDNAME=).
  public static func supervisor(name: String) -> DescriptorStore {
    DescriptorStore(
      keep: { descriptor, barrier in
        // Without FDPOLL=0 systemd lets go of a socket whose other end is closed.
        notify("FDSTORE=1\nFDNAME=\(name)\nFDPOLL=0", [descriptor])
          && notify("BARRIER=1", [barrier])
      },
      drop: { _ = sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=\(name)") })
  }

  private static func notify(_ text: String, _ descriptors: [Int32]) -> Bool {
    sd_pid_notify_with_fds(0, 0, text, descriptors, UInt32(descriptors.count)) > 0
  }
}
