// Produce requests that are not answered yet, and their partitions. Both live in tables of fixed-size
// entries that are used again, so that a request allocates nothing; numbers link them.

import IPC
import Model
import Records

/// Number of a request, or of one of its partitions, in its table.
typealias PendingNumber = Int32

/// A Produce request whose frame still lies in the slab: the answer is written from it.
struct PendingProduce {
  /// The connection's number; 0 once it is gone.
  var connection: UInt64
  var chunk: ChunkIndex
  /// The frame without its prefix, as an offset in the slab and bytes.
  var frameOffset: Int
  var frameCount: Int
  var bodyOffset: Int
  var version: Int16
  var acks: Int16
  var correlationId: Int32
  /// When whoever waits for a logwriter has waited long enough, ns of the monotonic clock.
  var deadlineNs: UInt64
  /// Its partitions, in the request's order.
  var first: PendingNumber = -1
  var last: PendingNumber = -1
  var partitionCount: Int32 = 0
  /// Partitions without a result.
  var unanswered: Int32 = 0
  /// Partitions whose batches a codec has yet to open.
  var unopened: Int32 = 0
  /// It stands in the line of its connection: nothing of it has been given to the logwriter.
  var isInLine = false
  /// Number of the connection whose line that is.
  var line: UInt64 = 0
  /// Some of its batches are in chunks of their own.
  var hasOwnChunks = false
  /// Number of the image that its slots are from.
  var image: UInt64 = 0
  /// The connection's next request.
  var next: PendingNumber = -1
}

/// One partition of a Produce request.
struct PendingAppend {
  var request: PendingNumber
  /// Its place in the request, from 0.
  var ordinal: Int32
  /// -1, 0 or 1: the request's.
  var acks: Int16
  /// The request's next partition.
  var next: PendingNumber = -1
  /// Where its batch is in the slab, and its size in bytes.
  var offset: Int = 0
  var length: Int32 = 0
  /// As the image had it when the entry was made.
  var slot: UInt32 = 0
  var generation: UInt32 = 0
  /// Its neighbours among those that were sent and are not answered, by time of sending.
  var sentBefore: PendingNumber = -1
  var sentAfter: PendingNumber = -1
  var isSent = false
  /// Logwriters that died while they had it.
  var losses = 0
  /// The batch has a producer id: the logwriter notices when it comes again.
  var isIdempotent = false
  /// A codec's answer lies where the batch was received: the request's frame is not what it was.
  var isRewritten = false
  /// The result.
  var error: ErrorCode = .none
  var baseOffset: Int64 = -1
  var logAppendTimeMs: Int64 = -1
  var logStartOffset: Int64 = -1
  var trouble = StorageTrouble.none
  /// Why the batch was refused before it went anywhere.
  var rejection: RecordBatchRejection?
  /// All records that are at fault for that, if there may be several.
  var faults: [Int32] = []
  /// A chunk of its own that the batch is in instead of the request's.
  var chunk = ChunkPool.none

  init(request: PendingNumber, ordinal: Int32, acks: Int16) {
    self.request = request
    self.ordinal = ordinal
    self.acks = acks
  }
}

extension PendingAppend {
  /// The request may be served again from its frame, whatever has become of the batch.
  var isRepeatable: Bool { isIdempotent && !isRewritten }

  mutating func refuse(_ why: RecordBatchRejection) {
    rejection = why
    error = why.errorCode
  }
}

/// Entries found by number, which is used again after `remove`.
struct PendingTable<Entry> {
  private var entries: [Entry] = []
  private var unused: [PendingNumber] = []

  var count: Int { entries.count - unused.count }

  mutating func add(_ entry: Entry) -> PendingNumber {
    if let number = unused.popLast() {
      entries[Int(number)] = entry
      return number
    }
    entries.append(entry)
    return PendingNumber(entries.count - 1)
  }

  /// Whether there is such a number, in use or not.
  func contains(_ number: PendingNumber) -> Bool { entries.indices.contains(Int(number)) }

  mutating func remove(_ number: PendingNumber) { unused.append(number) }

  subscript(number: PendingNumber) -> Entry {
    _read { yield entries[Int(number)] }
    _modify { yield &entries[Int(number)] }
  }
}
