// The one error of this module: what the kernel answered, to which call, about what.
//
// EINTR is retried here and nowhere else; EAGAIN is a return value of the calls that can give it.
// EBADF and EFAULT can only be our own bug and stop the process.

import CLinux
import Glibc

/// A failed system call (see errno(3)).
public struct Errno: Error, Equatable, CustomStringConvertible, Sendable {
  /// The errno value, such as `ENOENT`.
  public let code: Int32
  /// The call that failed, such as `openat`.
  public let operation: String
  /// The file, socket path or address concerned; empty when there is none.
  public let subject: String

  public init(_ code: Int32, _ operation: String, _ subject: String = "") {
    self.code = code
    self.operation = operation
    self.subject = subject
  }

  /// `openat /var/lib/x: No such file or directory`
  public var description: String {
    let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
    return subject.isEmpty ? "\(operation): \(reason)" : "\(operation) \(subject): \(reason)"
  }
}

/// Makes one system call, again while it is interrupted.
@inlinable @inline(__always)
func retrying<R: FixedWidthInteger>(
  _ operation: StaticString, _ subject: @autoclosure () -> String = "", _ call: () -> R
) throws(Errno) -> R {
  while true {
    let result = call()
    if result != -1 { return result }
    let code = errno
    if code == EINTR { continue }
    throw failure(code, operation, subject())
  }
}

@usableFromInline @inline(never)
func failure(_ code: Int32, _ operation: StaticString, _ subject: String) -> Errno {
  precondition(code != EBADF && code != EFAULT, "\(operation): bad descriptor or address")
  return Errno(code, "\(operation)", subject)
}

/// The outcome of a call on a non-blocking descriptor.
public enum Transfer: Equatable, Sendable {
  /// So many bytes were moved; 0 from a read means the end of the stream.
  case bytes(Int)
  /// Nothing could be moved now (EAGAIN): wait for the descriptor.
  case wouldBlock
}

/// As `retrying`, with EAGAIN as a value.
@inlinable @inline(__always)
func transferring(
  _ operation: StaticString, _ subject: @autoclosure () -> String = "", _ call: () -> Int
) throws(Errno) -> Transfer {
  while true {
    let result = call()
    if result >= 0 { return .bytes(result) }
    let code = errno
    if code == EINTR { continue }
    if code == EAGAIN { return .wouldBlock }
    throw failure(code, operation, subject())
  }
}
