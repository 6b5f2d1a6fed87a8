// The files as Kafka's sources specify them, against bytes made by hand.

import Foundation
import Linux
import Model
import Records
import Testing

@testable import Storage

struct FormatTests {
  @Test(arguments: [
    (0, LogFileKind.log, "00000000000000000000.log"),
    (4711, .index, "00000000000000004711.index"),
    (Int64.max, .timeindex, "09223372036854775807.timeindex"),
    (12, .txnindex, "00000000000000000012.txnindex"),
    (1, .snapshot, "00000000000000000001.snapshot"),
  ])
  func fileNames(_ offset: Int64, _ kind: LogFileKind, _ name: String) {
    #expect(LogFileName.name(kind, offset) == name)
    let parsed = LogFileName.parse(name)
    #expect(parsed?.offset == offset)
    #expect(parsed?.kind == kind)
  }

  @Test(arguments: [
    "0.log", "00000000000000000000.lo", "0000000000000000000x.log", "00000000000000000000log",
    "99999999999999999999.log", "-0000000000000000001.log", "00000000000000000000.log.deleted",
  ])
  func otherFileNames(_ name: String) { #expect(LogFileName.parse(name) == nil) }

  @Test(arguments: [
    ("t-0", PartitionDirectory.partition(TopicPartition(topic: "t", partition: 0))),
    ("a-b-17", .partition(TopicPartition(topic: "a-b", partition: 17))),
    ("t-07", .other), ("t-", .other), ("t", .other),
    ("t--1", .partition(TopicPartition(topic: "t-", partition: 1))), ("t-2147483648", .other),
    ("..-0", .other), ("t-0.0123456789abcdef0123456789abcdef-delete", .deleted),
    ("t-0.0123-delete", .other), ("x-delete", .other), ("t-0-stray", .other),
  ])
  func directoryNames(_ name: String, _ expected: PartitionDirectory) {
    #expect(PartitionDirectory(name) == expected)
  }

  @Test func deletedNamesFit() {
    let long = String(repeating: "x", count: 249)
    let name = PartitionDirectory.deletedName(TopicPartition(topic: long, partition: 1))
    #expect(name.utf8.count == 255)
    #expect(PartitionDirectory(name) == .deleted)
    let short = PartitionDirectory.deletedName(TopicPartition(topic: "t", partition: 1))
    #expect(short.hasPrefix("t-1."))
    #expect(PartitionDirectory(short) == .deleted)
  }

  @Test func offsetIndexEntry() {
    var bytes = [UInt8](repeating: 0, count: 8)
    let entry = OffsetIndexEntry(relativeOffset: 0x0102_0304, position: 0x7FFF_FFFE)
    bytes.withUnsafeMutableBytes { entry.write(to: $0) }
    #expect(bytes == hex("01020304 7ffffffe"))
    #expect(bytes.withUnsafeBytes { OffsetIndexEntry($0) } == entry)
  }

  @Test func timeIndexEntry() {
    var bytes = [UInt8](repeating: 0, count: 12)
    let entry = TimeIndexEntry(timestamp: 0x0000_0190_AABB_CCDD, relativeOffset: 5)
    bytes.withUnsafeMutableBytes { entry.write(to: $0) }
    #expect(bytes == hex("00000190aabbccdd 00000005"))
    #expect(bytes.withUnsafeBytes { TimeIndexEntry($0) } == entry)
  }

  @Test func producerSnapshotOfOneBatchIsKafkas() throws {
    var entry = ProducerEntry(producerId: 0x0A0B)
    entry.enter(2)
    entry.remember(ProducerBatch(lastSequence: 9, lastOffset: 100, offsetDelta: 4, timestamp: 7))
    entry.lastTimestamp = 7
    let entries = hex(
      """
      00000001 0000000000000a0b 0002 00000009 0000000000000064 00000004 0000000000000007
      ffffffff ffffffffffffffff
      """)
    let crc = entries.withUnsafeBytes { CRC32C.checksum($0) }
    let expected = hex("0001") + withUnsafeBytes(of: crc.bigEndian) { Array($0) } + entries
    #expect(ProducerSnapshot.encode([entry]) == expected)
    let read = try #require(ProducerSnapshot.decode(expected))
    #expect(read.count == 1)
    #expect(read[0].producerId == 0x0A0B)
    #expect(read[0].producerEpoch == 2)
    #expect(read[0].batches == entry.batches)
    #expect(read[0].currentTxnFirstOffset == -1)
  }

  @Test func producerSnapshotKeepsFiveBatches() throws {
    var producers: [ProducerEntry] = []
    for id in 0..<7 {
      var entry = ProducerEntry(producerId: Int64(id))
      entry.enter(Int16(id))
      for batch in 0..<id {
        entry.remember(
          ProducerBatch(
            lastSequence: Int32(batch), lastOffset: Int64(batch * 10 + id), offsetDelta: 0,
            timestamp: Int64(batch)))
      }
      entry.lastTimestamp = Int64(id - 1)
      entry.currentTxnFirstOffset = id == 3 ? 5 : -1
      producers.append(entry)
    }
    let bytes = ProducerSnapshot.encode(producers)
    let read = try #require(ProducerSnapshot.decode(bytes))
    #expect(read.count == 7)
    for (was, now) in zip(producers, read) {
      #expect(was.batches == now.batches)
      #expect(was.producerEpoch == now.producerEpoch)
      #expect(was.currentTxnFirstOffset == now.currentTxnFirstOffset)
    }
    #expect(read[6].batches.count == 5)
    for index in bytes.indices {
      var torn = bytes
      torn[index] ^= 0x10
      #expect(ProducerSnapshot.decode(torn) == nil, "byte \(index)")
      #expect(ProducerSnapshot.decode(Array(bytes[..<index])) == nil, "cut at \(index)")
    }
  }

  @Test func checkpoints() throws {
    let fixture = try Fixture()
    let path = fixture.temporary.path
    let offsets = [
      (partition: TopicPartition(topic: "orders", partition: 0), offset: Int64(4711)),
      (partition: TopicPartition(topic: "orders", partition: 1), offset: Int64(17)),
    ]
    let text = OffsetCheckpoint.encode(offsets)
    #expect(text == Array("0\n2\norders 0 4711\norders 1 17\n".utf8))
    try Data(text).write(to: URL(fileURLWithPath: "\(path)/recovery-point-offset-checkpoint"))
    let read = try OffsetCheckpoint.recoveryPoint.read(in: path, LogDevice())
    #expect(read.count == 2)
    #expect(read[offsets[0].partition] == 4711)
    #expect(try OffsetCheckpoint.logStart.read(in: path, LogDevice()).isEmpty)
  }

  @Test(arguments: [
    "1\n0\n", "0\n", "0\n1\n", "0\n1\nt 0\n", "0\n1\nt 0 x\n", "0\n1\nt 0 -1\n", "0\n0\nt 0 1\n",
    "0\n-1\n", "0\n99999999\n", "x",
  ])
  func brokenCheckpoints(_ text: String) throws {
    let fixture = try Fixture()
    let path = fixture.temporary.path
    try Data(text.utf8).write(
      to: URL(fileURLWithPath: "\(path)/recovery-point-offset-checkpoint"))
    #expect(throws: StorageError.self) {
      try OffsetCheckpoint.recoveryPoint.read(in: path, LogDevice())
    }
  }

