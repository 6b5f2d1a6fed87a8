// One partition of a fetch: what the client wants of it, what it was told last, and what was found.

import IPC
import Model

struct FetchTarget {
  /// Index into `FetchPartitions.topics`.
  var topic: Int32
  var partition: Int32
  var fetchOffset: Int64
  /// Never negative.
  var maxBytes: Int
  /// -1: not checked.
  var currentLeaderEpoch: Int32
  /// -1: not checked.
  var lastFetchedEpoch: Int32

  /// What the last response of the session said; -1 before the first and after an error.
  var toldHighWatermark: Int64 = -1
  var toldLogStartOffset: Int64 = -1

  /// Neighbours in the order of the fetch; -1 at the ends.
  var next: Int32 = -1
  var previous: Int32 = -1

  /// Where the partition is on the scoreboard, as found last.
  var slot = PartitionImage.noSlot
  var generation: UInt32 = 0
  /// Place in the `WaiterTable` while the fetch is parked; -1 otherwise.
  var waiter: Int32 = -1
  var found = FoundRecords()
  /// What the logwriter answered instead of a segment, during one fetch.
  var refusal: ErrorCode?

  init(
    topic: Int32, partition: Int32, fetchOffset: Int64, maxBytes: Int32, currentLeaderEpoch: Int32,
    lastFetchedEpoch: Int32
  ) {
    self.topic = topic
    self.partition = partition
    self.fetchOffset = fetchOffset
    self.maxBytes = Int(max(0, maxBytes))
    self.currentLeaderEpoch = currentLeaderEpoch
    self.lastFetchedEpoch = lastFetchedEpoch
  }

  /// Takes over what a later request of the session wants.
  mutating func update(_ other: FetchTarget) {
    fetchOffset = other.fetchOffset
    maxBytes = other.maxBytes
    currentLeaderEpoch = other.currentLeaderEpoch
    lastFetchedEpoch = other.lastFetchedEpoch
  }
}

/// What one look at a partition gave.
struct FoundRecords {
  enum State {
    /// The answer is known: an error, or records, or that there are none.
    case known
    /// The partition cannot be read just now; its error is the answer when time is up.
    case unavailable
    /// The segment that holds `wantedOffset` has to be asked for.
    case opening
    /// What tells where the records are has to be read from the disk.
    case reading
  }

  var state = State.known
  var error = ErrorCode.none
  /// The error speaks of the partition's existence, which does not end a wait.
  var isUnknown = false
  var highWatermark: Int64 = -1
  var lastStableOffset: Int64 = -1
  var logStartOffset: Int64 = -1
  /// Set when the client's last fetched epoch ended before its offset.
  var divergingEpoch: (epoch: Int32, endOffset: Int64)?
  var segment: CachedSegment?
  /// Where the records begin in the segment, and their length, in bytes.
  var position: Int64 = 0
  var count = 0
  /// They lie close to the end of the log.
  var isRecent = false
  var wantedOffset: Int64 = 0
  /// The transactions that a read_committed reader must leave out. Without records: those found so
  /// far, for the next look.
  var aborted: AbortedTransactions?

  init() {}

  init(_ error: ErrorCode, isUnknown: Bool = false) {
    self.error = error
    self.isUnknown = isUnknown
  }

  static func unavailable(_ error: ErrorCode) -> FoundRecords {
    var found = FoundRecords(error)
    found.state = .unavailable
    return found
  }

  /// An error of the partition itself, or a diverging epoch: answered without waiting.
  var endsWaiting: Bool {
    state == .known && (error != .none && !isUnknown || divergingEpoch != nil)
  }
}
