// Who may connect as what, by the user that the kernel names.

import Foundation
import IPC
import Linux
import Logging
import Testing

@testable import Service

struct PeerPolicyTests {
  private func policy(_ options: String...) -> (PeerPolicy?, String) {
    do throws(ServiceFailure) { return (try PeerPolicy(options: options, own: 500), "") } catch {
      return (nil, "\(error.exitCode): \(error)")
    }
  }

  @Test func withoutOptionsTheOwnUserAndRootAreSiblings() {
    let policy = PeerPolicy(own: 500)
    for role in Role.allCases {
      #expect(policy.allows(user: 0, as: role))
      #expect(policy.allows(user: 500, as: role))
      #expect(!policy.allows(user: 501, as: role))
    }
  }

  @Test func aListedRoleIsOpenToItsUsersAlone() throws {
    let policy = try #require(policy("frontend=601,fetcher=602", "frontend=603").0)
    let expected: [(user: UInt32, role: Role, allowed: Bool)] = [
      (601, .frontend, true), (603, .frontend, true), (602, .frontend, false),
      (500, .frontend, false), (0, .frontend, true), (602, .fetcher, true), (601, .fetcher, false),
      (500, .coordinator, true), (601, .coordinator, false),
    ]
    for (user, role, allowed) in expected {
      #expect(policy.allows(user: user, as: role) == allowed, "user \(user) as \(role)")
    }
    // At a logwriter these may speak as someone; a fetcher is reached by frontends only.
    #expect(policy.allows(user: 602, at: .logwriter))
    #expect(!policy.allows(user: 602, at: .fetcher))
    #expect(!policy.allows(user: 604, at: .logwriter))
  }

  @Test func usersHaveNames() throws {
    let policy = try #require(policy("frontend=nobody").0)
    let nobody = try #require(try Users.number(named: "nobody"))
    #expect(policy.allows(user: nobody, as: .frontend))
    #expect(try Users.number(named: "no-such-user") == nil)
  }

  @Test(arguments: ["frontend", "", "frontend=1,", "cleaners=1", "=1", "frontend:1"])
  func mistakes(option: String) {
    let message = policy(option).1
    #expect(message.hasPrefix("100: --peers is ROLE=USER,…, where ROLE is one of frontend, "))
    #expect(message.hasSuffix("not '\(option)'"))
  }

  @Test(arguments: ["no-such-user", "", "-1", "4294967296"])
  func unknownUsers(name: String) {
    #expect(
      policy("frontend=\(name)").1
        == "100: --peers frontend=\(name): there is no user '\(name)'")
  }
}

@Suite(.serialized)
struct PeerCheckTests {
  /// What becomes of a connection of this process that greets as a fetcher.
  private func outcome(_ policy: PeerPolicy) throws -> String {
    let directory = NSTemporaryDirectory() + "sluice-\(UUID().uuidString)"
    try File.makeDirectory(directory)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let path = directory + "/l.sock"
    let loop = try EventLoop<Acceptor>()
    let listener = try SiblingListener(
      try UnixSocket.listen(path: path, backlog: 8), role: .logwriter, peers: policy, loop: loop,
      log: .standardError(processName: "test", level: .critical), source: 0,
      greetingSource: { $0 + 1 })
    let peer = try Greeting.connect(path: path, edge: .fetcherToLogWriter, instance: 3)
    var story = "refused"
    listener.accept { hello, _ in story = "admitted \(hello.instance)" }
    _ = peer
    return story
  }

  private final class Acceptor: EventHandler {
    func ready(_ source: Int, _ readiness: Readiness) {}
    func expired(_ source: Int) {}
    func roundEnded() {}
    func stopRequested() {}
    func reloadRequested() {}
  }

  @Test func theKernelSaysWhoConnects() throws {
    let own = Users.own
    #expect(try outcome(PeerPolicy()) == "admitted 3")
    let others = try PeerPolicy(options: ["fetcher=\(own &+ 1)"])
    #expect(try outcome(others) == (own == 0 ? "admitted 3" : "refused"))
    let listed = try PeerPolicy(options: ["fetcher=\(own)", "frontend=\(own &+ 1)"])
    #expect(try outcome(listed) == "admitted 3")
  }
}