  @Test func leaderEpochs() throws {
    let fixture = try Fixture()
    let path = fixture.path("leader-epoch-checkpoint")
    let entries = [
      LeaderEpochEntry(epoch: 0, startOffset: 0), LeaderEpochEntry(epoch: 3, startOffset: 4711),
    ]
    try LeaderEpochCheckpoint.write(entries, to: path, LogDevice(), durable: true)
    #expect(try File.contents(path) == Array("0\n2\n0 0\n3 4711\n".utf8))
    #expect(try LeaderEpochCheckpoint.read(path, LogDevice()) == entries)
    try Data("0\n2\n3 0\n1 5\n".utf8).write(to: URL(fileURLWithPath: path))
    #expect(throws: StorageError.self) { try LeaderEpochCheckpoint.read(path, LogDevice()) }
  }

  @Test func partitionMetadata() throws {
    let fixture = try Fixture()
    let text = try File.contents(fixture.path("partition.metadata"))
    #expect(text == Array("version: 0\ntopic_id: AAAAAAAAAAEAAAAAAAAAAg\n".utf8))
    #expect(fixture.log.topicId == Fixture.topicId)
  }

  @Test func metaProperties() throws {
    let fixture = try Fixture()
    let path = fixture.temporary.path
    let meta = fixture.directory.meta
    let text = String(decoding: try File.contents("\(path)/meta.properties"), as: UTF8.self)
    let id = try #require(meta.directoryId)
    let cluster = try #require(meta.clusterId)
    #expect(text == "#\ncluster.id=\(cluster)\ndirectory.id=\(id)\nnode.id=1\nversion=1\n")
    try Data("#Mon\nversion=0\nbroker.id=4\n".utf8).write(
      to: URL(fileURLWithPath: "\(path)/meta.properties"))
    let old = try #require(try MetaProperties.read(in: path, LogDevice()))
    #expect(old == MetaProperties(version: "0", clusterId: nil, nodeId: 4, directoryId: nil))
  }
}
