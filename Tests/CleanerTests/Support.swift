// A log in memory, cleaned by the real run: segments are files without names, as the logwriter hands
// them over.

import Compression
import Foundation
import IPC
import Linux
import Model
import Records
import Testing

@testable import Cleaner

/// One record to make.
struct Made {
  var key: String?
  var value: String?
  var timestamp: Int64 = 1_000
}

/// A batch as it is read back.
struct ReadBatch: Equatable {
  var header: RecordBatchHeader
  var records: [Record]
  var bytes: [UInt8]
}

struct Segment {
  var baseOffset: Int64
  var bytes: [UInt8] = []
}

/// A producer of a batch.
struct Producer {
  var id: Int64
  var epoch: Int16 = 0
  var sequence: Int32 = 0
  var isTransactional = false
}

func makeBatch(
  at baseOffset: Int64, _ records: [Made], _ compression: CompressionType = .none,
  producer: Producer? = nil, logAppendTimeMs: Int64? = nil
) throws -> [UInt8] {
  var builder = RecordBatchBuilder(baseOffset: baseOffset)
  builder.header.partitionLeaderEpoch = 5
  if let producer {
    builder.setProducer(
      id: producer.id, epoch: producer.epoch, baseSequence: producer.sequence,
      isTransactional: producer.isTransactional)
  }
  for record in records {
    builder.append(
      timestamp: record.timestamp, key: record.key.map { Array($0.utf8) },
      value: record.value.map { Array($0.utf8) },
      headers: [RecordHeader(key: "h", value: [1, 2])])
  }
  if let logAppendTimeMs {
    builder.header.attributes.timestampType = .logAppendTime
    builder.header.maxTimestamp = logAppendTimeMs
  }
  return try builder.build(compression: compression) {
    try Compression.compress($0, as: compression)
  }
}

func makeMarker(at offset: Int64, producerId: Int64, epoch: Int16 = 0, commit: Bool) -> [UInt8] {
  EndTransactionMarker(isCommit: commit, coordinatorEpoch: 1).batch(
    baseOffset: offset, timestamp: 1_000, producerId: producerId, producerEpoch: epoch)
}

func read(_ bytes: [UInt8]) throws -> [ReadBatch] {
  var found: [ReadBatch] = []
  try bytes.withUnsafeBytes { raw in
    var batches = RecordBatchIterator(raw)
    while let (header, batch) = try batches.next() {
      #expect(header.checksumMatches(batch), "the checksum at \(header.baseOffset)")
      let payload = UnsafeRawBufferPointer(rebasing: batch[RecordBatchHeader.size...])
      let type = try #require(header.compression)
      let plain =
        payload.isEmpty ? [] : try Compression.decompress(payload, as: type, limit: 1 << 24)
      let records = try plain.withUnsafeBytes { try Record.all(of: header, payload: $0) }
      found.append(ReadBatch(header: header, records: records, bytes: Array(batch)))
    }
    #expect(batches.position == raw.count, "bytes left over")
  }
  return found
}

extension ReadBatch {
  func has(_ key: String) -> Bool { records.contains { $0.key == Array(key.utf8) } }
}

/// The log and what cleaning it takes.
struct TestLog {
  var segments: [Segment]
  /// Where the active segment, which is not here, begins.
  var endOffset: Int64
  var firstDirtyOffset: Int64 = 0
  var nowMs: Int64 = 1_000_000
  var deleteRetentionMs: Int64 = 100
  var segmentBytes: Int32 = 1 << 20
  var maxMessageBytes: Int32 = 1 << 20
  var producers: [ProducerLastRecord] = []
  var aborted: [AbortedTransaction] = []
  var memory = CleaningMemory(mapBytesMax: 1 << 20, loadFactor: 0.9, bufferBytes: 128 << 10)

  /// One segment of batches that follow each other.
  init(_ batches: [[UInt8]], endOffset: Int64) {
    segments = [Segment(baseOffset: 0, bytes: Array(batches.joined()))]
    self.endOffset = endOffset
  }

