// Directories that Storage wrote, verified, spoiled in every way, and repaired.
import Foundation
import Linux
import Model
import Records
import Testing

@testable import CLI
@testable import Storage

/// A log directory with one partition of several segments, closed cleanly.
final class WrittenLog {
  let temporary: TemporaryDirectory
  let path: String
  let partition: String
  let count: Int64

  init(
    batches: Int = 100, producerId: Int64? = 5, segmentBytes: Int32 = 4096,
    isAscending: Bool = false
  ) throws {
    temporary = try TemporaryDirectory()
    path = "\(temporary.path)/log"
    partition = "\(path)/t-0"
    var settings = LogConfig()
    settings.segmentBytes = segmentBytes
    settings.indexIntervalBytes = 300
    let log = LogSettings()
    log.config = settings
    let directory = try LogDirectory(
      path, nodeId: 1, clusterId: nil, settings: log,
      environment: LogEnvironment(openSegmentsMax: 4))
    let created = try directory.create(
      TopicPartition(topic: "t", partition: 0), topicId: .random(), settings: log)
    created.lead(2)
    for number in 0..<batches {
      var builder = RecordBatchBuilder()
      if let producerId, number % 2 == 0 {
        builder.setProducer(id: producerId, epoch: 0, baseSequence: Int32(number))
      }
      for _ in 0..<2 {
        builder.append(
          timestamp: 1_000 + Int64(isAscending ? number : number * 7 % 50), key: [1],
          value: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 60))
      }
      let bytes = builder.build()
      try bytes.withUnsafeBytes { raw in
        guard case .staged = try created.stage(raw, from: .client, nowMs: 5_000) else {
          throw Unexpected("not staged")
        }
        try created.commit()
      }
    }
    count = created.logEndOffset
    guard try directory.close().isEmpty else { throw Unexpected("not closed") }
  }

  func files(_ kind: String) throws -> [String] {
    try File.names(in: partition).filter { $0.hasSuffix(kind) }.sorted().map {
      "\(partition)/\($0)"
    }
  }

  func change(_ file: String, _ body: (inout [UInt8]) -> Void) throws {
    var bytes = try File.contents(file)
    body(&bytes)
    try Data(bytes).write(to: URL(fileURLWithPath: file))
  }
}

struct Unexpected: Error {
  let what: String
  init(_ what: String) { self.what = what }
}

/// What a verification said.
final class Verified {
  let report: VerifyReport
  private(set) var failure: VerifyFailure?
  var notes: [String] { box.notes }
  private let box = Box()

  private final class Box {
    var notes: [String] = []
    var output: [UInt8] = []
  }

  init(_ path: String, records: Bool = false, repair: Bool = false, json: Bool = false) {
    let box = box
    report = VerifyReport(
      json: json, repairs: repair, write: { box.output += $0 }, complain: { box.notes.append($0) })
    var check = DirectoryCheck(path, VerifyOptions(readsRecords: records, repairs: repair), report)
    do throws(VerifyFailure) { report.finish(try check.run()) } catch { failure = error }
  }

  var lines: [Substring] { String(decoding: box.output, as: UTF8.self).split(separator: "\n") }
  var reasons: [String] { report.findings.map(\.text) }
}

@Suite struct VerifyTests {
  @Test(arguments: [false, true]) func aSoundLogIsSound(records: Bool) throws {
    let log = try WrittenLog()
    #expect(try log.files(".log").count > 3)
    let verified = Verified(log.path, records: records)
    #expect(verified.reasons == [])
    #expect(verified.failure == nil)
    #expect(verified.report.checkedBytes == verified.report.totalBytes)
    #expect(verified.lines.last?.contains("nothing is wrong") == true)
    let one = Verified(log.partition, json: true)
    #expect(one.report.defects == 0)
    #expect(one.lines.contains { $0.contains("\"logEndOffset\":\(log.count)") })
  }

  /// Any byte of any batch but those that no checksum covers.
  @Test func everyDamagedByteIsFound() throws {
    let log = try WrittenLog(batches: 4)
    let file = try #require(try log.files(".log").first)
    let size = try File.contents(file).count
    for index in stride(from: 16, to: size, by: 7) {
      try log.change(file) { $0[index] ^= 0x10 }
      // Base offset, length and leader epoch of a later batch may hide in its place.
      let verified = Verified(log.path)
      #expect(!verified.reasons.isEmpty, "byte \(index)")
      try log.change(file) { $0[index] ^= 0x10 }
    }
    #expect(Verified(log.path).reasons == [])
  }

