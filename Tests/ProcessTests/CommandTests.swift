// The commands of `sluice` against a broker of real processes.

import Foundation
import Glibc
import Linux
import Testing

@Suite(.serialized) struct CommandTests {
  private let broker: Broker
  private let client: Client
  private let topic = "t-\(UUID().uuidString.prefix(8))"

  init() throws {
    broker = try Broker()
    client = Client(server: try broker.waitUntilReady())
  }

  private func consumed(_ words: String...) throws -> Finished {
    let finished = try client.run(
      ["consume", topic, "--exit-at-end"] + (words.isEmpty ? ["--from-beginning"] : words), [])
    #expect(finished.status == 0, "\(finished.complaints)")
    return finished
  }

  // MARK: Topics

  @Test func topics() throws {
    #expect(
      try client.succeed("topics", "create", topic, "-p", "3", "--set", "retention.ms=86400000")
        .text
        == "created \(topic) with 3 partitions\n")
    #expect(try client.succeed("topics", "list").lines.contains(Substring(topic)))
    let described = try client.succeed("topics", "describe", topic, "--json").output
    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(described)) as? [[String: Any]])
    #expect(json[0]["name"] as? String == topic)
    #expect((json[0]["partitions"] as? [Any])?.count == 3)
    #expect((json[0]["configs"] as? [String: String]) == ["retention.ms": "86400000"])

    let again = try client.run("topics", "create", topic, "\(topic)-2")
    #expect(again.status == 1)
    #expect(again.text == "created \(topic)-2 with 1 partition\n", "the other one is created")
    #expect(again.complaints.split(separator: "\n").count == 1)
    #expect(again.complaints.contains("TOPIC_ALREADY_EXISTS"))
    _ = try client.succeed("topics", "create", topic, "--if-not-exists")

    #expect(try client.succeed("topics", "delete", topic, "\(topic)-2").lines.count == 2)
    #expect(try !client.succeed("topics", "list").text.contains(topic))
    let gone = try client.run("topics", "delete", topic)
    #expect(gone.status == 1)
    #expect(gone.complaints.contains("UNKNOWN_TOPIC_OR_PARTITION"))
    _ = try client.succeed("topics", "delete", topic, "--if-exists")
    #expect(try client.run("topics", "describe", topic).status == 1)
  }

  @Test(arguments: [
    (["--set", "retention.ms=soon"], "retention.ms"), (["--set", "no.such=1"], "no.such"),
    (["--replication-factor", "3"], "INVALID_REPLICATION_FACTOR"),
  ])
  func topicsThatAreRefused(words: [String], says: String) throws {
    let finished = try client.run(["topics", "create", topic] + words, [])
    #expect(finished.status == 1)
    #expect(finished.complaints.contains(says), "\(finished.complaints)")
    #expect(finished.complaints.split(separator: "\n").count == 1)
  }

  // MARK: Produce and consume

  @Test(arguments: ["none", "gzip", "snappy", "lz4", "zstd"])
  func everyCodecGivesBackTheSameLines(codec: String) throws {
    _ = try client.succeed("topics", "create", topic, "-p", "3")
    let lines = (0..<5_000).map { "line \($0) \(String(repeating: "x", count: $0 % 200))" }
    _ = try client.succeed(
      "produce", topic, "-z", codec, "--batch-bytes", "20000",
      input: lines.joined(separator: "\n"))
    #expect(Set(try consumed().lines) == Set(lines.map { Substring($0) }))
    #expect(try consumed().lines.count == lines.count)
  }

  @Test func keysKeepTheirOrderInTheirPartition() throws {
    _ = try client.succeed("topics", "create", topic, "-p", "4")
    let input = (0..<400).map { "k\($0 % 7)\t\($0)\n" }.joined()
    _ = try client.succeed(
      "produce", topic, "--key", "--header", "a=1", "--header", "b=", input: input)
    var values: [Substring: [Int]] = [:]
    var partitions: [Substring: Set<Substring>] = [:]
    for line in try consumed("--from-beginning", "-f", "%k %p %v %h\\n").lines {
      let words = line.split(separator: " ")
      values[words[0], default: []].append(Int(words[2]) ?? -1)
      partitions[words[0], default: []].insert(words[1])
      #expect(words[3] == "a=1,b=")
    }
    #expect(values.count == 7)
    #expect(values.values.allSatisfy { $0 == $0.sorted() })
    #expect(partitions.values.allSatisfy { $0.count == 1 })
  }

  @Test func anyBytes() throws {
    var generator = SystemRandomNumberGenerator()
    let bytes = (0..<100_000).map { _ in UInt8.random(in: 0...255, using: &generator) }
      .filter { $0 != 10 }
    #expect(try client.run(["produce", topic], bytes).status == 0)
    #expect(try consumed("--from-beginning", "-f", "%v").output == bytes)
    let json = try consumed("--from-beginning", "--json").output
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(json)) as? [String: Any])
    let text = try #require(object["valueBase64"] as? String)
    #expect(Data(base64Encoded: text) == Data(bytes))
  }

  @Test func emptyInputAndEmptyTopics() throws {
    _ = try client.succeed("produce", topic)
    #expect(try consumed().text == "", "the topic was created and is empty")
    _ = try client.succeed("produce", topic, input: "\n\nlast")
    #expect(try consumed().text == "\n\nlast\n")
    _ = try client.succeed("produce", topic, "-k", "--null-value", "NULL", input: "gone\tNULL\n")
    #expect(try consumed("--offset", "3", "-f", "%k %V\\n").text == "gone -1\n")
  }

  @Test func positions() throws {
    _ = try client.succeed("topics", "create", topic)
    _ = try client.succeed("produce", topic, input: (0..<10).map { "\($0)\n" }.joined())
    #expect(try consumed("--offset", "8").lines == ["8", "9"])
    #expect(try consumed("--offset=-3").lines == ["7", "8", "9"])
    #expect(try consumed("--from-beginning", "-n", "2").lines == ["0", "1"])
    #expect(try consumed("--since-ms", "\(1 << 50)").text == "")
    #expect(try consumed("--since-ms", "1000").lines.count == 10)
    #expect(try consumed("--partition", "0", "--offset", "10").text == "")
    let beyond = try client.run("consume", topic, "--offset", "11", "-e")
    #expect(beyond.status == 1)
    #expect(beyond.complaints.contains("offset 11 is not in the log"))
    #expect(try client.run("consume", topic, "--partition", "5", "-e").status == 1)
  }

  @Test func recordsThatAreTooLarge() throws {
    _ = try client.succeed("topics", "create", topic, "--set", "max.message.bytes=5000")
    let input = Array("small\n".utf8) + [UInt8](repeating: 120, count: 6_000)
    let finished = try client.run(["produce", topic, "--batch-bytes", "1000"], input)
    #expect(finished.status == 1)
    #expect(finished.complaints.contains("MESSAGE_TOO_LARGE"))
    #expect(finished.complaints.contains("stopped after 1 records"))
    #expect(try consumed().text == "small\n")
    // Lines that fit one by one are never put into a batch that does not.
    let lines = (0..<20).map { _ in String(repeating: "y", count: 900) }
    _ = try client.succeed(
      "produce", topic, "--batch-bytes", "4000", input: lines.joined(separator: "\n"))
    #expect(try consumed().lines.count == 21)
  }

  @Test func manyServersAndNone() throws {
    _ = try client.succeed("produce", topic, input: "x\n")
    let second = Client(server: "127.0.0.1:1,\(client.server)")
    #expect(try second.succeed("consume", topic, "--from-beginning", "-e").text == "x\n")
    let none = try Client(server: "127.0.0.1:1").run("topics", "list")
    #expect(none.status == 111)
    #expect(none.complaints == "sluice: no connection to 127.0.0.1:1: Connection refused\n")
    let unknown = try Client(server: "no.such.host.invalid:9092").run("topics", "list")
    #expect(unknown.status == 111)
    #expect(unknown.complaints.contains("no.such.host.invalid"))
    #expect(try Client(server: "host:port").run("topics", "list").status == 64)
  }

  /// A reader that goes away ends the command without a word.
  @Test func aClosedPipe() throws {
    _ = try client.succeed(
      "produce", topic, input: (0..<50_000).map { "\($0)\n" }.joined())
    let shell = Process()
    let output = Pipe()
    shell.executableURL = URL(fileURLWithPath: "/bin/sh")
    shell.arguments = [
      "-c",
      "{ \(Programs.sluice) consume \(topic) --from-beginning -b \(client.server); echo $? >&2; }"
        + " 2>&1 >/dev/full | cat; "
        + "{ \(Programs.sluice) consume \(topic) --from-beginning -b \(client.server); echo $? >&2; }"
        + " 2>&1 | head -n 1",
    ]
    shell.standardOutput = output
    shell.standardError = output
    try shell.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    shell.waitUntilExit()
    #expect(text.hasPrefix("sluice: writing to standard output: No space left on device\n111\n"))
  }

  // MARK: Groups

  /// How many requests the coordinator has been asked.
  private func coordinatorRequests() throws -> Int {
    let finished = try Running(["status", "--json", "--runtime-directory", broker.runtimePath])
      .finish()
    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(finished.output)) as? [[String: Any]])
    let coordinator = json.first { $0["name"] as? String == "sluice-coordinator@1" }
    return (coordinator?["counters"] as? [String: Int])?["requests"] ?? 0
  }

  @Test func aGroupCommitsWhatWasPrinted() throws {
    _ = try client.succeed("topics", "create", topic, "-p", "2")
    _ = try client.succeed("produce", topic, input: (0..<100).map { "\($0)\n" }.joined())
    let group = "g-\(topic)"
    let first = try consumed("--group", group, "--from-beginning", "-n", "30").lines
    #expect(first.count == 30)
    let rest = try consumed("--group", group, "--from-beginning").lines
    #expect(Set(first + rest).count == 100)
    #expect(first.count + rest.count == 100)
    #expect(try consumed("--group", group, "--from-beginning").text == "")
  }

  @Test func ctrlCLeavesTheGroup() throws {
    _ = try client.succeed("topics", "create", topic)
    _ = try client.succeed("produce", topic, input: "1\n2\n3\n")
    let group = "g-\(topic)"
    let member = try client.start(["consume", topic, "--group", group, "--from-beginning"])
    try eventually("three records") { member.output == Array("1\n2\n3\n".utf8) }
    member.send(SIGINT)
    let finished = try member.finish()
    #expect(finished.status == 0, "\(finished.complaints)")
    #expect(finished.complaints == "")
    // Had it not left, the next member would wait for its session to time out, and so would we; had
    // it not committed, it would read everything again.
    _ = try client.succeed("produce", topic, input: "4\n")
    #expect(try consumed("--group", group).text == "4\n")
  }

  /// A member that died without a word keeps the group waiting; Ctrl-C must not.
  @Test func ctrlCWhileTheGroupRebalances() throws {
    _ = try client.succeed("produce", topic, input: "1\n")
    let words = ["consume", topic, "--group", "g-\(topic)", "--from-beginning"]
    let dead = try client.start(words)
    try eventually("a record") { dead.output == Array("1\n".utf8) }
    dead.send(SIGSTOP)
    let before = try coordinatorRequests()
    let waiting = try client.start(words)
    // It asks for the group's coordinator and the topic, joins for a member id, and joins.
    try eventually("the second member's requests") { try coordinatorRequests() >= before + 4 }
    waiting.send(SIGINT)
    let finished = try waiting.finish()
    #expect(finished.status == 0, "\(finished.complaints)")
    #expect(finished.output.isEmpty)
    dead.send(SIGKILL)
  }

  @Test func twoMembersShareATopic() throws {
    _ = try client.succeed("topics", "create", topic, "-p", "2")
    let group = "g-\(topic)"
    let words = ["consume", topic, "--group", group, "--from-beginning", "-f", "%p\\n"]
    let members = [try client.start(words), try client.start(words)]
    func partitions(_ member: Running) -> Set<Substring> {
      Set(String(decoding: member.output, as: UTF8.self).split(separator: "\n"))
    }
    // Once both are in, each gets a partition of its own; until then one may have both.
    try eventually("a partition for each") {
      for partition in ["0", "1"] {
        _ = try client.succeed("produce", topic, "-p", partition, input: "x\n")
      }
      return members.allSatisfy { !partitions($0).isEmpty }
    }
    members[0].send(SIGINT)
    #expect(try members[0].finish().status == 0)
    _ = try client.succeed("produce", topic, "-p", "0", input: "x\n")
    _ = try client.succeed("produce", topic, "-p", "1", input: "x\n")
    try eventually("both partitions at the one that stayed") {
      partitions(members[1]) == ["0", "1"]
    }
    members[1].send(SIGTERM)
    #expect(try members[1].finish().status == 0)
  }

  // MARK: Status, and what is on disk

  @Test func status() throws {
    _ = try client.succeed("produce", topic, input: "x\n")
    let finished = try Running(["status", "--json", "--runtime-directory", broker.runtimePath])
      .finish()
    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(finished.output)) as? [[String: Any]])
    let pids = Set(json.compactMap { $0["pid"] as? Int })
    #expect(pids == Set(broker.members.map { Int($0.pid) }))
    for process in json {
      let name = process["name"] as? String ?? ""
      let resident = process["residentBytes"] as? Int ?? 0
      #expect((1 << 20...1 << 30).contains(resident), "\(name) \(resident)")
      #expect((0...600).contains(process["uptimeSeconds"] as? Int ?? -1), "\(name)")
      #expect((process["counters"] as? [String: Int])?.isEmpty == false, "\(name)")
    }
    let text = try Running(["status", "--runtime-directory", broker.runtimePath]).finish()
    #expect(text.lines.count == json.count + 1)
    let none = try Running(["status", "--runtime-directory", "\(broker.runtimePath)-none"]).finish()
    #expect(none.status == 111)
    #expect(none.complaints.split(separator: "\n").count == 1)
  }

  @Test func whatIsOnDisk() throws {
    _ = try client.succeed("topics", "create", topic)
    _ = try client.succeed("produce", topic, "-k", "-z", "zstd", input: "k\tvalue\n")
    let log = "\(broker.dataPath)/\(topic)-0/00000000000000000000.log"
    let dumped = try Running(["dump", log, "--records"]).finish()
    #expect(dumped.status == 0)
    #expect(dumped.lines.count == 3)
    #expect(dumped.text.contains("isValid: true"))
    #expect(dumped.text.contains("key: k value: value"))
  }

  /// Nobody may say that a topic is there which nobody asked to create.
  @Test func aTopicThatIsMissing() throws {
    #expect(try client.run("consume", topic, "-e").status == 1)
    #expect(try !client.succeed("topics", "list").text.contains(topic))
  }
}

