// `sluice produce`: lines from standard input become records.

import ArgumentParser
import Glibc
import KafkaProtocol
import Model
import Records

struct Produce: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Produce lines from standard input, one record a line.",
    discussion: """
      Records with a key go to the partition that any Kafka client would choose for it; records \
      without one are spread in batches. What was typed is sent at once; what is piped in is \
      sent in batches.

      Example: printf 'k1\\tv1\\nk2\\tv2\\n' | sluice produce orders --key
      """)

  @OptionGroup var broker: BrokerOptions
  @Argument(help: "The topic.") var topic: String
  @Flag(name: [.long, .customShort("k")], help: "Lines are key<TAB>value.") var key = false
  @Option(help: "What stands between key and value.") var keySeparator = "\t"
  @Option(name: .shortAndLong, help: "The partition for all records.") var partition: Int32?
  @Option(name: [.long, .customShort("z")], help: "none, gzip, snappy, lz4 or zstd.")
  var compression: String = "none"
  @Option(
    name: .customLong("header"),
    help: ArgumentHelp("A header for every record; may be repeated.", valueName: "name=value"))
  var headers: [String] = []
  @Option(help: "Acknowledgement to wait for: 0, 1 or all.") var acks: String = "all"
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
      let headers = headers.map { text in
        let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        return RecordHeader(key: String(parts[0]), value: Array(parts[1].utf8))
      }
      var lines = LineReader(descriptor: 0)
      while let line = lines.next() {
        let (key, value) = split(line)
        try batches.add(key: key, value: value, headers: headers)
        if !lines.hasMoreNow { try batches.flush() }
      }
      try batches.flush()
    }
  }

  private func split(_ line: ArraySlice<UInt8>) -> (key: [UInt8]?, value: [UInt8]) {
    let separator = Array(keySeparator.utf8)
    guard key, let at = line.firstRange(of: separator) else { return (nil, Array(line)) }
    return (Array(line[..<at.lowerBound]), Array(line[at.upperBound...]))
  }
}
