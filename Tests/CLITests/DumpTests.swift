import Foundation
import KafkaProtocol
import Model
import Records
import Testing

@testable import CLI
@testable import Storage

@Suite struct SegmentDumpTests {
  @Test(arguments: CompressionNames.all)
  func batchesAndRecords(compression: String) throws {
    let directory = try TemporaryDirectory()
    let first = batch(baseOffset: 100, values: ["a", "b", "c"], compression: compression)
    let second = batch(baseOffset: 103, values: ["d"], compression: compression, producerId: 7)
    let path = try directory.file("00000000000000000100.log", first + second)

    let objects = try Dumped(path, contents: .bytes, json: true).objects()
    let batches = objects.filter { $0["type"] as? String == "batch" }
    #expect(batches.map { $0["baseOffset"] as? Int } == [100, 103])
    #expect(batches.map { $0["lastOffset"] as? Int } == [102, 103])
    #expect(batches.map { $0["position"] as? Int } == [0, first.count])
    #expect(batches.map { $0["size"] as? Int } == [first.count, second.count])
    #expect(batches.allSatisfy { $0["isValid"] as? Bool == true })
    #expect(batches.allSatisfy { $0["compression"] as? String == compression })
    #expect(batches[0]["producerId"] is NSNull)
    #expect(batches[1]["producerId"] as? Int == 7)
    #expect(batches[1]["baseSequence"] as? Int == 10)

    let records = objects.filter { $0["type"] as? String == "record" }
    #expect(records.map { $0["value"] as? String } == ["a", "b", "c", "d"])
    #expect(records.map { $0["key"] as? String } == ["k0", nil, "k2", "k0"])
    #expect(records.map { $0["offset"] as? Int } == [100, 101, 102, 103])
    let headers = try #require(records[0]["headers"] as? [[String: String]])
    #expect(headers == [["key": "h", "valueBase64": "/wA="]])

    let text = Dumped(path)
    #expect(
      text.lines.last
        == "2 batches, 4 records, offsets 100 to 103, \(first.count + second.count) bytes")
    #expect(text.complaints.isEmpty)
  }

  /// A file cut at any byte is shown up to the cut, whose byte is named.
  @Test func everyTruncation() throws {
    let directory = try TemporaryDirectory()
    let first = batch(baseOffset: 0, values: ["a"])
    let whole = first + batch(baseOffset: 1, values: ["b", "c"])
    for count in 0..<whole.count {
      let dumped = Dumped(
        try directory.file("00000000000000000000.log", Array(whole[..<count])), contents: .bytes)
      let shown = count >= first.count ? 1 : 0
      #expect(dumped.lines.filter { $0.hasPrefix("baseOffset") }.count == shown)
      if count == 0 || count == first.count {
        #expect(dumped.complaints.isEmpty)
      } else {
        try #require(dumped.complaints.count == 1)
        #expect(dumped.complaints[0].contains(": at byte \(shown * first.count): "))
      }
    }
  }

  /// Any changed byte is noticed, and never stops the tool.
  @Test func everyDamagedByte() throws {
    let directory = try TemporaryDirectory()
    let first = batch(baseOffset: 5, values: ["hello", "world"], compression: "lz4")
    let whole = first + batch(baseOffset: 7, values: ["again"])
    for index in whole.indices {
      // Base offset and leader epoch are covered by no checksum.
      let field = index < first.count ? index : index - first.count
      var damaged = whole
      damaged[index] ^= 0x41
      let dumped = Dumped(
        try directory.file("00000000000000000005.log", damaged), contents: .bytes, json: true)
      if field >= 16 { #expect(!dumped.complaints.isEmpty, "byte \(index)") }
      #expect(throws: Never.self) { try dumped.objects() }
    }
  }

  @Test func zerosAndOldFormats() throws {
    let directory = try TemporaryDirectory()
    let good = batch(baseOffset: 0, values: ["a"])
    let zeros = Dumped(
      try directory.file("00000000000000000000.log", good + [UInt8](repeating: 0, count: 200)))
    #expect(
      zeros.complaints.first?.contains("at byte \(good.count): zeros instead of a batch") == true)
    var old = good
    old[16] = 1
    let dumped = Dumped(try directory.file("00000000000000000001.log", old))
    #expect(dumped.complaints.first?.contains("format 1, from before Kafka 0.11") == true)
  }

  @Test func controlRecords() throws {
    let directory = try TemporaryDirectory()
    let marker = EndTransactionMarker(isCommit: true, coordinatorEpoch: 9)
    let path = try directory.file(
      "00000000000000000000.log",
      marker.batch(baseOffset: 0, timestamp: 1, producerId: 3, producerEpoch: 0))
    let objects = try Dumped(path, contents: .bytes, json: true).objects()
    #expect(objects[0]["isControl"] as? Bool == true)
    #expect(objects[1]["control"] as? String == "COMMIT")
    #expect(objects[1]["coordinatorEpoch"] as? Int == 9)
  }

  @Test func groupOffsets() throws {
    let directory = try TemporaryDirectory()
    var builder = RecordBatchBuilder()
    let key = try OffsetCommitKey(group: "g", topic: "t", partition: 3).encodedKey()
    builder.append(
      timestamp: 1, key: key,
      value: try OffsetCommitValue(offset: 77, metadata: "m").encodedVersioned(3))
    builder.append(timestamp: 1, key: key, value: nil)
    builder.append(timestamp: 1, key: key, value: [0, 99])
    builder.append(timestamp: 1, key: [0x7F, 0x7F], value: [1])
    let subscription = try ConsumerProtocolSubscription(topics: ["t"]).encodedVersioned(0)
    builder.append(
      timestamp: 1, key: try GroupMetadataKey(group: "g").encodedKey(),
      value: try GroupMetadataValue(
        protocolType: "consumer", members: [.init(memberId: "m1", subscription: subscription)]
      ).encodedVersioned(3))
    let path = try directory.file("00000000000000000000.log", builder.build())
    let records = try Dumped(path, contents: .groupOffsets, json: true).objects().dropFirst()
    let values = records.map { $0["value"] as? [String: Any] }
    #expect((records[1]["key"] as? [String: Any])?["group"] as? String == "g")
    #expect(values[0]?["offset"] as? Int == 77)
    #expect(records[2]["value"] is NSNull)
    #expect((values[2]?["unreadable"] as? String)?.contains("unsupportedVersion") == true)
    #expect(records[4]["key"] as? String == "\u{7F}\u{7F}", "an unknown key is shown as it is")
    let members = try #require(values[4]?["members"] as? [[String: Any]])
    let decoded = try #require(members[0]["subscription"] as? [String: Any])
    #expect(decoded["topics"] as? [String] == ["t"])
    #expect((decoded["ownedPartitions"] as? [Any])?.isEmpty == true)
  }

  @Test func transactions() throws {
    let directory = try TemporaryDirectory()
    var builder = RecordBatchBuilder()
    builder.append(
      timestamp: 1, key: try TransactionLogKey(transactionalId: "tx").encodedKey(),
      value: try TransactionLogValue(
        producerId: 5, transactionPartitions: [.init(topic: "t", partitionIds: [1, 2])]
      ).encodedVersioned(0))
    let path = try directory.file("00000000000000000000.log", builder.build())
    let objects = try Dumped(path, contents: .transactions, json: true).objects()
    #expect((objects[1]["key"] as? [String: Any])?["transactionalId"] as? String == "tx")
    let value = try #require(objects[1]["value"] as? [String: Any])
    #expect(value["producerId"] as? Int == 5)
    #expect(
      (value["transactionPartitions"] as? [[String: Any]])?[0]["partitionIds"] as? [Int] == [1, 2])
  }

  @Test(arguments: [
    ("data/__consumer_offsets-7/0.log", RecordContents.groupOffsets),
    ("__transaction_state-0/0.log", .transactions), ("a-0/__consumer_offsets-7", .bytes),
    ("0.log", .bytes),
  ])
  func theDirectoryTellsWhatRecordsAre(path: String, contents: RecordContents) {
    #expect(RecordContents.of(path) == contents)
  }

  @Test func filesThatAreNotThere() throws {
    let directory = try TemporaryDirectory()
    #expect(Dumped("\(directory.path)/none.log").failure?.exitStatus == .system)
    #expect(Dumped(directory.path).failure?.exitStatus == .system)
    let unknown = Dumped(try directory.file("notes.txt", Array("hello".utf8)))
    #expect(unknown.failure?.exitStatus == .refused)
  }
}

