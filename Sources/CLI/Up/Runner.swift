// One member while it runs: its child process, what it told of itself, and how long to wait before
// it is started again.

import Glibc
import Linux
import Service

final class Runner {
  let member: Member
  let notify: NotifySocket
  private(set) var child: RunningChild?
  private(set) var watch: Watch?
  private(set) var isReady = false
  /// Watches the socket of a member that is started when it is needed.
  var wanted: Watch?
  /// The member's own words: the last STATUS= it sent.
  private(set) var status = ""
  private var startedNs: UInt64 = 0
  private var pauseMs: Int64 = 0

  /// A child that lived this long has earned a restart without a pause.
  private static let settledNs: UInt64 = 2_000_000_000
  private static let pauseMsMax: Int64 = 10_000

  init(member: Member, notify: NotifySocket) {
    self.member = member
    self.notify = notify
  }

  var isRunning: Bool { child != nil }

  /// Nobody waits for it.
  var isExpectedReady: Bool { isReady || member.startsOnDemand }

  func started(_ process: consuming ChildProcess, _ watch: Watch, nowNs: UInt64) {
    child = RunningChild(process)
    self.watch = watch
    startedNs = nowNs
    isReady = false
    status = ""
  }

  /// Takes note of the end.
  /// - Returns: how long to wait before the next start, in ms.
  func ended(nowNs: UInt64) -> Int64 {
    child = nil
    watch = nil
    isReady = false
    if nowNs - startedNs >= Self.settledNs {
      pauseMs = 0
    } else {
      pauseMs = min(Self.pauseMsMax, max(100, pauseMs * 2))
    }
    return pauseMs
  }

  func readNotifications() {
    while let text = notify.next() {
      for line in text.split(separator: "\n") {
        if line == "READY=1" { isReady = true }
        if line.hasPrefix("STATUS=") { status = String(line.dropFirst(7)) }
      }
    }
  }
}

/// A child process with shared ownership: a `ChildProcess` that a class can hold optionally.
final class RunningChild {
  private let process: ChildProcess

  init(_ process: consuming ChildProcess) { self.process = process }

  var pid: Int32 { process.pid }
  func send(signal: Int32) { process.send(signal: signal) }
  func reap() throws(Errno) -> ChildProcess.Ending? { try process.reap() }
}