  init(segments: [Segment], endOffset: Int64) {
    self.segments = segments
    self.endOffset = endOffset
  }

  var batches: [ReadBatch] { get throws { try segments.flatMap { try read($0.bytes) } } }
  var records: [Record] {
    get throws { try batches.filter { !$0.header.isControlBatch }.flatMap(\.records) }
  }
  /// `key=value` of every record, `key` alone for a tombstone.
  var texts: [String] {
    get throws {
      try records.map { record in
        let key = record.key.map { String(decoding: $0, as: UTF8.self) } ?? "-"
        return record.value.map { "\(key)=\(String(decoding: $0, as: UTF8.self))" } ?? key
      }
    }
  }

  var order: CleaningOrder {
    CleaningOrder(
      token: 1, topic: "t", partition: 0, firstDirtyOffset: firstDirtyOffset,
      endOffset: endOffset, nowMs: nowMs, deleteRetentionMs: deleteRetentionMs,
      maxMessageBytes: maxMessageBytes, segmentBytes: segmentBytes, segmentIndexBytes: 1 << 20,
      segments: segments.map {
        SegmentToClean(
          baseOffset: $0.baseOffset, size: Int64($0.bytes.count), indexSize: 0, timeIndexSize: 0)
      }, producers: producers, abortedTransactions: aborted)
  }

  /// What one cleaning did.
  struct Outcome {
    var replaced: [CleanedSegment] = []
    var endOffset: Int64 = 0
    var report = CleaningReport()
  }

  /// Cleans, and puts what comes of it in place.
  mutating func clean() throws -> Outcome {
    let run = try CleaningRun(order, memory)
    var outcome = Outcome()
    var output = FileBox(try unnamedFile())
    for _ in 0..<1_000_000 {
      switch try run.step() {
      case .work: continue
      case .segment(let baseOffset):
        let segment = try #require(segments.first { $0.baseOffset == baseOffset })
        let file = try unnamedFile()
        try File.writeAll(segment.bytes, to: file)
        run.give(segment: file)
      case .output:
        output = FileBox(try unnamedFile())
        run.give(output: try output.file.duplicate())
      case .replacement(let cleaned):
        outcome.replaced.append(cleaned)
        let bytes = try output.contents()
        #expect(Int64(bytes.count) == cleaned.size)
        // The new segment has a transaction index of its own.
        let next = segments.first { $0.baseOffset > cleaned.lastBaseOffset }
        aborted.removeAll {
          $0.lastOffset >= cleaned.baseOffset && $0.lastOffset < next?.baseOffset ?? .max
        }
        aborted += cleaned.abortedTransactions
        segments.removeAll { (cleaned.baseOffset...cleaned.lastBaseOffset).contains($0.baseOffset) }
        segments.append(Segment(baseOffset: cleaned.baseOffset, bytes: bytes))
        segments.sort { $0.baseOffset < $1.baseOffset }
      case .finished(let endOffset):
        outcome.endOffset = endOffset
        outcome.report = run.report
        firstDirtyOffset = endOffset
        return outcome
      }
    }
    throw NeverEnds()
  }
}

struct NeverEnds: Error {}

final class FileBox {
  let file: OwnedFD
  init(_ file: consuming OwnedFD) { self.file = file }

  func contents() throws -> [UInt8] {
    let size = Int(try File.status(file).size)
    var bytes = [UInt8](repeating: 0, count: size)
    let count = try bytes.withUnsafeMutableBytes { raw in
      Result<Int, Errno> { () throws(Errno) in try File.read(file, into: raw, at: 0) }
    }.get()
    #expect(count == size)
    return bytes
  }
}

func unnamedFile() throws -> OwnedFD { try File.openUnnamed(in: NSTemporaryDirectory()) }

/// Numbers that can be had again from the seed that a failing test prints.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
