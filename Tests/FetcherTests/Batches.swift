// Segments made for tests: batches of a chosen size, with the offset index that Kafka would write.
import Foundation
import IPC
import Linux
import Model
import Records

@testable import Fetcher

/// A directory that goes with the test.
final class TemporaryDirectory {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "sluice-\(UUID().uuidString)"
    try File.makeDirectory(path)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A batch of `records` offsets whose whole size is `size` bytes; its payload tells its offset.
func batch(baseOffset: Int64, records: Int32 = 1, size: Int) -> [UInt8] {
  precondition(size >= RecordBatchHeader.size)
  var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: baseOffset), count: size)
  var header = RecordBatchHeader(
    baseOffset: baseOffset, lastOffsetDelta: records - 1, baseTimestamp: 1, maxTimestamp: 1,
    recordCount: records)
  header.batchLength = Int32(size - RecordBatchHeader.logOverhead)
  bytes.withUnsafeMutableBytes { header.write(to: $0) }
  return bytes
}

/// A segment on disk, with what a test wants to know of it.
final class TestSegment {
  struct Batch: Equatable {
    var baseOffset: Int64
    var lastOffset: Int64
    var position: Int64
    var size: Int
  }

  let baseOffset: Int64
  let path: String
  private(set) var batches: [Batch] = []
  private(set) var bytes: [UInt8] = []
  private var index: [UInt8] = []
  private var sinceIndexEntry = 0

  init(_ directory: TemporaryDirectory, baseOffset: Int64) throws {
    self.baseOffset = baseOffset
    path = directory.path + "/\(UUID().uuidString)"
    try write()
  }

  var size: Int64 { Int64(bytes.count) }
  var nextOffset: Int64 { batches.last.map { $0.lastOffset + 1 } ?? baseOffset }

  /// Adds batches; an index entry at the latest after 4096 bytes, as Kafka does.
  func append(_ sizes: [Int], records: Int32 = 1, skipping gap: Int64 = 0) throws {
    for size in sizes {
      let batch = Batch(
        baseOffset: nextOffset + gap, lastOffset: nextOffset + gap + Int64(records) - 1,
        position: self.size, size: size)
      if sinceIndexEntry > 4096 {
        withUnsafeBytes(of: UInt32(batch.lastOffset - baseOffset).bigEndian) { index += $0 }
        withUnsafeBytes(of: UInt32(batch.position).bigEndian) { index += $0 }
        sinceIndexEntry = 0
      }
      sinceIndexEntry += size
      bytes += batchBytes(batch.baseOffset, records, size)
      batches.append(batch)
    }
    try write()
  }

  private func batchBytes(_ baseOffset: Int64, _ records: Int32, _ size: Int) -> [UInt8] {
    batch(baseOffset: baseOffset, records: records, size: size)
  }

  private func write() throws {
    let file = try File.open(path + ".log", [.readWrite, .create])
    try File.writeAll(bytes, to: file)
    let indexFile = try File.open(path + ".index", [.readWrite, .create])
    try File.writeAll(index, to: indexFile)
  }

  /// The aborted transactions whose markers are in the segment.
  private(set) var aborted: [AbortedTransaction] = []

  /// Adds them to the transaction index, as Kafka writes it, with `tail` behind.
  func abort(_ transactions: [AbortedTransaction], tail: [UInt8] = []) throws {
    aborted += transactions
    let file = try File.open(path + ".txnindex", [.readWrite, .create])
    try File.writeAll(aborted.flatMap(Self.entry) + tail, to: file)
  }

  static func entry(_ transaction: AbortedTransaction) -> [UInt8] {
    [
      transaction.producerId, transaction.firstOffset, transaction.lastOffset,
      transaction.lastStableOffset,
    ].reduce(into: [0, 0]) { bytes, value in
      withUnsafeBytes(of: value.bigEndian) { bytes += $0 }
    }
  }

  func openTransactions() throws -> OwnedFD { try File.open(path + ".txnindex", .readOnly) }
  func openLog() throws -> OwnedFD { try File.open(path + ".log", .readOnly) }
  func openIndex() throws -> OwnedFD { try File.open(path + ".index", .readOnly) }

  /// Ends with zeros, as an index that was allocated ahead.
  func padIndex() throws {
    index += [UInt8](repeating: 0, count: 4096)
    try write()
  }

  func description(
    token: UInt64 = 0, slot: UInt32 = 0, generation: UInt32 = 1, next: Int64 = .max,
    start: Int64 = 0, index: Bool = true
  ) -> SegmentDescription {
    SegmentDescription(
      token: token, slot: slot, generation: generation, baseOffset: baseOffset,
      nextBaseOffset: next, size: size, startPosition: start, carriesIndex: index)
  }

  func cached(number: UInt64 = 1, next: Int64 = .max, index: Bool = true) throws -> CachedSegment {
    CachedSegment(
      number: number, description(next: next), log: SharedDescriptor(try openLog()),
      index: index ? SharedDescriptor(try openIndex()) : nil)
  }
}
