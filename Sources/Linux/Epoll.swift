// epoll(7), level-triggered unless asked otherwise. What a descriptor means to its owner travels as
// the 64-bit token.

import CLinux
import Glibc

/// What a descriptor is ready for (epoll_ctl(2)).
public struct Readiness: OptionSet, Sendable {
  public let rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  public static let readable = Readiness(rawValue: UInt32(0x001))
  public static let writable = Readiness(rawValue: UInt32(0x004))
  public static let error = Readiness(rawValue: UInt32(0x008))
  public static let hangUp = Readiness(rawValue: UInt32(0x010))
  /// The peer shut down its writing half (EPOLLRDHUP).
  public static let peerClosed = Readiness(rawValue: UInt32(0x2000))
  /// Wake only one of the processes that wait on a shared descriptor (EPOLLEXCLUSIVE).
  public static let exclusive = Readiness(rawValue: UInt32(1) << 28)
  /// Report changes only (EPOLLET).
  public static let edgeTriggered = Readiness(rawValue: UInt32(1) << 31)
}

/// An epoll instance and its buffer of events.
public struct Epoll: ~Copyable {
  @usableFromInline let descriptor: OwnedFD
  @usableFromInline let events: UnsafeMutablePointer<epoll_event>
  @usableFromInline let capacity: Int

  /// - Parameter capacity: how many events one wait can return.
  public init(capacity: Int = 256) throws(Errno) {
    descriptor = OwnedFD(
      taking: try retrying("epoll_create1") { epoll_create1(Int32(EPOLL_CLOEXEC)) })
    events = .allocate(capacity: capacity)
    self.capacity = capacity
  }

  deinit { events.deallocate() }

  public borrowing func add(_ fd: Int32, _ interest: Readiness, token: UInt64) throws(Errno) {
    try control(EPOLL_CTL_ADD, fd, interest, token)
  }

  public borrowing func modify(_ fd: Int32, _ interest: Readiness, token: UInt64) throws(Errno) {
    try control(EPOLL_CTL_MOD, fd, interest, token)
  }

  public borrowing func remove(_ fd: Int32) throws(Errno) {
    try control(EPOLL_CTL_DEL, fd, [], 0)
  }

  /// Waits for events.
  /// - Parameter timeoutMs: -1 waits without end, 0 only looks.
  /// - Returns: how many events `event(_:)` now has; 0 after a time-out or an interruption.
  @inlinable
  public borrowing func wait(timeoutMs: Int32) throws(Errno) -> Int {
    let count = epoll_wait(descriptor.rawValue, events, Int32(capacity), timeoutMs)
    if count >= 0 { return Int(count) }
    let code = errno
    if code == EINTR { return 0 }
    throw failure(code, "epoll_wait", "")
  }

  /// Event number `index` of the last wait.
  @inlinable
  public borrowing func event(_ index: Int) -> (token: UInt64, readiness: Readiness) {
    let event = events[index]
    return (event.data.u64, Readiness(rawValue: event.events))
  }

  private borrowing func control(
    _ operation: Int32, _ fd: Int32, _ interest: Readiness, _ token: UInt64
  ) throws(Errno) {
    var event = epoll_event()
    event.events = interest.rawValue
    event.data.u64 = token
    let epoll = descriptor.rawValue
    _ = try retrying("epoll_ctl") { epoll_ctl(epoll, operation, fd, &event) }
  }
}
