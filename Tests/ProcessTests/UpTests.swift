// `sluice up`: starting, supervising and stopping the family.

import Foundation
import Glibc
import Linux
import Testing

@Suite(.serialized) struct UpTests {
  private static let family = [
    "sluice-cleaner", "sluice-coordinator", "sluice-fetcher", "sluice-fetcher", "sluice-frontend",
    "sluice-logwriter",
  ]

  @Test(arguments: [SIGINT, SIGTERM])
  func startsAndStops(signal: Int32) throws {
    let broker = try Broker()
    let server = try broker.waitUntilReady()
    #expect(server.hasPrefix("127.0.0.1:"))
    #expect(server != "127.0.0.1:0", "the real port is named")
    #expect(broker.members.map(\.name).sorted() == Self.family)
    try broker.stop(signal)
  }

  @Test func asManyFetchersAndFrontendsAsWanted() throws {
    let broker = try Broker(["--fetchers", "3", "--frontends", "2"])
    let client = Client(server: try broker.waitUntilReady())
    let names = broker.members.map(\.name)
    #expect(names.filter { $0 == "sluice-fetcher" }.count == 3)
    #expect(names.filter { $0 == "sluice-frontend" }.count == 2)
    _ = try client.succeed("produce", "spread", input: "a\nb\n")
    // Each command is a connection of its own: both frontends and several fetchers get some.
    for _ in 0..<8 {
      #expect(try client.succeed("consume", "spread", "--from-beginning", "-e").text == "a\nb\n")
    }
    try broker.stop()
  }

  @Test(arguments: [
    "sluice-frontend", "sluice-logwriter", "sluice-fetcher", "sluice-coordinator", "sluice-cleaner",
  ])
  func startsAgainWhatDies(victim: String) throws {
    let broker = try Broker()
    let client = Client(server: try broker.waitUntilReady())
    _ = try client.succeed("produce", "before", input: "1\n2\n")
    let member = try #require(broker.members.first { $0.name == victim })
    let others = broker.members.map(\.pid).filter { $0 != member.pid }
    kill(member.pid, SIGKILL)
    try broker.line("(pid \(member.pid)) was killed by signal 9; starting it again")
    try eventually("a new \(victim)") { broker.members.map(\.name).sorted() == Self.family }
    #expect(Set(others).isSubset(of: broker.members.map(\.pid)), "the others live on")
    _ = try client.succeed("produce", "before", input: "3\n")
    let consumed = try client.succeed("consume", "before", "--from-beginning", "-e")
    #expect(consumed.lines == ["1", "2", "3"])
    try broker.stop()
  }

  @Test func theSecondCtrlCKills() throws {
    let broker = try Broker()
    try broker.waitUntilReady()
    let stubborn = try #require(broker.members.first { $0.name == "sluice-frontend" })
    kill(stubborn.pid, SIGSTOP)
    broker.up.send(SIGINT)
    try broker.line("sluice up: stopping")
    broker.up.send(SIGINT)
    try broker.line("sluice up: killing what is left")
    let finished = try broker.up.finish()
    #expect(finished.status == 1, "not a clean stop")
    #expect(Processes.using(broker.runtimePath).isEmpty)
    // What was cut off recovers.
    try broker.startAgain()
    try broker.waitUntilReady()
    try broker.stop()
  }

  @Test func aKilledSupervisorTakesItsChildrenAlong() throws {
    let broker = try Broker()
    let client = Client(server: try broker.waitUntilReady())
    _ = try client.succeed("produce", "kept", input: "1\n")
    broker.up.send(SIGKILL)
    try eventually("the end of the members") { Processes.using(broker.runtimePath).isEmpty }
    #expect(FileManager.default.fileExists(atPath: "\(broker.runtimePath)/coordinator.sock"))
    try broker.startAgain()
    let again = Client(server: try broker.waitUntilReady())
    #expect(try again.succeed("consume", "kept", "--from-beginning", "-e").lines == ["1"])
    try broker.stop()
  }

  // MARK: What is refused

