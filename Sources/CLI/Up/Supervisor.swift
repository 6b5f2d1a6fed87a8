// Keeps the family running: starts its members, restarts what dies with a growing pause, and stops
// everything in order. It does for one terminal what systemd does for a machine, no more.

import CLinux
import Glibc
import IPC
import Linux
import Service

final class Supervisor: EventHandler {
  enum Source {
    case ended(Int)
    case notified(Int)
    case restart(Int)
    /// Somebody connects to a member that is not running.
    case wanted(Int)
    case progress
    case stopDeadline
  }

  private let family: Family
  private let directory: RuntimeDirectory
  private let programs: String
  private let loop: EventLoop<Supervisor>
  private var runners: [Runner] = []
  private var stopping: StopPhase?
  private var exitCode: Int32 = 0
  private var announced = false
  private let beganNs = Clock.monotonicNs()

  /// Which members are being stopped: those from `Family.members[member]` down.
  private struct StopPhase {
    var member: Int
    var deadline: TimerID
  }

  /// How long one member may take to stop before it is killed.
  private static let stopMs: Int64 = 15_000

  init(family: Family, directory: RuntimeDirectory) throws(ServiceFailure) {
    self.family = family
    self.directory = directory
    programs = try Self.programDirectory()
    for program in Set(family.members.map(\.program)).sorted() {
      guard access("\(programs)/\(program)", X_OK) == 0 else {
        throw .system("\(programs)/\(program) is not there: it belongs beside the sluice command")
      }
    }
    do throws(Errno) { loop = try EventLoop() } catch { throw ServiceFailure(error) }
  }

  /// Runs until everything has stopped.
  /// - Returns: the exit code: 0 after a stop that was asked for.
  func run() throws(ServiceFailure) -> Int32 {
    do throws(Errno) {
      for (index, member) in family.members.enumerated() {
        let notify = try NotifySocket(path: directory.socketPath("notify-\(index).sock"))
        _ = try loop.watch(notify.descriptor, .readable, .notified(index))
        runners.append(Runner(member: member, notify: notify))
      }
    } catch { throw ServiceFailure(error) }
    for index in runners.indices { begin(index) }
    loop.schedule(afterMs: 1000, .progress)
    do throws(Errno) { try loop.run(self) } catch { throw ServiceFailure(error) }
    return exitCode
  }

  func ready(_ source: Source, _ readiness: Readiness) {
    switch source {
    case .ended(let index): childEnded(index)
    case .notified(let index): notified(index)
    case .wanted(let index): wanted(index)
    case .restart, .progress, .stopDeadline: break
    }
  }

  func expired(_ source: Source) {
    switch source {
    case .restart(let index): if stopping == nil { begin(index) }
    case .progress: reportProgress()
    case .stopDeadline: killCurrent()
    case .ended, .notified, .wanted: break
    }
  }

  func roundEnded() {}

  func reloadRequested() {
    for runner in runners { runner.child?.send(signal: SIGHUP) }
  }

  /// The first request stops the members one after the other, the second kills what is left.
  func stopRequested() {
    if stopping != nil {
      say("killing what is left")
      exitCode = exitCode == 0 ? ExitStatus.refused.rawValue : exitCode
      for runner in runners { runner.child?.send(signal: SIGKILL) }
      return
    }
    say("stopping")
    stop(code: 0)
  }

  // MARK: Starting

  /// Starts a member now, or when somebody connects to it.
  private func begin(_ index: Int) {
    let runner = runners[index]
    guard runner.member.startsOnDemand, let socket = runner.member.sockets.first else {
      return start(index)
    }
    do throws(Errno) {
      runner.wanted = try loop.watch(socket.socket.rawValue, .readable, .wanted(index))
    } catch {
      say("cannot wait for \(runner.member.name) to be needed: \(error)")
      stop(code: ExitStatus.system.rawValue)
    }
  }

  private func wanted(_ index: Int) {
    guard let watch = runners[index].wanted else { return }
    runners[index].wanted = nil
    do throws(Errno) { try loop.unwatch(watch) } catch { preconditionFailure("unwatch: \(error)") }
    if stopping == nil { start(index) }
  }

