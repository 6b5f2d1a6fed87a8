// A configuration that is read again: what a process takes over, what it says, and that a wrong file
// changes nothing.

import Configuration
import Foundation
import IPC
import Linux
import Logging
import Testing

@testable import Service

/// One at a time: contexts claim the process's inherited sockets.
@Suite(.serialized) struct ReloadTests {
  private let path = NSTemporaryDirectory() + "sluice-reload-\(UUID().uuidString).properties"

  private func write(_ text: String) throws {
    try text.write(toFile: path, atomically: true, encoding: .utf8)
  }

  private func context(_ text: String) throws -> ServiceContext {
    try write(text)
    var options = ServiceOptions()
    options.configFile = path
    options.overrides = ["node.id=3"]
    return try ServiceContext(role: .frontend, options: options)
  }

  @Test func whatCanBeIsTakenOver() throws {
    defer { try? FileManager.default.removeItem(atPath: path) }
    let context = try context("max.connections=10\nsocket.request.max.bytes=1000\n")
    #expect(context.log.logLevel == .info)
    var applied: [Int] = []
    try write(
      "max.connections=20\nsocket.request.max.bytes=2000\nnode.id=4\nsluice.log.level=debug\n")
    context.reload { applied.append($0.maxConnections) }
    #expect(applied == [20])
    #expect(context.configuration.maxConnections == 20)
    #expect(context.configuration.socketRequestMaxBytes == 1000, "not while it runs")
    #expect(context.configuration.nodeId == 3, "the command line counts more")
    #expect(context.log.logLevel == .debug)
    try write("")
    context.reload { applied.append($0.maxConnections) }
    #expect(applied == [20, Int(Int32.max)], "what is not there any more is the default")
    #expect(context.log.logLevel == .info)
  }

  @Test(arguments: [
    "max.connections=many\n", "max.conections=1\n", "max.connections=20\nx\u{0}=\\uZ\n",
  ])
  func aWrongFileChangesNothing(text: String) throws {
    defer { try? FileManager.default.removeItem(atPath: path) }
    let context = try context("max.connections=10\n")
    try write(text)
    context.reload { _ in Issue.record("applied a wrong file") }
    #expect(context.configuration.maxConnections == 10)
  }

  @Test func whatAProcessRefusesChangesNothing() throws {
    defer { try? FileManager.default.removeItem(atPath: path) }
    let context = try context("max.connections=10\n")
    try write("max.connections=20\nsluice.log.level=error\n")
    context.reload { _ throws(ServiceFailure) in throw .configuration("no") }
    #expect(context.configuration.maxConnections == 10)
    #expect(context.log.logLevel == .info)
  }

  private func report(_ old: String, _ new: String, _ role: Role) throws -> ReloadReport {
    let old = try BrokerConfiguration.load(file: (name: "old", text: old))
    let next = try BrokerConfiguration.load(file: (name: "new", text: new))
    let taken = try old.taking(ConfigurationUse.liveSomewhere, from: next)
    return ReloadReport(from: old, taken: taken, next: next, role: role)
  }

  @Test func oneLineSaysWhatBecameOfIt() throws {
    let old = "max.connections=10\nlog.retention.hours=1\n"
    let new = "max.connections=20\nlog.dirs=/srv\nlog.retention.hours=2\nnum.io.threads=9\n"
    let frontend = try report(old, new, .frontend)
    #expect(frontend.text == "configuration reloaded: max.connections=20 (was 10)")
    #expect(frontend.fields["@applied"] == "max.connections")
    #expect(frontend.fields["@needsRestart"] == nil)
    #expect(
      try report(old, new, .logwriter).text
        == "configuration reloaded: needs a restart: log.dirs=/srv (was null)")
    #expect(
      try report(old, new, .coordinator).text
        == "configuration reloaded: log.retention.hours=2 (was 1)")
    #expect(
      try report(old, new, .fetcher).text
        == "configuration reloaded: nothing has changed for this process")
    #expect(
      try report("", "max.connections=2147483647", .frontend).applied.isEmpty,
      "the default, written out")
  }

  /// A process cannot take over what it reads once, and every name must be one of ours.
  @Test func theTablesAreSound() {
    for (role, names) in ConfigurationUse.atStart {
      for name in names {
        #expect(BrokerKeys.named(name) != nil, "\(name)")
        #expect(!ConfigurationUse.isLive(name, in: role), "\(name)")
      }
    }
    for name in ConfigurationUse.liveSomewhere {
      #expect(BrokerKeys.named(name) != nil, "\(name)")
    }
  }
}
