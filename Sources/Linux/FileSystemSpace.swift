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

  /// Gives back what `setAside` left behind the end of a file that nobody writes to. Its time of
  /// change stays that of the last write, which retention goes by.
  public static func giveBack(_ fd: borrowing OwnedFD) throws(Errno) {
    try giveBack(descriptor: fd.rawValue)
  }

  /// The same of a descriptor that somebody else owns meanwhile.
  public static func giveBack(descriptor: Int32) throws(Errno) {
    var raw = stat()
    _ = try retrying("fstat") { fstat(descriptor, &raw) }
    _ = try retrying("ftruncate") { ftruncate(descriptor, raw.st_size) }
    let times = [raw.st_mtim, raw.st_mtim]
    _ = try retrying("futimens") { futimens(descriptor, times) }
  }

  /// Sets room aside for a file's first `count` bytes without changing its size (fallocate(2)
  /// FALLOC_FL_KEEP_SIZE). What is not written is given back by `truncate`, also to the same size.
  /// EOPNOTSUPP where the file system cannot.
  public static func setAside(_ fd: borrowing OwnedFD, count: Int64) throws(Errno) {
    let number = fd.rawValue
    _ = try retrying("fallocate") {
      clinux_fallocate(number, clinux_fallocate_keep_size, 0, Int(count))
    }
  }
}