  @Test func aRuntimeDirectoryInUse() throws {
    let broker = try Broker()
    try broker.waitUntilReady()
    let second = try Running(Broker.arguments(broker.directory)).finish()
    #expect(second.status == 111)
    #expect(second.complaints.contains("another broker runs with \(broker.runtimePath)"))
    #expect(second.complaints.split(separator: "\n").count == 1)
    #expect(broker.members.count == Self.family.count, "the first one is not disturbed")
    try broker.stop()
  }

  @Test func dataInUse() throws {
    let broker = try Broker()
    try broker.waitUntilReady()
    let second = try Running(
      Broker.arguments(broker.directory) + ["--runtime-directory", "\(broker.directory.path)/run2"]
    ).finish()
    #expect(second.status == 111, "\(second.complaints)")
    #expect(second.complaints.contains("\(broker.dataPath)"))
    try broker.stop()
  }

  @Test func aPortInUse() throws {
    let taken = try TCPSocket.listen(
      SocketAddress(host: "127.0.0.1", port: 0, isIPv6: false), backlog: 1)
    let address = try #require(try TCPSocket.localAddress(taken))
    let directory = try TemporaryDirectory()
    let finished = try Running(
      Broker.arguments(directory) + ["--override", "listeners=PLAINTEXT://\(address)"]
    ).finish()
    #expect(finished.status == 111)
    #expect(finished.complaints.contains("\(address)"))
    #expect(finished.complaints.contains("Address already in use"))
    #expect(!FileManager.default.fileExists(atPath: "\(directory.path)/run"), "nothing is left")
  }

  /// A wrong configuration is one line that names what, where and what would be right.
  @Test(arguments: [
    ("num.partitions=zero", ["num.partitions", "zero"]),
    ("num.partitions=0", ["num.partitions", "0"]),
    ("num.partition=3", ["num.partition", "num.partitions"]),
    ("log.segment.byte=1000", ["log.segment.byte", "log.segment.bytes"]),
    ("auto.create.topics.enable=maybe", ["auto.create.topics.enable", "maybe"]),
    ("listeners=NOPE", ["listeners", "NOPE"]),
  ])
  func wrongConfiguration(property: String, says: [String]) throws {
    let directory = try TemporaryDirectory()
    let byOverride = try Running(Broker.arguments(directory) + ["--override", property]).finish()
    let file = "\(directory.path)/server.properties"
    try "# a comment\n\n\(property)\n".write(toFile: file, atomically: true, encoding: .utf8)
    let plain = ["up", "--runtime-directory", "\(directory.path)/run", "--config", file]
    let byFile = try Running(plain).finish()
    for finished in [byOverride, byFile] {
      #expect(finished.status == 100)
      #expect(finished.complaints.split(separator: "\n").count == 1, "\(finished.complaints)")
      for word in says { #expect(finished.complaints.contains(word), "\(finished.complaints)") }
    }
    #expect(byFile.complaints.contains("\(file):3"), "\(byFile.complaints)")
    #expect(!FileManager.default.fileExists(atPath: "\(directory.path)/run"))
  }

  @Test func aConfigurationThatIsNotThere() throws {
    let finished = try Running(["up", "--config", "/nonexistent/server.properties"]).finish()
    #expect(finished.status == 100)
    #expect(finished.complaints.contains("/nonexistent/server.properties"))
  }

  /// Once by the family, not once by each of its processes.
  @Test func whatMeansNothingHereIsTold() throws {
    let broker = try Broker([
      "--override", "zookeeper.connect=localhost:2181", "--override", "process.roles=broker",
    ])
    try broker.waitUntilReady()
    let lines = broker.up.complaints.split(separator: "\n").filter {
      $0.contains("zookeeper.connect")
    }
    #expect(lines.count == 1)
    #expect(lines.first?.contains("process.roles") == true)
    try broker.stop()
  }

  @Test func listensOnIPv6() throws {
    guard
      (try? TCPSocket.listen(SocketAddress(host: "::1", port: 0, isIPv6: true), backlog: 1)) != nil
    else { return }
    let broker = try Broker(["--override", "listeners=PLAINTEXT://[::1]:0"])
    let server = try broker.waitUntilReady()
    #expect(server.hasPrefix("[::1]:"))
    let client = Client(server: server)
    _ = try client.succeed("produce", "six", input: "6\n")
    #expect(try client.succeed("consume", "six", "--from-beginning", "-e").text == "6\n")
    try broker.stop()
  }
}
