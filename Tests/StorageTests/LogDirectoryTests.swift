// Log directories: identity, locking, creating and deleting partitions, strangers among the names.

import Foundation
import Linux
import Model
import Testing

@testable import Storage

struct LogDirectoryTests {
  private func open(_ path: String, nodeId: Int32 = 1) throws(StorageError) -> LogDirectory {
    try LogDirectory(
      path, nodeId: nodeId, clusterId: "c", settings: LogSettings(),
      environment: LogEnvironment(openSegmentsMax: 4))
  }

  private func partition(_ number: Int32) -> TopicPartition {
    TopicPartition(topic: "t", partition: number)
  }

  @Test func oneProcessAtATime() throws {
    let temporary = TemporaryDirectory()
    let first = try open("\(temporary.path)/a/b")
    let error = #expect(throws: StorageError.self) { _ = try open("\(temporary.path)/a/b") }
    #expect(error?.description.contains("another process") == true)
    #expect(first.meta.clusterId == "c")
  }

  @Test func directoriesOfOtherNodesAreRefused() throws {
    let temporary = TemporaryDirectory()
    do { _ = try open(temporary.path) }
    let error = #expect(throws: StorageError.self) { _ = try open(temporary.path, nodeId: 2) }
    #expect(error?.description.contains("it belongs to node.id=1") == true)
  }

