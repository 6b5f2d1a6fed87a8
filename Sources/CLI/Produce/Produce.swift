// `sluice produce`: lines from standard input become records.

import ArgumentParser
import Glibc
import KafkaProtocol
import Linux
import Model
import Records

struct Produce: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Produce lines from standard input, one record a line.",
    discussion: """
      Records with a key go to the partition that any Kafka client would choose for it; records \
      without one are spread in batches. What was typed is sent at once; what is piped in is \
      sent in batches.

      With the default --acks all the producer is idempotent: a broker that restarts in between \
      gets every record exactly once. When the command ends with 0, everything is acknowledged \
      (with --acks 0: sent).

      Examples:
        printf 'k1\\tv1\\nk2\\tv2\\n' | sluice produce orders --key
        sluice produce events --compression zstd --header source=backfill < events.ndjson
      """)

  @OptionGroup var broker: BrokerOptions
  @Argument(help: "The topic.", completion: .topics) var topic: String
  @Flag(
    name: [.long, .customShort("k")],
    help: "Lines are key<TAB>value; a line without TAB has no key.")
  var key = false
  @Option(help: "What stands between key and value.") var keySeparator = "\t"
  @Option(
    help: ArgumentHelp(
      "Values that are this text are null, which deletes a key of a compacted topic.",
      valueName: "text"))
  var nullValue: String?
  @Option(name: .shortAndLong, help: "The partition for all records.") var partition: Int32?
  @Option(
    name: [.long, .customShort("z")], help: "none, gzip, snappy, lz4 or zstd.",
    completion: .list(CompressionType.allCases.map(\.name)))
  var compression: String = "none"
  @Option(
    name: .customLong("header"),
    help: ArgumentHelp("A header for every record; may be repeated.", valueName: "name=value"))
  var headers: [String] = []
  @Option(
    help: "Acknowledgement to wait for: 0, 1 or all.", completion: .list(["0", "1", "all"]))
  var acks: String = "all"
  @Option(help: "Bytes of records in a batch at most, before compression.")
  var batchBytes: Int = 256 << 10

  func validate() throws {
    guard CompressionType(name: compression) != nil else {
      throw ValidationError(
        "--compression is none, gzip, snappy, lz4 or zstd, not '\(compression)'")
    }
    guard ["0", "1", "all", "-1"].contains(acks) else {
      throw ValidationError("--acks is 0, 1 or all, not '\(acks)'")
    }
    guard (1...(1 << 30)).contains(batchBytes) else {
      throw ValidationError("--batch-bytes is 1 to \(1 << 30)")
    }
    guard !keySeparator.isEmpty else { throw ValidationError("--key-separator is empty") }
    for header in headers where !header.contains("=") {
      throw ValidationError("--header wants name=value, not '\(header)'")
    }
  }

  func run() throws {
    try Command.run { () throws(ClientError) in
      let cluster = broker.cluster()
      let metadata = try cluster.topic(topic, create: true)
      var batches = try BatchSender(
        cluster: cluster, topic: metadata, fixedPartition: partition,
        compression: CompressionType(name: compression) ?? .none,
        acks: acks == "all" ? -1 : Int16(acks) ?? -1, batchBytes: batchBytes)
      do throws(ClientError) { try produce(&batches) } catch {
        StandardError.line("sluice produce: stopped after \(batches.sentRecords) records")
        throw error
      }
    }
  }

  private func produce(_ batches: inout BatchSender) throws(ClientError) {
    let headers = headers.map { text in
      let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      return RecordHeader(key: String(parts[0]), value: Array(parts[1].utf8))
    }
    let null = nullValue.map { Array($0.utf8) }
    let separator = key ? Array(keySeparator.utf8) : nil
    var lines = LineReader(descriptor: 0)
    var progress = InputProgress()
    while let line = try lines.next() {
      let (key, value) = Self.split(line, separator)
      try batches.add(key: key, value: value == null ? nil : value, headers: headers)
      if !lines.hasMoreNow { try batches.flush() }
      progress.report(lines.bytesRead, records: batches.sentRecords)
    }
    try batches.flush()
  }

  /// - Parameter separator: nil when lines have no key.
  static func split(_ line: ArraySlice<UInt8>, _ separator: [UInt8]?)
    -> (key: [UInt8]?, value: [UInt8])
  {
    guard let separator, let at = line.firstRange(of: separator) else { return (nil, Array(line)) }
    return (Array(line[..<at.lowerBound]), Array(line[at.upperBound...]))
  }
}

/// How much of a file on standard input has been sent, told once a second.
private struct InputProgress {
  private let size: Int64?
  private var dueNs = Clock.monotonicNs() + periodNs
  private var records: Int64 = 0

  private static let periodNs: UInt64 = 1_000_000_000

  init() {
    var status = stat()
    let isFile = fstat(0, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    size = isFile && status.st_size > 0 ? Int64(status.st_size) : nil
  }

  mutating func report(_ bytes: Int64, records: Int64) {
    // Only after a batch was sent: the clock costs as much as a record.
    guard let size, records != self.records else { return }
    self.records = records
    let now = Clock.monotonicNs()
    guard now >= dueNs else { return }
    dueNs = now + Self.periodNs
    StandardError.line("sluice produce: \(records) records, \(bytes * 100 / size) % of the input")
  }
}