@Suite(.serialized) struct RestartTests {
  @Test func dataOffsetsAndTopicsSurvive() throws {
    let broker = try Broker()
    var client = Client(server: try broker.waitUntilReady())
    _ = try client.succeed("topics", "create", "kept", "-p", "3", "--set", "retention.ms=86400000")
    _ = try client.succeed("produce", "kept", input: (0..<500).map { "\($0)\n" }.joined())
    let group = ["consume", "kept", "--group", "g", "--from-beginning", "-e"]
    #expect(try client.run(group + ["-n", "200"], []).lines.count == 200)
    let before = try client.succeed("topics", "describe", "kept", "--json").text
    try broker.stop()

    try broker.startAgain()
    client = Client(server: try broker.waitUntilReady())
    #expect(try client.succeed("topics", "describe", "kept", "--json").text == before)
    #expect(try client.run(group, []).lines.count == 300)
    #expect(try client.succeed("consume", "kept", "--from-beginning", "-e").lines.count == 500)
    try broker.stop()
  }

  /// What a running command was told is acknowledged exactly once, whatever dies in between.
  @Test func commandsOutliveARestartOfAnyProcess() throws {
    let broker = try Broker()
    let client = Client(server: try broker.waitUntilReady())
    _ = try client.succeed("topics", "create", "steady")
    let reader = try client.start(["consume", "steady", "--from-beginning"])
    let writer = Process()
    let input = Pipe()
    writer.executableURL = URL(fileURLWithPath: Programs.sluice)
    writer.arguments = ["produce", "steady", "-b", client.server]
    writer.standardInput = input
    writer.standardError = FileHandle.nullDevice
    try writer.run()
    var expected: [UInt8] = []
    for (round, victim) in ["frontend", "logwriter", "fetcher", "coordinator"].enumerated() {
      let line = "round \(round)\n"
      try input.fileHandleForWriting.write(contentsOf: Data(line.utf8))
      expected += line.utf8
      try eventually("\(line) before the \(victim) dies") { reader.output == expected }
      for member in broker.members where member.name == "sluice-\(victim)" {
        kill(member.pid, SIGKILL)
      }
    }
    try input.fileHandleForWriting.write(contentsOf: Data("the end\n".utf8))
    expected += "the end\n".utf8
    try eventually("the last line") { reader.output == expected }
    try input.fileHandleForWriting.close()
    try eventually("the writer's end") { !writer.isRunning }
    #expect(writer.terminationStatus == 0)
    reader.send(SIGINT)
    #expect(try reader.finish().status == 0)
    try broker.stop()
  }

  @Test func withoutAutoCreationAMissingTopicIsToldSo() throws {
    let broker = try Broker(["--override", "auto.create.topics.enable=false"])
    let client = Client(server: try broker.waitUntilReady())
    let finished = try client.run("produce", "missing", input: "x\n")
    #expect(finished.status == 1)
    #expect(finished.complaints.contains("sluice topics create missing"), "\(finished.complaints)")
    try broker.stop()
  }
}