  @Test func damageIsToldWithItsOffsetsAndNotRepaired() throws {
    let log = try WrittenLog()
    let file = try log.files(".log")[1]
    try log.change(file) { $0[100] ^= 1 }
    let before = try File.contents(file)
    let verified = Verified(log.path, repair: true)
    #expect(verified.report.lasting == 1)
    let finding = try #require(verified.report.findings.first { $0.remedy == nil })
    #expect(finding.path == file)
    #expect(finding.position == 0)
    let base = try #require(Int64(URL(fileURLWithPath: file).lastPathComponent.prefix(20)))
    #expect(finding.offsets == base...(base + 1))
    #expect(try File.contents(file) == before)
  }

  @Test func aTornTailCountsUnlessTheStopWasUnclean() throws {
    let log = try WrittenLog()
    let file = try #require(try log.files(".log").last)
    try log.change(file) { $0 += [UInt8](repeating: 0, count: 40) }
    #expect(Verified(log.path).report.lasting == 1)
    try File.remove("\(log.path)/.kafka_cleanshutdown")
    let unclean = Verified(log.path)
    #expect(unclean.report.lasting == 0)
    #expect(unclean.notes.contains { $0.contains("a start cuts it off") })
  }

  /// Name, what is spoiled, whether a repair mends it.
  static let spoiling: [(String, Bool, @Sendable (String) throws -> Void)] = [
    ("a missing index", true, { try remove($0, ".index", 0) }),
    ("a missing time index", true, { try remove($0, ".timeindex", 1) }),
    ("half an index entry", true, { try change($0, ".index", 0) { $0.removeLast(3) } }),
    ("a wrong position", true, { try change($0, ".index", 1) { $0[7] ^= 1 } }),
    ("a wrong offset", true, { try change($0, ".index", 1) { $0[3] = 0 } }),
    ("entries in disorder", true, { try change($0, ".index", 0) { $0 += $0.prefix(8) } }),
    ("a wrong timestamp", true, { try change($0, ".timeindex", 0) { $0[7] ^= 1 } }),
    ("no greatest timestamp", true, { try change($0, ".timeindex", 0) { $0 = [] } }),
    ("zeros behind a closed index", true, { try grow($0, ".index", 0, 16) }),
    ("zeros behind a closed time index", true, { try grow($0, ".timeindex", 1, 24) }),
    (
      "a closed time index of 8 bytes", true,
      { try change($0, ".timeindex", 0) { $0 = [UInt8](repeating: 0, count: 8) } }
    ),
    (
      "part of a time index's entry", true, { try change($0, ".timeindex", 0) { $0.removeLast(4) } }
    ),
    ("part of an entry that is zeros", true, { try grow($0, ".timeindex", 0, 8) }),
    ("a torn snapshot", true, { try change($0, ".snapshot", 0) { $0[9] ^= 1 } }),
    (
      "a snapshot behind the end", true,
      { try Data().write(to: URL(fileURLWithPath: "\($0)/t-0/00000000000000009999.snapshot")) }
    ),
    ("wrong epochs", true, { try write("0\n1\n7 0\n", "\($0)/t-0/leader-epoch-checkpoint") }),
    ("epochs that are no text", true, { try write("??", "\($0)/t-0/leader-epoch-checkpoint") }),
    (
      "a recovery point behind the end", false,
      { try write("0\n1\nt 0 99999\n", "\($0)/recovery-point-offset-checkpoint") }
    ),
    (
      "a high watermark behind the end", true,
      { try write("0\n1\nt 0 99999\n", "\($0)/replication-offset-checkpoint") }
    ),
    (
      "a cleaned offset behind the end", true,
      { try write("0\n1\nt 0 99999\n", "\($0)/cleaner-offset-checkpoint") }
    ),
    (
      "a log start behind the end", true,
      { try write("0\n1\nt 0 99999\n", "\($0)/log-start-offset-checkpoint") }
    ),
    (
      "a partition that is missing", false,
      { try write("0\n2\nt 0 200\nt 1 7\n", "\($0)/recovery-point-offset-checkpoint") }
    ),
    (
      "an entry twice", true,
      { try write("0\n2\nt 0 3\nt 0 4\n", "\($0)/replication-offset-checkpoint") }
    ),
    ("an offset of a later batch", true, { try change($0, ".index", 0) { $0[3] += 1 } }),
    (
      "a checkpoint with a torn line", true,
      { try write("0\n2\nt 0 3\nt 1", "\($0)/replication-offset-checkpoint") }
    ),
    ("no metadata", false, { try File.remove("\($0)/t-0/partition.metadata") }),
    ("no identity", false, { try File.remove("\($0)/meta.properties") }),
    (
      "an index without segment", false,
      { try write("", "\($0)/t-0/00000000000000009999.index") }
    ),
  ]

