// The coordinator as a process: it starts, serves, is killed and comes back.

import Foundation
import IPC
import KafkaProtocol
import Linux
import Model
import Testing

@testable import Coordinator

@Suite(.serialized) struct ProcessTests {
  private func create(_ names: [String]) -> CreateTopicsRequest {
    CreateTopicsRequest(
      topics: names.map { .init(name: $0, numPartitions: 2, replicationFactor: 1) })
  }

  private func descriptorCount(_ pid: Int32) throws -> Int {
    try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count
  }

  @Test func itServesAndStops() throws {
    let process = try RealProcess()
    try process.start()
    let frontend = try process.connectFrontend()
    let request = try frontend.send(create(["a"]), version: 7)
    try process.run { frontend.responses[request] != nil }
    let answer = try #require(
      try frontend.answer(CreateTopicsResponse.self, to: request, version: 7))
    #expect(answer.topics.map(\.errorCode) == [.none])
    #expect(frontend.topics.topic(name: "a")?.partitions.map(\.slot) == [0, 1])
    #expect(frontend.epochs[request] == frontend.topics.epoch)
    let metadata = try process.ask(MetadataRequest(topics: nil), version: 9, of: frontend)
    #expect(metadata.clusterId == "MkU3OEVBNTcwNTJENDM2Qg")
    #expect(try process.end(SIGTERM) == .exited(0))
  }

  @Test func whatWasAcknowledgedSurvivesKills() throws {
    var seed = Seed()
    let process = try RealProcess(["offsets.topic.num.partitions=2"])
    var acknowledged: Set<String> = []
    var committed: Int64 = -1
    for round in 0..<6 {
      try process.start()
      let frontend = try process.connectFrontend()
      let metadata = try process.ask(MetadataRequest(topics: nil), version: 9, of: frontend)
      let found = Set(metadata.topics.compactMap(\.name))
      #expect(acknowledged.isSubset(of: found), "\(seed)")
      _ = try process.ask(FindCoordinatorRequest(coordinatorKeys: ["g"]), version: 4, of: frontend)
      if round == 0 { _ = try process.ask(create(["base"]), version: 7, of: frontend) }
      var fetched: OffsetFetchResponse?
      repeat {
        fetched = try process.ask(
          OffsetFetchRequest(
            groupId: "g", topics: [.init(name: "base", partitionIndexes: [0])]), version: 7,
          of: frontend)
      } while fetched?.errorCode == .coordinatorLoadInProgress
      let offset = fetched?.topics.first?.partitions.first?.committedOffset ?? -1
      #expect(offset >= committed, "\(seed)")
      var pending: [UInt64: String] = [:]
      var commits: [UInt64: Int64] = [:]
      for number in 0..<30 {
        let name = "r\(round)-\(number)"
        pending[try frontend.send(create([name]), version: 7)] = name
        let next = Int64(round * 100 + number)
        commits[
          try frontend.send(
            OffsetCommitRequest(
              groupId: "g",
              topics: [
                .init(
                  name: "base", partitions: [.init(partitionIndex: 0, committedOffset: next)])
              ]), version: 8)] = next
      }
      // The first round is answered whole, so that there is something to survive.
      let enough = round == 0 ? 60 : seed.int(5...58)
      try process.run { frontend.responses.count >= enough }
      #expect(try process.end(SIGKILL) == .killed(signal: SIGKILL))
      for (request, name) in pending {
        let answer = try frontend.answer(CreateTopicsResponse.self, to: request, version: 7)
        if answer?.topics.first?.errorCode == ErrorCode.none { acknowledged.insert(name) }
      }
      for (request, offset) in commits {
        let answer = try frontend.answer(OffsetCommitResponse.self, to: request, version: 8)
        if answer?.topics[0].partitions[0].errorCode == ErrorCode.none {
          committed = max(committed, offset)
        }
      }
      process.logWriter.restart()
    }
    #expect(!acknowledged.isEmpty, "\(seed)")
    #expect(committed >= 0, "\(seed)")
  }

  @Test func theStatusHasEveryoneWhoAnswers() throws {
    let process = try RealProcess()
    try process.start()
    let frontend = try process.connectFrontend()
    _ = try process.ask(MetadataRequest(topics: nil), version: 9, of: frontend)
    // A fetcher that says nothing costs a second, not the answer.
    let silent = try Greeting.connect(
      path: process.socketPath, edge: .fetcherToCoordinator, instance: 1)
    let admin = Channel<AdminToCoordinator, CoordinatorToAdmin>(
      try Greeting.connect(path: process.socketPath, edge: .adminToCoordinator, instance: 1))
    var answers: [[ProcessStatistics]] = []
    // We play the logwriter; where we are too slow for the coordinator, we ask again.
    let expected: [Role] = [.frontend, .logwriter, .coordinator]
    let deadline = Clock.monotonicNs() + 60_000_000_000
    repeat {
      answers = []
      try admin.send(.status(busiest: 0))
      try admin.send(.status(busiest: 7))
      try process.run {
        try admin.receive { message, _ throws(MessageError) in
          if case .status(let processes) = message { answers.append(processes) }
        }
        return answers.count == 2
      }
    } while answers[0].map(\.role) != expected && Clock.monotonicNs() < deadline
    #expect(answers[0].map(\.role) == expected)
    #expect(answers[0].last?.pid == process.pid)
    _ = consume silent
  }

  @Test func aFrontendThatTalksNonsenseIsDisconnectedAlone() throws {
    let process = try RealProcess()
    try process.start()
    let good = try process.connectFrontend()
    _ = try process.ask(MetadataRequest(topics: nil), version: 9, of: good)
    let before = try descriptorCount(process.pid)
    for round in 0..<50 {
      let bad = try Greeting.connect(
        path: process.socketPath,
        edge: round % 2 == 0 ? .frontendToCoordinator : .adminToCoordinator, instance: 2)
      let nonsense: [UInt8] = [9, 9, 0, 0, 1, 0, 0, 0, UInt8(round)]
      #expect(try nonsense.withRawBytes { raw throws(Errno) in try UnixSocket.send(bad, raw) })
      _ = try process.ask(MetadataRequest(topics: nil), version: 9, of: good)
    }
    var seed = Seed()
    for _ in 0..<50 {
      let garbage = (0..<seed.int(1...60)).map { _ in UInt8(seed.int(0...255)) }
      try good.channel.send(
        .request(
          ClientRequest(
            connection: 5, request: 1_000_000, listener: "x", peer: "p", localHost: "h",
            localPort: 1, principal: "", frame: garbage)))
    }
    _ = try process.ask(MetadataRequest(topics: nil), version: 9, of: good)
    #expect(good.refused[1_000_000] != nil, "\(seed)")
    #expect(!good.isClosed)
    try process.run { try descriptorCount(process.pid) <= before }
  }

  @Test func aLogwriterThatRestartsIsTakenUpAgain() throws {
    let process = try RealProcess()
    try process.start()
    let frontend = try process.connectFrontend()
    _ = try process.ask(create(["a"]), version: 7, of: frontend)
    let before = try descriptorCount(process.pid)
    for _ in 0..<5 {
      process.loseLogWriter()
      let generation = process.logWriter.generation
      try process.run {
        frontend.topics.topic(name: "a")?.partitions.allSatisfy { $0.generation == generation }
          == true
      }
    }
    let offsets = try process.ask(
      ListOffsetsRequest(
        replicaId: -1,
        topics: [.init(name: "a", partitions: [.init(partitionIndex: 1, timestamp: -1)])]),
      version: 5, of: frontend)
    #expect(offsets.topics[0].partitions.map(\.errorCode) == [.none])
    #expect(try descriptorCount(process.pid) <= before)
    #expect(try process.end(SIGTERM) == .exited(0))
  }
}
