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
      for partition in try cluster.topic(topic).partitions {
        leaders[partition.partitionIndex] = partition.leaderId
      }
    }
    for (leader, partitions) in Dictionary(grouping: offsets.keys, by: { leaders[$0] ?? -1 }) {
      let broker = try cluster.broker(node: leader)
      let request = FetchRequest(
        maxWaitMs: maxWaitMs, minBytes: 1, maxBytes: Self.fetchBytesMax,
        topics: [
          .init(
            topic: topic,
            partitions: partitions.sorted().map {
              .init(
                partition: $0, fetchOffset: offsets[$0] ?? 0,
                partitionMaxBytes: Self.partitionBytesMax)
            })
        ])
      let response = try broker.request(request, highest: 12, waitMs: Int64(maxWaitMs))
      try response.errorCode.require(topic)
      for partition in response.responses.flatMap(\.partitions) {
        try handle(partition, broker.lastFrame, take)
      }
    }
  }

  private mutating func handle(
    _ partition: FetchResponse.PartitionData, _ frame: [UInt8], _ take: (Record, Int32) -> Bool
  ) throws(ClientError) {
    let index = partition.partitionIndex
    if partition.errorCode == .notLeaderOrFollower || partition.errorCode == .fencedLeaderEpoch {
      leaders.removeAll()
      return
    }
    try partition.errorCode.require("\(topic)-\(index)")
    highWatermarks[index] = partition.highWatermark
    guard let slice = partition.records?.decoded else { return }
    let records: [[Record]]
    do { records = try Self.batches(in: frame, slice, limit: Self.decompressedBytesMax) } catch {
      throw .refused(.corruptMessage, about: "\(topic)-\(index)", message: "\(error)")
    }
    for batch in records {
      for record in batch where record.offset >= offsets[index] ?? 0 {
        guard take(record, index) else { return }
        offsets[index] = record.offset + 1
      }
    }
    if let next = Self.nextOffset(in: frame, slice) {
      offsets[index] = max(offsets[index] ?? 0, next)
    }
  }

  /// The records of every whole batch; a fetch may end inside a batch.
  private static func batches(in frame: [UInt8], _ slice: WireSlice, limit: Int)
    throws(BatchRecordsError) -> [[Record]]
  {
    try frame.withRawBytes { raw throws(BatchRecordsError) in
      var iterator = RecordBatchIterator(UnsafeRawBufferPointer(rebasing: raw[slice.range]))
      var found: [[Record]] = []
      while let (header, batch) = try BatchRecords.next(&iterator) {
        if header.isControlBatch { continue }
        found.append(try BatchRecords.all(header, batch, limit: limit))
      }
      return found
    }
  }

  /// The offset after the last whole batch.
  private static func nextOffset(in frame: [UInt8], _ slice: WireSlice) -> Int64? {
    frame.withUnsafeBytes { raw in
      var iterator = RecordBatchIterator(UnsafeRawBufferPointer(rebasing: raw[slice.range]))
      var next: Int64?
      while let entry = try? iterator.next() { next = entry.header.nextOffset }
      return next
    }
  }
}