  @Test(arguments: spoiling.indices) func derivedFilesAreHeldAgainstTheLog(index: Int) throws {
    let (name, isMended, spoil) = Self.spoiling[index]
    let log = try WrittenLog()
    try spoil(log.path)
    let found = Verified(log.path)
    #expect(!found.reasons.isEmpty, "\(name)")
    #expect((found.report.lasting == 0) == isMended, "\(name): \(found.reasons)")
    let repaired = Verified(log.path, repair: true)
    #expect(repaired.failure == nil, "\(name)")
    #expect(Verified(log.path).reasons.isEmpty == isMended, "\(name)")
    guard isMended else { return }
    // And the log opens with it.
    let settings = LogSettings()
    let directory = try LogDirectory(
      log.path, nodeId: 1, clusterId: nil, settings: settings,
      environment: LogEnvironment(openSegmentsMax: 4))
    #expect(directory.refused.isEmpty, "\(name)")
    #expect(directory.logs.values.first?.logEndOffset == log.count, "\(name)")
  }

  @Test func aDirectoryInUseIsNotRepaired() throws {
    let log = try WrittenLog()
    let settings = LogSettings()
    let directory = try LogDirectory(
      log.path, nodeId: 1, clusterId: nil, settings: settings,
      environment: LogEnvironment(openSegmentsMax: 4))
    let verified = Verified(log.path)
    #expect(verified.reasons == [])
    #expect(verified.notes.contains { $0.contains("a process uses") })
    guard case .refused(let why) = Verified(log.path, repair: true).failure else {
      Issue.record("repaired under the feet of its owner")
      return
    }
    #expect(why.contains("stop the broker"))
    withExtendedLifetime(directory) {}
  }

  @Test func whatIsNoLogDirectoryIsRefused() throws {
    let temporary = try TemporaryDirectory()
    let empty = try #require(Verified(temporary.path).failure)
    #expect(empty.exitStatus == .usage)
    #expect("\(empty)".contains("no partitions were found in \(temporary.path)"))
    guard case .system = Verified("\(temporary.path)/none").failure else {
      Issue.record("a directory that is not there was verified")
      return
    }
  }

  /// A whole entry less is no contradiction in itself, but the time index tells.
  @Test func anIndexThatWasCutIsNoticed() throws {
    let log = try WrittenLog(batches: 1500, segmentBytes: 1 << 20, isAscending: true)
    let file = try #require(try log.files(".index").first)
    try log.change(file) { $0.removeLast($0.count / 16 * 8) }
    let verified = Verified(log.path, repair: true)
    #expect(verified.reasons.count == 1)
    #expect(verified.reasons.first?.contains("it ends early") == true)
    #expect(Verified(log.path).reasons == [])
  }

  /// Where a partition was: in each of the checkpoints that outlive it.
  @Test(arguments: ["recovery-point", "replication", "log-start"])
  func aMissingPartitionIsNamedOnce(checkpoint: String) throws {
    let log = try WrittenLog()
    let text = "0\n3\nt 0 0\nu 3 20000\nv 0 0\n"
    try write(text, "\(log.path)/\(checkpoint)-offset-checkpoint")
    try write(text, "\(log.path)/replication-offset-checkpoint")
    let verified = Verified(log.path, repair: true)
    #expect(verified.report.findings.map(\.path) == ["\(log.path)/u-3"])
    #expect(verified.reasons.first?.contains("knows it up to offset 20000") == true)
    #expect(verified.report.lasting == 1)
    #expect(verified.lines.last?.hasSuffix(": 1 defect") == true)
    #expect(verified.lines.last?.hasPrefix("1 partition, ") == true)
    // One that is being deleted is not missed.
    let doomed = "\(log.path)/u-3.0123456789abcdef0123456789abcdef-delete"
    try FileManager.default.createDirectory(
      atPath: doomed, withIntermediateDirectories: false)
    #expect(Verified(log.path).reasons == [])
  }

