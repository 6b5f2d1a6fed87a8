// The one error of this module: what was tried, on which file, and what went wrong. It takes one
// partition or one log directory offline; the process goes on as long as it has a directory.

import Glibc
import Linux

/// A failed operation on the log.
public struct StorageError: Error, CustomStringConvertible, Sendable {
  public enum Cause: Equatable, Sendable {
    /// The kernel refused.
    case system(Errno)
    /// The disk took only a part; the part was cut off again.
    case shortWrite(written: Int, expected: Int)
    /// There is no room for a whole segment, which `preallocate` asks for.
    case noRoomToSetAside(bytes: Int64)
    /// Bytes on disk that this process may not repair: what is wrong with which offsets.
    case corruption(String, offsets: Range<Int64>)
    /// The directory is another broker's, or another cluster's.
    case notOurs(String)
    /// A small file that is not in its format.
    case format(String)
  }

  /// What was tried, such as `append`.
  public let operation: String
  /// The file or directory.
  public let path: String
  public let cause: Cause

  public init(_ operation: StaticString, _ path: String, _ cause: Cause) {
    self.operation = "\(operation)"
    self.path = path
    self.cause = cause
  }

  /// `append to t-0/00000000000000000000.log: pwritev: No space left on device`
  public var description: String {
    switch cause {
    case .system(let error): "\(operation) \(path): \(Errno(error.code, error.operation))"
    case .shortWrite(let written, let expected):
      "\(operation) \(path): only \(written) of \(expected) bytes could be written"
    case .noRoomToSetAside(let bytes):
      "\(operation) \(path): the disk has no \(bytes) bytes to set aside (preallocate=true)"
    case .corruption(let reason, let offsets):
      "\(operation) \(path): \(reason), offsets \(offsets.lowerBound) to \(offsets.upperBound - 1)"
    case .notOurs(let reason), .format(let reason): "\(operation) \(path): \(reason)"
    }
  }

  /// Whether it may work another time: too little room, too few descriptors, too little memory now.
  var mayPass: Bool {
    if case .system(let error) = cause, error.isTransient { return true }
    return isOutOfSpace
  }

  /// Whether nothing is broken, there is only no room (ENOSPC, EDQUOT).
  public var isOutOfSpace: Bool {
    if case .noRoomToSetAside = cause { return true }
    return isDiskFull
  }

  /// Whether there is no room for anybody: a segment to be set aside may be all that does not fit.
  public var isDiskFull: Bool {
    switch cause {
    case .system(let error): error.isOutOfSpace
    case .shortWrite: true
    case .noRoomToSetAside: false
    case .corruption, .notOurs, .format: false
    }
  }
}

extension StorageError {
  /// Whether the disk or its file system has failed, not just one file: as Kafka does, the whole log
  /// directory is given up then.
  public var isOfDisk: Bool {
    guard case .system(let error) = cause else { return false }
    return [EIO, EROFS, ENODEV, ENXIO, ESTALE, ENOTCONN, ESHUTDOWN, EUCLEAN, EREMOTEIO].contains(
      error.code)
  }
}

/// Runs calls to the kernel about one file and names the file when they fail.
@inline(__always)
func about<R: ~Copyable>(
  _ operation: StaticString, _ path: @autoclosure () -> String, _ body: () throws(Errno) -> R
) throws(StorageError) -> R {
  do { return try body() } catch { throw StorageError(operation, path(), .system(error)) }
}