@Suite struct SmallFileDumpTests {
  private func bytes<Entry: IndexEntry>(_ entries: [Entry]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: entries.count * Entry.size)
    bytes.withUnsafeMutableBytes { raw in
      for (index, entry) in entries.enumerated() {
        entry.write(
          to: UnsafeMutableRawBufferPointer(rebasing: raw[(index * Entry.size)...]))
      }
    }
    return bytes
  }

  @Test func indexes() throws {
    let directory = try TemporaryDirectory()
    let offsets = bytes([
      OffsetIndexEntry(relativeOffset: 5, position: 4100),
      OffsetIndexEntry(relativeOffset: 9, position: 8300),
    ])
    let zeros = [UInt8](repeating: 0, count: 80)
    for tail in [[], zeros] {
      let dumped = Dumped(
        try directory.file("00000000000000001000.index", offsets + tail), json: true)
      #expect(try dumped.objects().map { $0["offset"] as? Int } == [1005, 1009])
      #expect(dumped.complaints.isEmpty)
    }
    let torn = Dumped(try directory.file("00000000000000001000.index", offsets + [1, 2, 3]))
    #expect(torn.complaints.first?.contains("at byte 16: 3 bytes") == true)
    let backwards = Dumped(
      try directory.file("00000000000000001000.index", Array(offsets[8...]) + offsets))
    #expect(backwards.complaints.first?.contains("at byte 8: ") == true)

    let times = bytes([
      TimeIndexEntry(timestamp: 1_000, relativeOffset: 3),
      TimeIndexEntry(timestamp: 2_000, relativeOffset: 8),
    ])
    let dumped = Dumped(try directory.file("00000000000000000010.timeindex", times), json: true)
    #expect(try dumped.objects().map { $0["timestamp"] as? Int } == [1_000, 2_000])
    #expect(try dumped.objects().map { $0["offset"] as? Int } == [13, 18])
  }

  @Test func abortedTransactions() throws {
    let directory = try TemporaryDirectory()
    var bytes = [UInt8](repeating: 0, count: 34)
    bytes[9] = 4
    bytes[17] = 10
    bytes[25] = 20
    bytes[33] = 21
    let dumped = Dumped(try directory.file("00000000000000000000.txnindex", bytes), json: true)
    let entry = try #require(try dumped.objects().first)
    #expect(entry["producerId"] as? Int == 4)
    #expect(entry["firstOffset"] as? Int == 10)
    #expect(entry["lastOffset"] as? Int == 20)
    #expect(entry["lastStableOffset"] as? Int == 21)
  }

  private static func snapshot() -> [UInt8] {
    var producer = ProducerEntry(producerId: 12)
    producer.producerEpoch = 3
    for number in 0..<3 {
      producer.remember(
        ProducerBatch(
          lastSequence: Int32(number), lastOffset: Int64(100 + number), offsetDelta: 0,
          timestamp: 5))
    }
    return ProducerSnapshot.encode([producer, ProducerEntry(producerId: 13)])
  }

  @Test func snapshots() throws {
    let directory = try TemporaryDirectory()
    let bytes = Self.snapshot()
    for name in ["00000000000000000103.snapshot", "unnamed"] {
      let dumped = Dumped(try directory.file(name, bytes), json: true)
      let objects = try dumped.objects()
      #expect(
        objects.map { $0["type"] as? String } == [
          "snapshot", "producer", "producer", "earlierBatch", "earlierBatch",
        ])
      #expect(objects[0]["isValid"] as? Bool == true)
      #expect(objects[1]["producerId"] as? Int == 12)
      #expect(objects[1]["lastOffset"] as? Int == 102)
      #expect(objects[3]["lastSequence"] as? Int == 0)
      #expect(dumped.complaints.isEmpty)
    }
  }

  @Test func damagedSnapshots() throws {
    let directory = try TemporaryDirectory()
    let bytes = Self.snapshot()
    for count in 0..<bytes.count {
      let dumped = Dumped(
        try directory.file("00000000000000000103.snapshot", Array(bytes[..<count])), json: true)
      #expect(!dumped.complaints.isEmpty, "\(count) bytes")
      #expect(throws: Never.self) { try dumped.objects() }
    }
  }

  @Test func textFiles() throws {
    let directory = try TemporaryDirectory()
    let epochs = Dumped(
      try directory.file("leader-epoch-checkpoint", Array("0\n2\n0 0\n3 4711\n".utf8)))
    #expect(epochs.output == "0 0\n3 4711\n")
    let offsets = Dumped(
      try directory.file("recovery-point-offset-checkpoint", Array("0\n1\norders 2 17\n".utf8)),
      json: true)
    #expect(try offsets.objects()[0]["offset"] as? Int == 17)
    let metadata = Dumped(
      try directory.file("partition.metadata", Array("version: 0\ntopic_id: abc\n".utf8)))
    #expect(metadata.output == "version=0\ntopic_id=abc\n")
    let meta = Dumped(
      try directory.file("meta.properties", Array("#\nversion=1\nnode.id=1\n".utf8)))
    #expect(meta.output == "version=1\nnode.id=1\n")
    for dumped in [epochs, offsets, metadata, meta] { #expect(dumped.complaints.isEmpty) }
  }

  @Test(arguments: [
    ("leader-epoch-checkpoint", "1\n0\n", 0), ("leader-epoch-checkpoint", "0\nx\n", 2),
    ("leader-epoch-checkpoint", "0\n1\n0 0 0\n", 4), ("leader-epoch-checkpoint", "0\n2\n0 0\n", 2),
    ("replication-offset-checkpoint", "0\n1\na 0 x\n", 4),
    ("meta.properties", "version=1\nnonsense\n", 10), ("leader-epoch-checkpoint", "", 0),
  ])
  func damagedTextFiles(name: String, text: String, position: Int) throws {
    let directory = try TemporaryDirectory()
    let dumped = Dumped(try directory.file(name, Array(text.utf8)))
    #expect(
      dumped.complaints.first?.contains(": at byte \(position): ") == true, "\(dumped.complaints)")
  }

  @Test(arguments: [
    ("0\n1\n0 0\n", DumpKind.leaderEpochs), ("0\n1\nt 0 0\n", .offsetCheckpoint),
    ("version: 0\ntopic_id: x\n", .partitionMetadata), ("#x\nversion=1\n", .properties),
  ])
  func byContent(text: String, kind: DumpKind) throws {
    let directory = try TemporaryDirectory()
    let file = try DumpFile(try directory.file("unnamed", Array(text.utf8)))
    #expect(try DumpKind.of(file) == kind)
  }

  @Test(
    arguments: [
      ("00000000000000000000.log", DumpKind.log), ("00000000000000000000.log.deleted", .log),
      ("00000000000000000000.index.swap", .index),
      ("log-start-offset-checkpoint", .offsetCheckpoint),
      ("x.snapshot", .snapshot), ("notes.txt", nil), ("plain", nil),
    ] as [(String, DumpKind?)])
  func byName(name: String, kind: DumpKind?) { #expect(DumpKind.named(name) == kind) }
}
