// How much room a file system has (statvfs(3)), and setting some of it aside (fallocate(2)).

import CLinux
import Glibc

/// Room on a file system, in bytes.
public struct FileSystemSpace: Equatable, Sendable {
  public var totalBytes: Int64
  /// What processes without privileges may still take.
  public var availableBytes: Int64

  public init(totalBytes: Int64, availableBytes: Int64) {
    self.totalBytes = totalBytes
    self.availableBytes = availableBytes
  }
}

extension File {
  /// The room of the file system that holds `path`.
  public static func space(_ path: String) throws(Errno) -> FileSystemSpace {
    var raw = statvfs()
    _ = try retrying("statvfs", path) { statvfs(path, &raw) }
    let unit = UInt64(raw.f_frsize)
    return FileSystemSpace(
      totalBytes: Int64(clamping: UInt64(raw.f_blocks).multipliedReportingOverflow(by: unit).0),
      availableBytes: Int64(
        clamping: UInt64(raw.f_bavail).multipliedReportingOverflow(by: unit).0))
  }

  /// Gives a file `count` bytes of its own on the disk, which read as zeros.
  public static func allocate(_ fd: borrowing OwnedFD, count: Int64) throws(Errno) {
    let number = fd.rawValue
    _ = try retrying("fallocate") { clinux_fallocate(number, 0, 0, Int(count)) }
  }
}
