// What is about to be appended to one partition: copies of batch headers with their offsets filled
// in, and an iovec list of headers and records for one pwritev. One per process, of fixed capacity;
// it belongs to one partition from its first staged batch to `PartitionLog.commit`.

import Glibc
import Records

/// What the log must know of a staged batch once it is written.
struct StagedBatch {
  var baseOffset: Int64
  var lastOffset: Int64
  var maxTimestamp: Int64
  var size: Int
}

public final class AppendBuffer {
  /// Batches in one pwritev: two vectors each, and the kernel takes 1,024 (IOV_MAX).
  static let batchesMax = 512
  private static let headerStride = 64

  private let headers: UnsafeMutableRawPointer
  private let vectors: UnsafeMutablePointer<iovec>
  private let staged: UnsafeMutablePointer<StagedBatch>
  /// Behind a pointer, where no access is checked at run time: this is touched for every batch.
  private let totals: UnsafeMutablePointer<Totals>

  private struct Totals {
    var count = 0
    var size = 0
    var vectorCount = 0
  }

  public init() {
    headers = .allocate(byteCount: Self.batchesMax * Self.headerStride, alignment: 64)
    vectors = .allocate(capacity: Self.batchesMax * 2)
    staged = .allocate(capacity: Self.batchesMax)
    totals = .allocate(capacity: 1)
    totals.initialize(to: Totals())
  }

  deinit {
    headers.deallocate()
    vectors.deallocate()
    staged.deallocate()
    totals.deallocate()
  }

  @inline(__always) var count: Int { totals.pointee.count }
  /// Bytes of all staged batches.
  @inline(__always) var size: Int { totals.pointee.size }
  @inline(__always) var isEmpty: Bool { count == 0 }
  @inline(__always) var isFull: Bool { count == Self.batchesMax }

  /// Room for the header of the next batch, which is only taken by `add`.
  @inline(__always) var nextHeader: UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(
      start: headers + count * Self.headerStride, count: RecordBatchHeader.size)
  }

  @inline(__always) subscript(index: Int) -> StagedBatch { staged[index] }

  /// Takes the batch whose header is in `nextHeader` and whose records follow at `records`.
  @inline(__always) func add(_ batch: StagedBatch, records: UnsafeRawBufferPointer) {
    var next = totals.pointee
    vectors[next.vectorCount] = iovec(
      iov_base: headers + next.count * Self.headerStride, iov_len: RecordBatchHeader.size)
    next.vectorCount += 1
    if let start = records.baseAddress, records.count > 0 {
      vectors[next.vectorCount] = iovec(
        iov_base: UnsafeMutableRawPointer(mutating: start), iov_len: records.count)
      next.vectorCount += 1
    }
    staged[next.count] = batch
    next.count += 1
    next.size += batch.size
    totals.pointee = next
  }

  /// All staged bytes, to be written only.
  @inline(__always) var bytes: UnsafeBufferPointer<iovec> {
    UnsafeBufferPointer(start: vectors, count: totals.pointee.vectorCount)
  }

  @inline(__always) func removeAll() {
    totals.pointee = Totals()
  }
}
