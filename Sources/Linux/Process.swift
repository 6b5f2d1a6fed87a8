// This process and its surroundings: signals as a descriptor, limits, memory, time of birth.

import CLinux
import Glibc

/// Signals delivered through a descriptor (signalfd(2)).
public struct SignalFD: ~Copyable {
  public let descriptor: OwnedFD

  /// Blocks `signals` for normal delivery and reads them here instead.
  public init(_ signals: [Int32]) throws(Errno) {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
    sigprocmask(SIG_BLOCK, &set, nil)
    descriptor = OwnedFD(
      taking: try retrying("signalfd") {
        signalfd(-1, &set, Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK))
      })
  }

  /// The next pending signal's number, or nil.
  public borrowing func next() throws(Errno) -> Int32? {
    var info = signalfd_siginfo()
    let number = descriptor.rawValue
    let size = MemoryLayout<signalfd_siginfo>.size
    let outcome = try transferring("read(signalfd)") { read(number, &info, size) }
    return outcome == .bytes(size) ? Int32(info.ssi_signo) : nil
  }
}

/// A counter that wakes a loop from a thread or process (eventfd(2)).
public struct EventFD: ~Copyable {
  public let descriptor: OwnedFD

  public init() throws(Errno) {
    descriptor = OwnedFD(
      taking: try retrying("eventfd") { eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK)) })
  }

  /// Adds one; a counter that is full is as good as signalled.
  public borrowing func signal() {
    var one: UInt64 = 1
    _ = write(descriptor.rawValue, &one, 8)
  }

  /// Takes the count back to zero.
  public borrowing func drain() {
    var count: UInt64 = 0
    _ = read(descriptor.rawValue, &count, 8)
  }
}

/// Names that appear in a directory (inotify(7)).
public struct DirectoryWatch: ~Copyable {
  public let descriptor: OwnedFD

  /// Watches `path` for names created, moved in or removed.
  public init(_ path: String) throws(Errno) {
    let inotify = OwnedFD(
      taking: try retrying("inotify_init1") {
        inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
      })
    let number = inotify.rawValue
    _ = try retrying("inotify_add_watch", path) {
      inotify_add_watch(number, path, UInt32(IN_CREATE | IN_MOVED_TO | IN_DELETE))
    }
    descriptor = inotify
  }

  /// Discards what is pending: the caller lists the directory anew.
  public borrowing func drain() throws(Errno) {
    let number = descriptor.rawValue
    try withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 8) { buffer throws(Errno) in
      var outcome = Transfer.bytes(0)
      while outcome != .wouldBlock {
        outcome = try transferring("read(inotify)") {
          read(number, buffer.baseAddress, buffer.count)
        }
      }
    }
  }
}

public enum CurrentProcess {
  public static var pid: Int32 { getpid() }

  /// The soft limit of descriptors (RLIMIT_NOFILE), raised to the hard limit first.
  public static func raiseDescriptorLimit() -> Int {
    Int(clamping: clinux_raise_descriptor_limit())
  }

  /// Memory of the machine, in bytes (sysconf(3)).
  public static var machineMemoryBytes: Int {
    let pages = sysconf(Int32(_SC_PHYS_PAGES))
    return pages > 0 ? pages * sysconf(Int32(_SC_PAGESIZE)) : .max
  }

  /// Resident memory in bytes (the second field of /proc/self/statm), 0 when /proc is hidden.
  public static func residentBytes() -> UInt64 {
    guard let text = try? File.contents("/proc/self/statm", limit: 4096) else { return 0 }
    let fields = text.split(separator: UInt8(ascii: " "))
    guard fields.count > 1, let pages = UInt64(String(decoding: fields[1], as: UTF8.self)) else {
      return 0
    }
    return pages * UInt64(sysconf(Int32(_SC_PAGESIZE)))
  }

  /// CPU time used so far, user and system, in microseconds (getrusage(2)).
  public static func cpuMicroseconds() -> UInt64 { clinux_cpu_microseconds() }

  /// Makes this process yield to others (setpriority(2)), unless whoever started it has already said
  /// how it is to run. A sandbox that forbids it has said so as well.
  public static func yieldToOthers() {
    let which = __priority_which_t(PRIO_PROCESS.rawValue)
    guard getpriority(which, 0) == 0 else { return }
    _ = setpriority(which, 0, 10)
  }
}
