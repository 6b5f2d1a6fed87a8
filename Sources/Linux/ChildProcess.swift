// Starting and watching other programs, with sockets handed over as systemd hands them.

import CLinux
import Glibc

/// A child that was started and not reaped yet. Its pidfd turns readable when it ends.
public struct ChildProcess: ~Copyable {
  public let pid: Int32
  public let descriptor: OwnedFD

  /// How a child ended.
  public enum Ending: Equatable, Sendable, CustomStringConvertible {
    case exited(Int32)
    case killed(signal: Int32)

    public var description: String {
      switch self {
      case .exited(let code): "exited with \(code)"
      case .killed(let signal): "was killed by signal \(signal)"
      }
    }
  }

  /// Starts `path`.
  /// - Parameters:
  ///   - environment: `NAME=value`, added to this process's own environment.
  ///   - sockets: become descriptors 3, 4, … of the child, under these names (sd_listen_fds(3)).
  public init(
    path: String, arguments: [String], environment: [String], sockets: [(name: String, Int32)]
  ) throws(Errno) {
    let listenPid = "LISTEN_PID="
    var variables = environment + Self.inherited(without: environment)
    if !sockets.isEmpty {
      variables.append("LISTEN_FDS=\(sockets.count)")
      variables.append("LISTEN_FDNAMES=" + sockets.map(\.name).joined(separator: ":"))
      variables.append(listenPid + String(repeating: "0", count: 11))
    }
    let argv = CStrings([path] + arguments)
    let envp = CStrings(variables)
    let value = sockets.isEmpty ? nil : envp.last.map { $0 + listenPid.utf8.count }
    let child = try sockets.map { $0.1 }.withUnsafeBufferPointer { fds in
      Result<Int32, Errno> { () throws(Errno) in
        try retrying("fork", path) {
          clinux_spawn(path, argv.pointers, envp.pointers, value, fds.baseAddress, fds.count)
        }
      }
    }.get()
    let pidfd = OwnedFD(taking: try retrying("pidfd_open") { clinux_pidfd_open(child) })
    pid = child
    descriptor = pidfd
  }

  /// Takes note of the child's end; nil while it runs.
  public borrowing func reap() throws(Errno) -> Ending? {
    var code: Int32 = 0
    var signal: Int32 = 0
    let child = pid
    let reaped = try retrying("waitpid") { clinux_reap(child, &code, &signal) }
    if reaped == 0 { return nil }
    return signal != 0 ? .killed(signal: signal) : .exited(code)
  }

  public borrowing func send(signal: Int32) { kill(pid, signal) }

  /// This process's environment without what `overriding` sets and without what was meant for
  /// this process alone.
  private static func inherited(without overriding: [String]) -> [String] {
    let names = Set(
      overriding.map { $0.prefix { $0 != "=" } }
        + ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC"])
    var result: [String] = []
    var next = environ
    while let entry = next.pointee {
      let text = String(cString: entry)
      if !names.contains(text.prefix { $0 != "=" }) { result.append(text) }
      next += 1
    }
    return result
  }
}

/// A NULL-terminated array of C strings.
private final class CStrings {
  let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  private let count: Int

  init(_ strings: [String]) {
    count = strings.count
    pointers = .allocate(capacity: count + 1)
    for (index, string) in strings.enumerated() {
      (pointers + index).initialize(to: strdup(string))
    }
    (pointers + count).initialize(to: nil)
  }

  var last: UnsafeMutablePointer<CChar>? { count == 0 ? nil : pointers[count - 1] }

  deinit {
    for index in 0..<count { free(pointers[index]) }
    pointers.deallocate()
  }
}
