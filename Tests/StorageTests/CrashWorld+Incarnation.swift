// What a partition was given, what it has promised, and what is being put in the place of its segments.

import Model
import Records

@testable import Storage

extension CrashWorld {
  /// What was promised at some moment.
  struct Promise {
    let one: Incarnation
    let end: Int64
    let start: Int64
  }

  /// A partition as a topic id knows it: one that is deleted and created again is another.
  final class Incarnation {
    let partition: TopicPartition
    let topicId: UUID128
    /// What was ever given to the disk, in order.
    var batches: [(header: RecordBatchHeader, bytes: [UInt8])] = []
    /// What producers were told to be on disk: everything below.
    var promisedEnd: Int64 = 0
    /// What clients were told to be deleted: everything below.
    var promisedStart: Int64 = 0
    var isDeleted = false
    var sequences: [Int64: Int32] = [:]
    /// Producers with an open transaction.
    var transactions: Set<Int64> = []
    var waiting: [Int64] = []
    /// Base offsets of batches that compaction may have removed.
    var removable: Set<Int64> = []

    init(_ partition: TopicPartition, _ topicId: UUID128) {
      self.partition = partition
      self.topicId = topicId
    }

    var promise: Promise { Promise(one: self, end: promisedEnd, start: promisedStart) }

    var end: Int64 { batches.last?.header.nextOffset ?? 0 }
  }

  /// A replacement that is going on.
  struct Replacement {
    let owner: Incarnation
    let steps: SegmentReplacement
    /// Base offsets of the batches that it leaves out.
    let removed: Set<Int64>
    /// Everything below is clean when it is done.
    let endOffset: Int64
    var stepsTaken = 0
  }
}