  /// What Storage leaves behind of a deleted partition.
  @Test(arguments: [true, false]) func whatWasDeletedIsNotMissed(cleanly: Bool) throws {
    let log = try WrittenLog()
    do {
      let settings = LogSettings()
      let environment = LogEnvironment(openSegmentsMax: 4)
      let directory = try LogDirectory(
        log.path, nodeId: 1, clusterId: nil, settings: settings, environment: environment)
      try directory.delete([TopicPartition(topic: "t", partition: 0)])
      while environment.syncs.openCount > 0 { environment.finishSyncs() }
      if cleanly { #expect(try directory.close().isEmpty) }
    }
    #expect(Verified(log.path).reasons == [])
  }

  @Test func whatIsBehindALostEndStays() throws {
    let log = try WrittenLog()
    for name in ["recovery-point", "log-start"] {
      try write("0\n1\nt 0 99999\n", "\(log.path)/\(name)-offset-checkpoint")
    }
    #expect(Verified(log.path, repair: true).report.lasting == 2)
    let text = try File.contents("\(log.path)/log-start-offset-checkpoint")
    #expect(String(decoding: text, as: UTF8.self) == "0\n1\nt 0 99999\n")
  }

  /// Kafka makes the indexes of an active segment longer than they are.
  @Test func anActiveIndexMayBeLonger() throws {
    let log = try WrittenLog()
    for kind in [".index", ".timeindex"] {
      let file = try #require(try log.files(kind).last)
      try log.change(file) { $0 += [UInt8](repeating: 0, count: 24) }
    }
    #expect(Verified(log.path).reasons == [])
  }

  @Test func progressIsToldOnceASecond() throws {
    var nowNs: UInt64 = 0
    var lines: [String] = []
    let report = VerifyReport(
      json: false, write: { _ in }, complain: { lines.append($0) }, nowNs: { nowNs })
    report.totalBytes = 8 << 20
    report.progress(1 << 20)
    nowNs = 1_000_000_000
    report.progress(1 << 20)
    report.add(Finding("file", "broken"))
    nowNs = 1_999_999_999
    report.progress(1 << 20)
    nowNs = 2_000_000_000
    report.progress(1 << 20)
    #expect(
      lines == [
        "sluice verify: 2 of 8 MiB (25 %), 0 defects", "sluice verify: 4 of 8 MiB (50 %), 1 defect",
      ])
  }

  @Test func manyDefectsOfOneFileAreSummedUp() throws {
    let log = try WrittenLog(batches: 400)
    for file in try log.files(".index") { try log.change(file) { $0 = $0.map { $0 ^ 0x01 } } }
    let verified = Verified(log.path)
    #expect(verified.lines.count < 3 * VerifyReport.perFileMax * (try log.files(".index").count))
    #expect(verified.report.lasting == 0)
  }
}

private func remove(_ path: String, _ kind: String, _ index: Int) throws {
  let names = try File.names(in: "\(path)/t-0").filter { $0.hasSuffix(kind) }.sorted()
  try File.remove("\(path)/t-0/\(names[index])")
}

private func change(
  _ path: String, _ kind: String, _ index: Int, _ body: (inout [UInt8]) -> Void
) throws {
  let names = try File.names(in: "\(path)/t-0").filter { $0.hasSuffix(kind) }.sorted()
  let file = "\(path)/t-0/\(names[index])"
  var bytes = try File.contents(file)
  body(&bytes)
  try Data(bytes).write(to: URL(fileURLWithPath: file))
}

private func grow(_ path: String, _ kind: String, _ index: Int, _ zeros: Int) throws {
  try change(path, kind, index) { $0 += [UInt8](repeating: 0, count: zeros) }
}

private func write(_ text: String, _ path: String) throws {
  try Data(text.utf8).write(to: URL(fileURLWithPath: path))
}
