// A request between its arrival and its response.

import Service

final class ActiveFetch {
  let head: FetchHead
  let partitions: FetchPartitions
  let verdict: SessionVerdict
  let minBytes: Int
  let maxBytes: Int

  /// Bytes that the last look found.
  var bytes = 0
  /// It waits in the `WaiterTable`.
  var isParked = false
  /// Answers of the logwriter that it waits for.
  var opening = 0
  /// Helper threads read so many parts of segments that the look needs.
  var reading = 0
  /// One of them could not: what still has to be read is a partition's error.
  var hasReadError = false
  /// A helper thread reads what is to be sent next.
  var isReadingResponse = false
  var timer: TimerID?
  /// Time is up: it is answered with what there is.
  var isExpired = false
  /// The last look met something that a newer image or scoreboard may explain.
  var lacksImage = false
  /// The logwriter refused segments.
  var hasRefusals = false
  let arrivedNs: UInt64

  init(
    _ head: FetchHead, _ partitions: FetchPartitions, _ verdict: SessionVerdict,
    fetchMaxBytes: Int, nowNs: UInt64
  ) {
    arrivedNs = nowNs
    self.head = head
    self.partitions = partitions
    self.verdict = verdict
    maxBytes = min(max(0, Int(head.maxBytes)), fetchMaxBytes)
    minBytes = min(Int(head.minBytes), maxBytes)
  }

  /// What it looks for cannot be told before others have answered.
  var isOpening: Bool { opening > 0 || reading > 0 }

  /// The session that the request goes on with.
  var session: FetchSession? {
    if case .incremental(let session) = verdict { session } else { nil }
  }
}
