import ArgumentParser
import Model
import Testing

@testable import CLI

@Suite struct OptionTests {
  @Test(
    arguments: [
      ("localhost:9092", "localhost", 9092), ("127.0.0.1:1", "127.0.0.1", 1),
      ("host", "host", 9092),
      ("[::1]:19092", "::1", 19092), ("[fe80::1]", "fe80::1", 9092),
    ] as [(String, String, UInt16)])
  func addresses(text: String, host: String, port: UInt16) throws {
    let found = try BrokerConnection.hostAndPort(text)
    #expect(found.host == host)
    #expect(found.port == port)
  }

  @Test(arguments: [
    "", ":9092", "host:", "host:0", "host:65536", "host:x", "::1:9092", "[::1]x", "[]:1", "[::1",
    "a:b:c",
  ])
  func wrongAddresses(text: String) {
    #expect(throws: ClientError.self) { try BrokerConnection.hostAndPort(text) }
  }

  /// Every command line that must be refused, with a piece of what its user reads.
  @Test(arguments: [
    (["produce", "t", "--compression", "brotli"], "brotli"),
    (["produce", "t", "--acks", "2"], "--acks"),
    (["produce", "t", "--batch-bytes", "0"], "--batch-bytes"),
    (["produce", "t", "--header", "x"], "name=value"),
    (["produce"], "topic"),
    (["top", "--interval", "0"], "--interval"),
    (["top", "--sort", "speed"], "--sort"),
    (["top", "--limit", "0"], "--limit"),
    (["consume", "t", "--from-beginning", "--offset", "1"], "exclude each other"),
    (["consume", "t", "--group", "g", "--partition", "1"], "group"),
    (["consume", "t", "--format", "%x"], "%x"),
    (["consume", "t", "-n", "0"], "--max-records"),
    (["consume", "t", "--partition=-1"], "--partition"),
    (["topics", "create"], "names"),
    (["topics", "create", "t", "--partitions", "0"], "--partitions"),
    (["topics", "create", "t", "--set", "x"], "name=value"),
    (["up", "--fetchers", "0"], "--fetchers"),
    (["up", "--frontends", "65"], "--frontends"),
    (["dump"], "files"),
    (["dump", "x", "--offsets", "--transactions"], "exclude each other"),
    (["dump", "x", "--as", "tape"], "tape"),
    (["nonsense"], "nonsense"),
  ])
  func wrongCommandLines(arguments: [String], says: String) {
    do {
      _ = try Sluice.parseAsRoot(arguments)
      Issue.record("\(arguments) was taken")
    } catch {
      #expect(Sluice.exitCode(for: error).rawValue == ExitStatus.usage.rawValue)
      #expect(Sluice.fullMessage(for: error).contains(says))
    }
  }

  @Test func everyCommandHasHelp() {
    let commands: [any ParsableCommand.Type] = [
      Up.self, CreateTopic.self, ListTopics.self, DescribeTopics.self, DeleteTopicsCommand.self,
      Produce.self, Consume.self, Status.self, Dump.self, PropertiesCommand.self,
    ]
    for command in commands {
      let help = Sluice.helpMessage(for: command, columns: 100)
      #expect(help.contains("OVERVIEW: "), "\(command)")
      #expect(help.contains("USAGE: sluice "), "\(command)")
    }
  }

  /// What the shells pass on: bash takes words apart at `:` and `=`.
  @Test(
    arguments: [
      (["consume", ""], "127.0.0.1:9092"), (["-b", "h:1", "consume", ""], "h:1"),
      (["consume", "-b", "h", ":", "1", ""], "h:1"), (["consume", "-b"], "127.0.0.1:9092"),
      (["consume", "--bootstrap-server=h:1,i:2", ""], "h:1,i:2"),
      (["consume", "--bootstrap-server", "=", "h", ":", "1,i", ":", "2", ""], "h:1,i:2"),
      (["consume", "-b", "h", ":"], "h:"),
    ] as [([String], String)])
  func completionAsksTheBrokerOfTheLine(words: [String], bootstrap: String) {
    #expect(TopicCompletion.bootstrap(["sluice"] + words) == bootstrap)
  }

  @Test func failuresHaveTheirExitCodes() {
    #expect(ClientError.badAddress("x").exitStatus == .usage)
    #expect(ClientError.closed(address: "x").exitStatus == .system)
    #expect(ClientError.refused(.corruptMessage, about: "x", message: nil).exitStatus == .refused)
    #expect(
      ClientError.refused(.unknownTopicOrPartition, about: "t", message: nil).description
        == "t: no such topic or partition (UNKNOWN_TOPIC_OR_PARTITION)")
  }
}
