// The embedded metadata store: compare-and-set, sessions, watches, and what a crash leaves.

import Foundation
import Model
import Testing

@testable import Coordinator

@Suite struct StoreTests {
  private func commit(_ store: SQLiteStore, _ changes: [NodeChange]) -> StoreError? {
    var failure: StoreError?
    store.commit(changes) { result in
      if case .failure(let error) = result { failure = error }
    }
    return failure
  }

  @Test func nodesHaveVersions() throws {
    let store = try SQLiteStore(directory: TemporaryDirectory.make())
    #expect(commit(store, [.create("/a", [1]), .create("/a/b", []), .create("/a/c", [3])]) == nil)
    #expect(try store.node("/a")?.version == 0)
    #expect(commit(store, [.set("/a", [2], version: 0)]) == nil)
    #expect(try store.node("/a") == StoredNode(path: "/a", value: [2], version: 1, owner: nil))
    #expect(try store.children(of: "/a").map(\.path) == ["/a/b", "/a/c"])
    #expect(try store.children(of: "/a").map(\.value) == [[], [3]])
    #expect(try store.node("/b") == nil)
  }

  @Test(arguments: [
    [NodeChange.create("/x", []), .create("/a", [])],
    [.create("/x", []), .set("/a", [9], version: 1)],
    [.create("/x", []), .set("/none", [9], version: 0)],
    [.create("/x", []), .delete("/a", version: 7)],
    [.create("/x", []), .delete("/none", version: -1)],
    [.create("/x", []), .create("/x", [])],
  ])
  func aCommitIsAllOrNothing(_ changes: [NodeChange]) throws {
    let store = try SQLiteStore(directory: TemporaryDirectory.make())
    #expect(commit(store, [.create("/a", [1])]) == nil)
    let error = commit(store, changes)
    #expect(error == .conflict(changes[1].path))
    #expect(try store.node("/x") == nil)
    #expect(try store.node("/a")?.value == [1])
    #expect(commit(store, [.set("/a", [2], version: 0), .delete("/a", version: 1)]) == nil)
    #expect(try store.node("/a") == nil)
  }

  @Test func ephemeralNodesDieWithTheirSession() throws {
    let directory = TemporaryDirectory.make()
    do {
      let store = try SQLiteStore(directory: directory)
      #expect(commit(store, [.createEphemeral("/brokers/1", []), .create("/lasting", [])]) == nil)
      #expect(try store.node("/brokers/1")?.owner == store.session)
    }
    do {
      let store = try SQLiteStore(directory: directory)
      #expect(try store.node("/brokers/1") == nil)
      #expect(try store.node("/lasting") != nil)
      #expect(commit(store, [.createEphemeral("/brokers/1", [])]) == nil)
      try store.close()
      #expect(try store.node("/brokers/1") == nil)
    }
  }

  @Test func watchesTellOfNodesAndTheirChildren() throws {
    let store = try SQLiteStore(directory: TemporaryDirectory.make())
    var seen: [NodePath] = []
    let watch = store.watch("/topics") { seen.append($0) }
    #expect(commit(store, [.create("/topics/a", []), .create("/other", [])]) == nil)
    #expect(commit(store, [.create("/topics", []), .create("/topics/a/b", [])]) == nil)
    #expect(commit(store, [.set("/topics/a", [], version: 5)]) != nil)
    #expect(seen == ["/topics/a", "/topics"])
    store.unwatch(watch)
    #expect(commit(store, [.delete("/topics/a", version: 0)]) == nil)
    #expect(seen.count == 2)
  }

