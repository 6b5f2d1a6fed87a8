// Reads partitions of one topic with Fetch, leader by leader, and hands out their records in order.

import KafkaProtocol
import Linux
import Model
import Records

struct PartitionReader {
  private let cluster: Cluster
  private let topic: String
  /// The next offset to read, by partition.
  private(set) var offsets: [Int32: Int64]
  private var highWatermarks: [Int32: Int64] = [:]
  private var leaders: [Int32: Int32] = [:]
  /// Which partition is asked for first: a full one must not keep the others waiting.
  private var turn = 0

  private static let fetchBytesMax: Int32 = 16 << 20
  private static let partitionBytesMax: Int32 = 4 << 20
  private static let decompressedBytesMax = 1 << 30

  init(cluster: Cluster, topic: String, offsets: [Int32: Int64]) {
    self.cluster = cluster
    self.topic = topic
    self.offsets = offsets
  }

  /// Every partition has been read up to the end known from the last fetch.
  var isAtEnd: Bool {
    offsets.allSatisfy { partition, offset in
      highWatermarks[partition].map { offset >= $0 } ?? false
    }
  }

  /// Fetches once from every leader.
  /// - Parameter take: returns false to stop; that record counts as not read.
  mutating func poll(maxWaitMs: Int32, _ take: (Record, Int32) -> Bool) throws(ClientError) {
    if leaders.isEmpty {
      for partition in try cluster.topic(topic, needsLeaders: false).partitions {
        leaders[partition.partitionIndex] = partition.leaderId
      }
    }
    turn += 1
    for (leader, partitions) in Dictionary(grouping: offsets.keys, by: { leaders[$0] ?? -1 }) {
      let sorted = partitions.sorted()
      let first = turn % sorted.count
      let request = FetchRequest(
        maxWaitMs: maxWaitMs, minBytes: 1, maxBytes: Self.fetchBytesMax,
        topics: [
          .init(
            topic: topic,
            partitions: (sorted[first...] + sorted[..<first]).map {
              .init(
                partition: $0, fetchOffset: offsets[$0] ?? 0,
                partitionMaxBytes: Self.partitionBytesMax)
            })
        ])
      let broker = try cluster.broker(node: leader)
      let response = try broker.request(request, highest: 12, waitMs: Int64(maxWaitMs))
      try response.errorCode.require(topic)
      for partition in response.responses.flatMap(\.partitions) {
        try handle(partition, broker.lastFrame, take)
      }
    }
  }

  /// Learns anew who leads what, after a broker was lost.
  mutating func forgetLeaders() { leaders.removeAll() }

  private mutating func handle(
    _ partition: FetchResponse.PartitionData, _ frame: [UInt8], _ take: (Record, Int32) -> Bool
  ) throws(ClientError) {
    let index = partition.partitionIndex
    if partition.errorCode.isTransient || partition.errorCode == .fencedLeaderEpoch {
      leaders.removeAll()
      throw .refused(.leaderNotAvailable, about: "\(topic)-\(index)", message: nil)
    }
    if partition.errorCode == .offsetOutOfRange {
      throw .refused(
        .offsetOutOfRange, about: "\(topic)-\(index)",
        message: "offset \(offsets[index] ?? 0) is not in the log")
    }
    try partition.errorCode.require("\(topic)-\(index)")
    highWatermarks[index] = partition.highWatermark
    guard let slice = partition.records?.decoded else { return }
    var next = offsets[index] ?? 0
    defer { offsets[index] = next }
    do throws(BatchRecordsError) {
      try frame.withRawBytes { raw throws(BatchRecordsError) in
        try Self.walk(UnsafeRawBufferPointer(rebasing: raw[slice.range]), &next) { take($0, index) }
      }
    } catch {
      throw .refused(.corruptMessage, about: "\(topic)-\(index)", message: "\(error)")
    }
  }

  /// Hands out the records from offset `next` on, batch by batch; a fetch may end inside a batch.
  private static func walk(
    _ bytes: UnsafeRawBufferPointer, _ next: inout Int64, _ take: (Record) -> Bool
  ) throws(BatchRecordsError) {
    var iterator = RecordBatchIterator(bytes)
    while let (header, batch) = try BatchRecords.next(&iterator) {
      if header.lastOffset < next { continue }
      guard header.checksumMatches(batch) else { throw .checksum(offset: header.baseOffset) }
      var isWanted = true
      if !header.isControlBatch {
        var reached = next
        try BatchRecords.forEach(header, batch, limit: decompressedBytesMax) { view in
          let offset = header.offset(of: view)
          guard isWanted, offset >= reached else { return }
          isWanted = take(Record(view, of: header))
          if isWanted { reached = offset + 1 }
        }
        next = reached
      }
      guard isWanted else { return }
      next = max(next, header.nextOffset)
    }
  }
}
