// What the tests with real processes share: the programs beside this test bundle, a broker of its own
// for each test, and commands run to their end. Everything is bound to port 0 and to directories of
// its own.

import Foundation
import Glibc
import Linux
import Testing

/// A directory that goes away with its owner. Short, because socket paths are.
final class TemporaryDirectory {
  let path: String

  init() throws {
    path = "/tmp/sluice-pt-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A test waits for something that did not come.
struct NotSeen: Error, CustomStringConvertible {
  let description: String
}

/// Longer than anything takes that works, even on a busy machine.
let patienceSeconds = 60.0

/// Waits until `condition` holds.
func eventually(_ what: String, _ condition: () throws -> Bool) throws {
  let end = Date().addingTimeInterval(patienceSeconds)
  while try !condition() {
    guard Date() < end else { throw NotSeen(description: "not seen: \(what)") }
    usleep(5_000)
  }
}

enum Programs {
  /// Where `swift build` puts programs and this bundle alike.
  static let directory: String = {
    let own = (try? File.target(ofLink: "/proc/self/exe")) ?? ""
    if FileManager.default.isExecutableFile(atPath: parent(own) + "/sluice") { return parent(own) }
    // A runner that loads the bundle: the bundle is among its arguments.
    let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? own
    return parent(bundle)
  }()

  static var sluice: String { "\(directory)/sluice" }

  private static func parent(_ path: String) -> String {
    String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
  }
}

/// What a command printed and how it ended.
struct Finished {
  let status: Int32
  let output: [UInt8]
  let complaints: String

  var text: String { String(decoding: output, as: UTF8.self) }
  var lines: [Substring] { text.split(separator: "\n") }
}

/// A program that runs, its streams connected to files.
final class Running {
  let process = Process()
  private let directory: TemporaryDirectory

  init(_ arguments: [String], input: [UInt8] = []) throws {
    directory = try TemporaryDirectory()
    let path = directory.path
    try Data(input).write(to: URL(fileURLWithPath: "\(path)/in"))
    for name in ["out", "err"] {
      _ = FileManager.default.createFile(atPath: "\(path)/\(name)", contents: nil)
    }
    process.executableURL = URL(fileURLWithPath: Programs.sluice)
    process.arguments = arguments
    process.standardInput = FileHandle(forReadingAtPath: "\(path)/in")
    process.standardOutput = FileHandle(forWritingAtPath: "\(path)/out")
    process.standardError = FileHandle(forWritingAtPath: "\(path)/err")
    try process.run()
  }

  var pid: Int32 { process.processIdentifier }
  var output: [UInt8] { read("out") }
  var complaints: String { String(decoding: read("err"), as: UTF8.self) }
  func send(_ signal: Int32) { kill(pid, signal) }

  func finish() throws -> Finished {
    try eventually("the end of \(process.arguments ?? [])") { !process.isRunning }
    return Finished(status: process.terminationStatus, output: output, complaints: complaints)
  }

  private func read(_ name: String) -> [UInt8] {
    Array((try? Data(contentsOf: URL(fileURLWithPath: "\(directory.path)/\(name)"))) ?? Data())
  }

  deinit {
    if process.isRunning { kill(pid, SIGKILL) }
    process.waitUntilExit()
  }
}

/// Processes by what /proc tells of them.
enum Processes {
  /// The children of a process, by their programs' names.
  static func children(of pid: Int32) -> [(pid: Int32, name: String)] {
    let path = "/proc/\(pid)/task/\(pid)/children"
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    return text.split(separator: " ").compactMap { Int32($0) }.map { ($0, arguments(of: $0)[0]) }
      .map { ($0.0, $0.1.split(separator: "/").last.map(String.init) ?? "") }
  }

  /// Every process that was given this runtime directory.
  static func using(_ directory: String) -> [Int32] {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return all.compactMap { Int32($0) }.filter { pid in arguments(of: pid).contains(directory) }
  }

  private static func arguments(of pid: Int32) -> [String] {
    let data = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
    let words = data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    return words.isEmpty ? [""] : words
  }
}

/// `sluice up` with directories of its own.
final class Broker {
  let directory: TemporaryDirectory
  private(set) var up: Running

  var dataPath: String { "\(directory.path)/data" }
  var runtimePath: String { "\(directory.path)/run" }

  /// Starts it; `waitUntilReady` waits for the line that says so.
  init(_ arguments: [String] = [], directory: TemporaryDirectory? = nil) throws {
    let directory = try directory ?? TemporaryDirectory()
    self.directory = directory
    up = try Running(Self.arguments(directory) + arguments)
  }

  static func arguments(_ directory: TemporaryDirectory) -> [String] {
    [
      "up", "--runtime-directory", "\(directory.path)/run",
      "--override", "log.dirs=\(directory.path)/data",
      "--override", "listeners=PLAINTEXT://127.0.0.1:0",
      "--override", "group.initial.rebalance.delay.ms=0",
    ]
  }

  /// Waits for a line of `sluice up` or of a member that contains `text`.
  @discardableResult
  func line(_ text: String) throws -> Substring {
    var found: Substring?
    do {
      try eventually("'\(text)'") {
        found = up.complaints.split(separator: "\n").first { $0.contains(text) }
        if found == nil, !up.process.isRunning {
          throw NotSeen(description: "'\(text)' before the end of:\n\(up.complaints)")
        }
        return found != nil
      }
    } catch let error as NotSeen {
      throw NotSeen(description: "\(error) in:\n\(up.complaints)")
    }
    return found ?? ""
  }

  /// Waits until it serves.
  /// - Returns: what a client connects to.
  @discardableResult
  func waitUntilReady() throws -> String {
    let line = try line("sluice up: ready after ")
    let parts = line.components(separatedBy: " ms, serving ")
    try #require(parts.count == 2, "the ready line has changed: \(line)")
    return String(parts[1].prefix { $0 != " " })
  }

  var members: [(pid: Int32, name: String)] { Processes.children(of: up.pid) }

  /// Stops it and checks that nothing is left but data.
  func stop(_ signal: Int32 = SIGINT) throws {
    up.send(signal)
    let finished = try up.finish()
    #expect(finished.status == 0, "\(finished.complaints)")
    #expect(finished.complaints.contains("sluice up: stopped\n"))
    expectNothingLeft()
  }

  func expectNothingLeft() {
    #expect(Processes.using(runtimePath).isEmpty)
    #expect(!FileManager.default.fileExists(atPath: runtimePath), "the runtime directory is gone")
    let files = FileManager.default.enumerator(atPath: dataPath)?.compactMap { $0 as? String } ?? []
    let temporary = files.filter { $0.hasSuffix(".tmp") || $0.hasSuffix(".sock") }
    #expect(temporary.isEmpty)
  }

  /// Starts it again with the same directories.
  func startAgain(_ arguments: [String] = []) throws {
    up = try Running(Self.arguments(directory) + arguments)
  }

  /// Nothing may outlive the test, and nothing may write while its directory is removed.
  deinit {
    if up.process.isRunning { up.send(SIGTERM) }
    do {
      try eventually("the end of the broker") {
        !up.process.isRunning && Processes.using(runtimePath).isEmpty
      }
    } catch {
      Issue.record("\(error)")
      for pid in Processes.using(runtimePath) { kill(pid, SIGKILL) }
    }
  }
}

/// `sluice` as a client of one broker.
struct Client {
  let server: String

  func run(_ words: String..., input: String = "") throws -> Finished {
    try run(words, Array(input.utf8))
  }

  func run(_ words: [String], _ input: [UInt8]) throws -> Finished {
    try start(words, input).finish()
  }

  func start(_ words: [String], _ input: [UInt8] = []) throws -> Running {
    try Running(words + ["-b", server], input: input)
  }

  /// As `run`; the command must succeed.
  func succeed(_ words: String..., input: String = "") throws -> Finished {
    let finished = try run(words, Array(input.utf8))
    #expect(finished.status == 0, "\(words): \(finished.complaints)")
    return finished
  }
}