  /// The files as a crash would leave them: copied while the store is open, the write-ahead log cut
  /// anywhere. What is found is what some number of whole commits made, and, uncut, all of them.
  @Test func aCrashLeavesWholeCommits() throws {
    var seed = Seed()
    let directory = TemporaryDirectory.make()
    let store = try SQLiteStore(directory: directory)
    let commits = 40
    for number in 0..<commits {
      let changes: [NodeChange] = (0..<seed.int(1...20)).map {
        .create("/n/\(number)-\($0)", [UInt8](repeating: 7, count: 300))
      }
      #expect(commit(store, changes + [.create("/done/\(number)", [UInt8(changes.count)])]) == nil)
    }
    for round in 0..<12 {
      let copy = TemporaryDirectory.make()
      try FileManager.default.copyItem(atPath: directory, toPath: copy)
      if round > 0 {
        let log = try #require(FileHandle(forWritingAtPath: "\(copy)/sluice.db-wal"))
        try log.truncate(atOffset: UInt64(seed.int(0...Int(log.seekToEndOfFile()))))
        try log.close()
      }
      let found = try SQLiteStore(directory: copy)
      let done = try found.children(of: "/done")
      let nodes = try found.children(of: "/n")
      if round == 0 { #expect(done.count == commits) }
      #expect(nodes.count == done.reduce(0) { $0 + Int($1.value[0]) }, "\(seed)")
      #expect(
        Set(done.map(\.path)) == Set((0..<done.count).map { "/done/\($0)" }), "\(seed)")
      try FileManager.default.removeItem(atPath: copy)
    }
  }

  @Test func aStoreThatIsNoStoreIsRefused() throws {
    let directory = TemporaryDirectory.make()
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    try Data(repeating: 65, count: 5_000).write(to: URL(fileURLWithPath: "\(directory)/sluice.db"))
    #expect(throws: StoreError.self) { try SQLiteStore(directory: directory) }
  }

  @Test func aDamagedNodeIsNamed() throws {
    let store = try SQLiteStore(directory: TemporaryDirectory.make())
    #expect(commit(store, [.create("/topics/broken", [1, 2, 3])]) == nil)
    do {
      _ = try MetadataLog(store)
      Issue.record("read")
    } catch { #expect("\(error)".contains("/topics/broken")) }
  }

  // MARK: - Metadata in the store

  @Test func metadataComesBackAsItWas() throws {
    var seed = Seed()
    let directory = TemporaryDirectory.make()
    var before = MetadataState()
    do {
      let log = try MetadataLog(try SQLiteStore(directory: directory))
      for _ in 0..<300 {
        let records = random(&seed, log.state)
        log.commit(records) { #expect($0 == nil, "\(seed)") }
      }
      before = log.state
    }
    let after = try MetadataLog(try SQLiteStore(directory: directory)).state
    #expect(after == before, "\(seed)")
    #expect(
      after.partitionCount == after.topicsInOrder.reduce(0) { $0 + $1.partitionCount }, "\(seed)")
  }

  private func random(_ seed: inout Seed, _ state: MetadataState) -> [MetadataRecord] {
    let topics = state.topicsInOrder
    switch seed.int(0...9) {
    case 0: return [.producerIdsReserved(next: Int64(seed.int(0...1_000_000)))]
    case 1 where !state.deletions.isEmpty:
      return state.deletions.keys.first.map { [.deletionFinished($0)] } ?? []
    case 2...3 where !topics.isEmpty:
      let topic = topics[seed.int(0...topics.count - 1)]
      return [
        .topicDeleted(
          DeletedTopic(id: topic.id, name: topic.name, partitionCount: topic.partitionCount))
      ]
    case 4...5 where !topics.isEmpty:
      var topic = topics[seed.int(0...topics.count - 1)]
      topic.extend(to: topic.partitionCount + seed.int(1...3))
      topic.configs["retention.ms"] = "\(seed.int(1...1_000))"
      return [.topic(topic)]
    default:
      let name = "topic-\(seed.int(0...1_000_000))"
      return state.topic(name) == nil
        ? [
          .topic(
            Topic(
              name: name, id: .random(), leaderEpochs: [0, 1], configs: ["a": "ü", "b": ""]))
        ] : []
    }
  }
}
