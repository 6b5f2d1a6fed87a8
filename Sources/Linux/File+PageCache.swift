// Whether reading a file would wait for a disk, and waiting for it on purpose. A loop asks first, and
// lets a helper thread do the waiting.

import CLinux
import Glibc

extension File {
  /// The kernel reads ahead in pieces of this size by default (read_ahead_kb): where one byte is in
  /// memory, its neighbours mostly are.
  public static let readAheadBytes = 128 << 10

  /// Reads what the page cache holds, without waiting for a disk (preadv2(2), RWF_NOWAIT).
  /// - Returns: nil when the first byte is not there; otherwise how many bytes were read, which are
  ///   fewer than asked for at the end of the file or where the page cache has a hole.
  public static func readCached(
    _ fd: borrowing OwnedFD, into buffer: UnsafeMutableRawBufferPointer, at offset: Int64
  ) throws(Errno) -> Int? {
    let number = fd.rawValue
    do {
      return try retrying("preadv2") {
        clinux_read_cached(number, buffer.baseAddress, buffer.count, off_t(offset))
      }
    } catch {
      if error.code == EAGAIN { return nil }
      // A file system that cannot tell has no disk to wait for, or leaves us no choice.
      if error.code == EOPNOTSUPP { return try read(fd, into: buffer, at: offset) }
      throw error
    }
  }

  /// Whether `count` bytes at `offset` are likely to be in the page cache: the first and the last are,
  /// and one in each `stride` between them.
  public static func isCached(
    _ fd: borrowing OwnedFD, at offset: Int64, count: Int, stride: Int = readAheadBytes
  ) throws(Errno) -> Bool {
    var byte: UInt8 = 0
    var position = offset
    let last = offset + Int64(count) - 1
    while true {
      let found = try withUnsafeMutableBytes(of: &byte) { raw throws(Errno) in
        try readCached(fd, into: raw, at: position)
      }
      if found == nil { return false }
      if position >= last { return true }
      position = min(position + Int64(stride), last)
    }
  }

  /// Brings bytes into the page cache and waits for them; has the kernel begin with as many behind them,
  /// because who reads a part of a log mostly wants the next one too. For helper threads.
  /// - Returns: 0, or an errno value.
  public static func fillCache(_ descriptor: Int32, at offset: Int64, count: Int) -> Int32 {
    // All of it is asked for at once; then a byte of each piece says when that piece is there.
    _ = clinux_readahead(descriptor, off_t(offset), count)
    _ = clinux_readahead(descriptor, off_t(offset) + off_t(count), count)
    var byte: UInt8 = 0
    var position = offset
    let last = offset + Int64(count) - 1
    while true {
      while pread(descriptor, &byte, 1, off_t(position)) < 0 {
        if errno != EINTR { return errno }
      }
      if position >= last { return 0 }
      position = min(position + Int64(readAheadBytes), last)
    }
  }
}