  @Test func directoriesOfOtherClustersAreRefused() throws {
    let temporary = TemporaryDirectory()
    do { _ = try open(temporary.path) }
    let environment = LogEnvironment(openSegmentsMax: 4)
    #expect(LogDirectory.clusterId(in: temporary.path, environment) == "c")
    let error = #expect(throws: StorageError.self) {
      _ = try LogDirectory(
        temporary.path, nodeId: 1, clusterId: "d", settings: LogSettings(),
        environment: environment)
    }
    #expect(
      error?.cause == .notOurs("it belongs to cluster.id=c, the others to cluster.id=d"))
  }

  @Test(arguments: ["", "version=0\n", "version=0\nbroker.id=1\ncluster.id=c\n"])
  func propertiesOfZooKeepersTimeAreCompleted(text: String) throws {
    let temporary = TemporaryDirectory()
    try File.makeDirectory(temporary.path)
    try Data("#\n\(text)".utf8).write(
      to: URL(fileURLWithPath: "\(temporary.path)/meta.properties"))
    let meta = try open(temporary.path).meta
    #expect(meta.clusterId == "c")
    #expect(meta.nodeId == 1)
    let id = try #require(meta.directoryId)
    let after = String(
      decoding: try File.contents("\(temporary.path)/meta.properties"), as: UTF8.self)
    #expect(after == "#\ncluster.id=c\ndirectory.id=\(id)\nbroker.id=1\nversion=0\n")
    #expect(try open(temporary.path).meta == meta)
  }

  @Test(arguments: [
    "version=2\nnode.id=1\ncluster.id=c\n", "version=1\nnode.id=1\n",
    "version=1\ncluster.id=c\n", "version=1\nbroker.id=1\ncluster.id=c\n",
    "version=1\nnode.id=x\ncluster.id=c\n",
    "version=1\nnode.id=1\ncluster.id=c\ndirectory.id=x\n",
  ])
  func propertiesThatMakeNoSenseAreRefused(text: String) throws {
    let temporary = TemporaryDirectory()
    try File.makeDirectory(temporary.path)
    let path = "\(temporary.path)/meta.properties"
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    #expect(throws: StorageError.self) { _ = try open(temporary.path) }
    #expect(try File.contents(path) == Array(text.utf8))
  }

  @Test func layoutOfANewPartition() throws {
    let temporary = TemporaryDirectory()
    let directory = try open(temporary.path)
    _ = try directory.create(partition(3), topicId: Fixture.topicId, settings: LogSettings())
    let names = try File.names(in: "\(temporary.path)/t-3").sorted()
    #expect(
      names == [
        "00000000000000000000.index", "00000000000000000000.log", "00000000000000000000.timeindex",
        "partition.metadata",
      ])
    #expect(try directory.close().isEmpty)
    let all = try File.names(in: temporary.path).sorted()
    #expect(
      all == [
        ".kafka_cleanshutdown", ".lock", "log-start-offset-checkpoint", "meta.properties",
        "recovery-point-offset-checkpoint", "replication-offset-checkpoint", "t-3",
      ])
  }

  @Test func deletion() throws {
    let temporary = TemporaryDirectory()
    do {
      let directory = try open(temporary.path)
      for number in 0..<3 {
        _ = try directory.create(
          partition(Int32(number)), topicId: Fixture.topicId, settings: LogSettings())
      }
      let log = try #require(directory.logs[partition(1)])
      let batch = Batch().bytes
      try batch.withUnsafeBytes {
        _ = try log.stage($0, from: .client, nowMs: 0)
        try log.commit()
      }
      let reader = try #require(try log.place(of: 0))
      try directory.delete([partition(1), partition(2), partition(9)])
      #expect(directory.logs.count == 1)
      #expect(try File.names(in: temporary.path).filter { $0.hasSuffix("-delete") }.count == 2)
      // The same name at once again.
      let again = try directory.create(
        partition(1), topicId: UUID128(high: 3, low: 4), settings: LogSettings())
      #expect(again.logEndOffset == 0)
      var slices = 1
      while directory.nextRemovalMs == 0 {
        try directory.sweep(nowMs: 0, filesMax: 2)
        slices += 1
      }
      #expect(slices > 4)
      #expect(try !File.names(in: temporary.path).contains { $0.hasSuffix("-delete") })
      #expect(try reader.log.size == Int64(batch.count))
      try directory.delete([partition(1)])
    }
    // A sweep that a crash interrupted goes on after the next start.
    let next = try open(temporary.path)
    #expect(next.logs.count == 1)
    while next.nextRemovalMs == 0 { try next.sweep(nowMs: 0) }
    #expect(try !File.names(in: temporary.path).contains { $0.hasSuffix("-delete") })
  }

  @Test func whatCannotBeRemovedWaits() throws {
    let temporary = TemporaryDirectory()
    let directory = try open(temporary.path)
    for number in 0..<3 {
      _ = try directory.create(
        partition(Int32(number)), topicId: Fixture.topicId, settings: LogSettings())
    }
    try File.makeDirectory("\(temporary.path)/t-1/inside")
    try directory.delete([partition(0), partition(1), partition(2)])
    var failures = 0
    while directory.nextRemovalMs == 0 {
      do { try directory.sweep(nowMs: 0) } catch { failures += 1 }
    }
    #expect(failures == 1)
    #expect(directory.nextRemovalMs == 60_000)
    #expect(try File.names(in: temporary.path).filter { $0.hasSuffix("-delete") }.count == 1)
    #expect(throws: StorageError.self) { try directory.sweep(nowMs: 60_000) }
    #expect(directory.nextRemovalMs == 120_000)
  }

  @Test func strangersAreLeftAlone() throws {
    let temporary = TemporaryDirectory()
    do {
      let directory = try open(temporary.path)
      _ = try directory.create(partition(0), topicId: Fixture.topicId, settings: LogSettings())
      _ = try directory.create(partition(1), topicId: Fixture.topicId, settings: LogSettings())
      for name in [
        "lost+found", "t", "t-x", "notes-1-stray", "__cluster_metadata-0", "t-0.12-future",
        "remote-log-index-cache",
      ] {
        try File.makeDirectory("\(temporary.path)/\(name)")
      }
      for name in ["00000000000000000000.log.deleted", "00000000000000000007.log.cleaned", "x"] {
        try Data().write(to: URL(fileURLWithPath: "\(temporary.path)/t-0/\(name)"))
      }
      try Data("version: 7\n".utf8).write(
        to: URL(fileURLWithPath: "\(temporary.path)/t-1/partition.metadata"))
    }
    let directory = try open(temporary.path)
    while directory.nextRemovalMs != nil { try directory.sweep(nowMs: 0) }
    #expect(Set(directory.logs.keys) == [partition(0)])
    #expect(directory.refused.map(\.partition) == [partition(1)])
    #expect(
      directory.strangers.map(\.name).sorted() == [
        "__cluster_metadata-0", "notes-1-stray", "remote-log-index-cache", "t", "t-0.12-future",
        "t-x",
      ])
    for name in directory.strangers.map(\.name) + ["lost+found"] {
      #expect(File.exists("\(temporary.path)/\(name)"))
    }
    #expect(File.exists("\(temporary.path)/t-0/x"))
    #expect(!File.exists("\(temporary.path)/t-0/00000000000000000000.log.deleted"))
    #expect(!File.exists("\(temporary.path)/t-0/00000000000000000007.log.cleaned"))
    // One partition that could not be read: the stop is not a clean one for all.
    #expect(try directory.close().isEmpty)
    #expect(!File.exists("\(temporary.path)/.kafka_cleanshutdown"))
  }

  @Test func logStartOffsets() throws {
    let temporary = TemporaryDirectory()
    do {
      let directory = try open(temporary.path)
      let log = try directory.create(
        partition(0), topicId: Fixture.topicId, settings: LogSettings())
      let batch = Batch(records: 10).bytes
      try batch.withUnsafeBytes {
        _ = try log.stage($0, from: .client, nowMs: 0)
        try log.commit()
      }
      log.logStartOffset = 4
      #expect(try directory.close().isEmpty)
    }
    let text = try File.contents("\(temporary.path)/log-start-offset-checkpoint")
    #expect(text == Array("0\n1\nt 0 4\n".utf8))
    let directory = try open(temporary.path)
    let log = try #require(directory.logs[partition(0)])
    #expect(log.logStartOffset == 4)
    #expect(log.logEndOffset == 10)
    #expect(try log.place(of: 3) == nil)
    #expect(try log.place(of: 4) != nil)
  }

  @Test func readsTheFirstStartAsClean() throws {
    let temporary = TemporaryDirectory()
    #expect(try open(temporary.path).wasClosedCleanly)
    do {
      let directory = try open(temporary.path)
      _ = try directory.create(partition(0), topicId: Fixture.topicId, settings: LogSettings())
    }
    let directory = try open(temporary.path)
    #expect(!directory.wasClosedCleanly)
    // An empty partition has nothing to recover.
    #expect(directory.logs[partition(0)]?.needsRecovery == false)
  }
}
