// `sluice consume`: records of a topic on standard output.

import ArgumentParser
import Glibc
import KafkaProtocol
import Linux
import Model
import Records

struct Consume: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print the records of a topic, one a line, until Ctrl-C.",
    discussion: """
      Starts with what is produced from now on, unless told otherwise. With --group the partitions \
      are shared with the other members of the group, and what was printed is committed.

      --format is text with %k key, %v value, %o offset, %p partition, %t topic, %T timestamp in ms, \
      %h headers, %K and %V the lengths of key and value, %% a percent sign, \\n, \\t and \\0. The \
      default is '%v\\n'. Bytes are printed as they are. With --json a key or value that is not UTF-8 \
      goes under keyBase64 or valueBase64.

      The first Ctrl-C ends it properly (a group is left at once), the second one immediately.

      Example: sluice consume orders --from-beginning --exit-at-end --format '%p:%o %k=%v\\n'
      """)

  @OptionGroup var broker: BrokerOptions
  @Argument(help: "The topic.", completion: .topics) var topic: String
  @Flag(help: "Begin with the oldest record.") var fromBeginning = false
  @Option(help: "Begin at this offset of every partition; --offset=-3: so many before the end.")
  var offset: Int64?
  @Option(help: "Begin with the first record not older than this, in ms since 1970.")
  var sinceMs: Int64?
  @Option(name: .shortAndLong, help: "Only this partition.") var partition: Int32?
  @Option(name: .shortAndLong, help: "Consume as a member of this group.") var group: String?
  @Option(name: [.long, .customShort("n")], help: "Stop after so many records.")
  var maxRecords: Int?
  @Flag(name: [.long, .customShort("e")], help: "Stop at the end of the log.")
  var exitAtEnd = false
  @Option(name: .shortAndLong, help: "How to print a record.") var format: String = "%v\\n"
  @Flag(help: "Print a JSON object a record.") var json = false

  func validate() throws {
    let starts = [fromBeginning, offset != nil, sinceMs != nil].filter { $0 }.count
    guard starts <= 1 else {
      throw ValidationError("--from-beginning, --offset and --since-ms exclude each other")
    }
    guard group == nil || (partition == nil && offset == nil && sinceMs == nil) else {
      throw ValidationError("a group decides on partitions and offsets itself")
    }
    if let partition, partition < 0 { throw ValidationError("--partition is at least 0") }
    if let maxRecords, maxRecords < 1 { throw ValidationError("--max-records is at least 1") }
    do { _ = try RecordFormat(format) } catch { throw ValidationError("\(error)") }
  }

  func run() throws {
    try Command.run { () throws(ClientError) in
      let interruption = try Interruption()
      let cluster = broker.cluster(interruption)
      let printer = RecordPrinter(
        topic: topic, format: json ? nil : try? RecordFormat(format), limit: maxRecords)
      if let group {
        try GroupConsumer(
          cluster: cluster, group: group, topic: topic, fromBeginning: fromBeginning,
          exitAtEnd: exitAtEnd, interruption: interruption
        ).run(printer)
      } else {
        try consumeAlone(cluster, printer, interruption)
      }
      printer.flush()
    }
  }

  private func consumeAlone(
    _ cluster: Cluster, _ printer: RecordPrinter, _ interruption: Interruption
  ) throws(ClientError) {
    var metadata = try readable(cluster)
    let missing = metadata.partitions.filter { $0.leaderId < 0 }.map(\.partitionIndex).sorted()
    metadata.partitions.removeAll { $0.leaderId < 0 }
    if let partition {
      metadata.partitions.removeAll { $0.partitionIndex != partition }
      if metadata.partitions.isEmpty {
        throw .refused(
          missing.contains(partition) ? .leaderNotAvailable : .unknownTopicOrPartition,
          about: "\(topic)-\(partition)", message: nil)
      }
    }
    // Of a topic that is partly offline, what there is; then it is no success.
    for missing in missing where partition == nil {
      StandardError.line("sluice: \(topic)-\(missing) has no leader at the moment and is left out")
    }
    var fetcher = PartitionReader(
      cluster: cluster, topic: topic, offsets: try startOffsets(metadata, cluster))
    var outage = Outage()
    while !printer.isDone, !interruption.isRequested {
      do {
        try fetcher.poll(maxWaitMs: exitAtEnd ? 0 : 500) { printer.print($0, partition: $1) }
        outage.end()
      } catch {
        printer.flush()
        if case .interrupted = error { return }
        try outage.bear(error, cluster)
        fetcher.forgetLeaders()
        continue
      }
      printer.flush()
      if exitAtEnd, fetcher.isAtEnd { break }
    }
    if partition == nil, let first = missing.first {
      throw .refused(.leaderNotAvailable, about: "\(topic)-\(first)", message: nil)
    }
  }

  /// The topic, with whatever of its partitions still has no leader after a while.
  private func readable(_ cluster: Cluster) throws(ClientError)
    -> MetadataResponse.MetadataResponseTopic
  {
    do throws(ClientError) { return try cluster.topic(topic) } catch {
      guard error.code == .leaderNotAvailable else { throw error }
      return try cluster.topic(topic, needsLeaders: false)
    }
  }

  private func startOffsets(
    _ metadata: MetadataResponse.MetadataResponseTopic, _ cluster: Cluster
  ) throws(ClientError) -> [Int32: Int64] {
    if let offset, offset >= 0 {
      return Dictionary(
        uniqueKeysWithValues: metadata.partitions.map { ($0.partitionIndex, offset) })
    }
    let latest = try OffsetQuery.offsets(of: metadata, at: .latest, cluster)
    if fromBeginning { return try OffsetQuery.offsets(of: metadata, at: .earliest, cluster) }
    if let sinceMs {
      let found = try OffsetQuery.offsets(of: metadata, at: .timestamp(sinceMs), cluster)
      return latest.merging(found) { end, start in start < 0 ? end : start }
    }
    guard let offset else { return latest }
    let earliest = try OffsetQuery.offsets(of: metadata, at: .earliest, cluster)
    return latest.merging(earliest) { end, start in max(start, end + offset) }
  }
}