  private func start(_ index: Int) {
    let runner = runners[index]
    let member = runner.member
    do throws(Errno) {
      let path = "\(programs)/\(member.program)"
      let child = try ChildProcess(
        path: path, arguments: member.arguments,
        environment: ["NOTIFY_SOCKET=\(runner.notify.path)"],
        sockets: member.sockets.map { ($0.name, $0.socket.rawValue) })
      let watch = try loop.watch(child.descriptor.rawValue, .readable, .ended(index))
      runner.started(child, watch, nowNs: Clock.monotonicNs())
    } catch {
      say("cannot start \(member.name): \(error)")
      stop(code: ExitStatus.system.rawValue)
    }
  }

  private func childEnded(_ index: Int) {
    let runner = runners[index]
    do throws(Errno) {
      guard let ending = try runner.child?.reap() else { return }
      if let watch = runner.watch { try loop.unwatch(watch) }
      let pid = runner.child?.pid ?? 0
      let wasReady = runner.isReady
      let pauseMs = runner.ended(nowNs: Clock.monotonicNs())
      if stopping != nil { return stopNext() }
      if let code = finalCode(ending, wasReady: wasReady) {
        say("\(runner.member.name) (pid \(pid)) \(ending); stopping")
        return stop(code: code)
      }
      let when = pauseMs == 0 ? "now" : "in \(pauseMs) ms"
      say("\(runner.member.name) (pid \(pid)) \(ending); starting it again \(when)")
      if pauseMs == 0 { begin(index) } else { loop.schedule(afterMs: pauseMs, .restart(index)) }
    } catch {
      say("cannot watch over \(runner.member.name): \(error)")
      stop(code: ExitStatus.system.rawValue)
    }
  }

  /// The exit code of the whole family if this end cannot be mended by another start: a wrong
  /// configuration, or a refusal of the system before the broker has ever served.
  private func finalCode(_ ending: ChildProcess.Ending, wasReady: Bool) -> Int32? {
    switch ending {
    case .exited(ExitStatus.configuration.rawValue): ExitStatus.configuration.rawValue
    case .exited(ExitStatus.system.rawValue) where !announced && !wasReady:
      ExitStatus.system.rawValue
    default: nil
    }
  }

  // MARK: Readiness

  private func notified(_ index: Int) {
    runners[index].readNotifications()
    guard !announced, stopping == nil, runners.allSatisfy(\.isExpectedReady) else { return }
    announced = true
    let ms = (Clock.monotonicNs() - beganNs) / 1_000_000
    say("ready after \(ms) ms, serving \(family.endpoints.joined(separator: ", "))")
  }

  private func reportProgress() {
    guard !announced, stopping == nil else { return }
    let waiting = runners.filter { !$0.isExpectedReady }
      .map { $0.status.isEmpty ? $0.member.name : "\($0.member.name) (\($0.status))" }
    say("waiting for \(waiting.joined(separator: ", "))")
    loop.schedule(afterMs: 1000, .progress)
  }

  // MARK: Stopping

  private func stop(code: Int32) {
    guard stopping == nil else { return }
    exitCode = code
    stopping = StopPhase(
      member: runners.count, deadline: loop.schedule(afterMs: Self.stopMs, .stopDeadline))
    stopNext()
  }

  /// Asks the last member still running to stop; ends the loop when there is none.
  private func stopNext() {
    guard var phase = stopping else { return }
    guard let index = runners.lastIndex(where: { $0.isRunning }) else {
      say("stopped")
      return loop.stop()
    }
    guard index < phase.member else { return }
    loop.cancel(phase.deadline)
    phase.member = index
    phase.deadline = loop.schedule(afterMs: Self.stopMs, .stopDeadline)
    stopping = phase
    runners[index].child?.send(signal: SIGTERM)
  }

  private func killCurrent() {
    guard let index = runners.lastIndex(where: { $0.isRunning }) else { return }
    say("\(runners[index].member.name) did not stop within \(Self.stopMs / 1000) s; killing it")
    runners[index].child?.send(signal: SIGKILL)
  }

  private func say(_ line: String) { StandardError.line("sluice up: \(line)") }

  /// Where the other programs are: beside this one, or in libexec where `make install` puts them.
  private static func programDirectory() throws(ServiceFailure) -> String {
    do throws(Errno) {
      let own = try File.target(ofLink: "/proc/self/exe")
      let directory = own.lastIndex(of: "/").map { String(own[..<$0]) } ?? "."
      let installed = "\(directory)/../libexec/sluice"
      return File.exists("\(installed)/sluice-frontend") ? installed : directory
    } catch { throw ServiceFailure(error) }
  }
}
