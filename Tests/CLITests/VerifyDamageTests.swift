// What a verification tells of damaged batches: the bytes and the offsets that are lost, and no others;
// and the index of aborted transactions.
import Foundation
import Linux
import Records
import Testing

@testable import CLI

@Suite struct VerifyDamageTests {
  /// Where batches begin in a file, and their headers.
  private func batches(_ file: String) throws -> [(position: Int, header: RecordBatchHeader)] {
    let bytes = try File.contents(file)
    var found: [(Int, RecordBatchHeader)] = []
    var position = 0
    while position < bytes.count {
      let header = try #require(bytes[position...].withUnsafeBytes { RecordBatchHeader($0) })
      found.append((position, header))
      position += header.sizeInBytes
    }
    return found
  }

  /// Name, first byte of the second batch's field, what is told.
  @Test(arguments: [
    ("the length", 11), ("the length by far", 8), ("the format", 16), ("the checksum", 17),
    ("the count of offsets", 26), ("a record", 70),
  ])
  func oneBatchIsLost(name: String, field: Int) throws {
    let log = try WrittenLog()
    let file = try log.files(".log")[1]
    let all = try batches(file)
    let (position, header) = all[1]
    try log.change(file) { $0[position + field] ^= 0x20 }
    let verified = Verified(log.path)
    let finding = try #require(verified.report.findings.first { $0.path == file })
    #expect(verified.report.findings.filter { $0.path == file }.count == 1, "\(verified.reasons)")
    #expect(finding.position == Int64(position), "\(name)")
    #expect(finding.offsets == header.baseOffset...header.lastOffset, "\(name)")
    #expect(verified.report.checkedBytes == verified.report.totalBytes)
  }

  /// No checksum covers the base offset.
  @Test(arguments: [0, 5, 7]) func aWrongOffsetIsToldAlone(field: Int) throws {
    let log = try WrittenLog()
    let file = try log.files(".log")[1]
    let (position, header) = try batches(file)[2]
    try log.change(file) { $0[position + field] ^= 0x04 }
    let findings = Verified(log.path).report.findings.filter { $0.path == file }
    #expect(findings.map(\.offsets) == [header.baseOffset...header.lastOffset])
    #expect(findings.first?.remedy == nil)
  }

  @Test(arguments: ["zeros", "half a batch", "a batch less"]) func theEndOfAClosedSegment(
    kind: String
  ) throws {
    let log = try WrittenLog()
    let file = try log.files(".log")[1]
    let (position, header) = try #require(try batches(file).last)
    try log.change(file) { bytes in
      switch kind {
      case "zeros": for index in position..<bytes.count { bytes[index] = 0 }
      case "half a batch": bytes.removeLast((bytes.count - position) / 2)
      default: bytes.removeLast(bytes.count - position)
      }
    }
    let findings = Verified(log.path).report.findings.filter { $0.remedy == nil }
    #expect(findings.map(\.offsets) == [header.baseOffset...header.lastOffset])
  }

  @Test func aSegmentIsMissing() throws {
    let log = try WrittenLog()
    let files = try log.files(".log")
    func base(_ file: String) throws -> Int64 {
      try #require(Int64(URL(fileURLWithPath: file).lastPathComponent.prefix(20)))
    }
    try File.remove(files[1])
    let lost = try base(files[1])...(try base(files[2]) - 1)
    let findings = Verified(log.path).report.findings
    #expect(findings.contains { $0.path == files[2] && $0.offsets == lost && $0.remedy == nil })
    #expect(findings.contains { $0.path.hasSuffix(".snapshot") })
    // Where compaction has been, offsets may be missing.
    try Data("0\n1\nt 0 \(log.count)\n".utf8).write(
      to: URL(fileURLWithPath: "\(log.path)/cleaner-offset-checkpoint"))
    // So may a producer's batch that was its last for a snapshot.
    let cleaned = Verified(log.path).report.findings
    #expect(!cleaned.contains { $0.offsets == lost || $0.path.hasSuffix(".snapshot") })
  }

  // MARK: Transactions

  /// Transactions of two producers in one segment, the indexes as Kafka writes them.
  private func transactions(_ index: [AbortedTransaction]) throws -> TemporaryDirectory {
    let temporary = try TemporaryDirectory()
    let directory = "\(temporary.path)/t-0"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    var log: [UInt8] = []
    func records(_ offset: Int64, _ producer: Int64, _ sequence: Int32) {
      var builder = RecordBatchBuilder(baseOffset: offset)
      builder.setProducer(id: producer, epoch: 0, baseSequence: sequence, isTransactional: true)
      builder.append(timestamp: offset, key: nil, value: [1])
      builder.header.partitionLeaderEpoch = 0
      log += builder.build()
    }
    func marker(_ offset: Int64, _ producer: Int64, isCommit: Bool) {
      log += EndTransactionMarker(isCommit: isCommit, coordinatorEpoch: 0).batch(
        baseOffset: offset, timestamp: offset, producerId: producer, producerEpoch: 0)
    }
    records(0, 1, 0)
    records(1, 2, 0)
    marker(2, 2, isCommit: false)
    marker(3, 1, isCommit: true)
    records(4, 1, 1)
    marker(5, 1, isCommit: false)
    let stem = "\(directory)/00000000000000000000"
    func write(_ bytes: [UInt8], _ path: String) throws {
      try Data(bytes).write(to: URL(fileURLWithPath: path))
    }
    try write([], "\(temporary.path)/.kafka_cleanshutdown")
    try write(log, "\(stem).log")
    try write([], "\(stem).index")
    try write([0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 5], "\(stem).timeindex")
    var bytes: [UInt8] = []
    for entry in index { entry.append(to: &bytes) }
    if !index.isEmpty { try write(bytes, "\(stem).txnindex") }
    try write(Array("0\n1\n0 0\n".utf8), "\(directory)/leader-epoch-checkpoint")
    try write(
      Array("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\n".utf8),
      "\(directory)/partition.metadata")
    return temporary
  }

  private static let aborted = [
    AbortedTransaction(producerId: 2, firstOffset: 1, lastOffset: 2, lastStableOffset: 0),
    AbortedTransaction(producerId: 1, firstOffset: 4, lastOffset: 5, lastStableOffset: 6),
  ]

  @Test func abortedTransactionsAreNoted() throws {
    let temporary = try transactions(Self.aborted)
    #expect(Verified("\(temporary.path)/t-0", records: true).reasons == [])
  }

  @Test(arguments: 0..<7) func theirIndexIsHeldAgainstTheMarkers(kind: Int) throws {
    var index = Self.aborted
    switch kind {
    case 0: index = []
    case 1: index.removeLast()
    case 2: index[0].firstOffset = 0
    case 3: index[0].lastOffset = 3
    case 4: index[1].producerId = 2
    case 5: index[1].lastStableOffset = 5
    default:
      index.append(
        AbortedTransaction(producerId: 3, firstOffset: 6, lastOffset: 7, lastStableOffset: 8))
    }
    let temporary = try transactions(index)
    let partition = "\(temporary.path)/t-0"
    let file = "\(partition)/00000000000000000000.txnindex"
    let found = Verified(partition)
    #expect(found.report.findings.contains { $0.path == file })
    #expect(found.report.lasting == 0, "\(found.reasons)")
    _ = Verified(partition, repair: true)
    #expect(Verified(partition).reasons == [])
    var wanted: [UInt8] = []
    for entry in Self.aborted { entry.append(to: &wanted) }
    #expect(try File.contents(file) == wanted)
  }
}
