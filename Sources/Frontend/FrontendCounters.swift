// The work of a frontend in numbers, as `sluice status` shows them.

import IPC

struct FrontendCounters {
  var accepted: UInt64 = 0
  var refused: UInt64 = 0
  var requests: UInt64 = 0
  var produceRequests: UInt64 = 0
  var bytesIn: UInt64 = 0
  var bytesOut: UInt64 = 0
  /// Of `bytesIn`, what was moved once because its frame did not fit where it was received.
  var bytesCopied: UInt64 = 0
  var fetchesLent: UInt64 = 0
  /// Batches that a codec opened, and those of them that it compressed anew.
  var opened: UInt64 = 0
  var recompressed: UInt64 = 0
  var forwarded: UInt64 = 0
  /// Times that a client had to wait for the slab.
  var starved: UInt64 = 0

  func list(connections: Int) -> [ProcessStatistics.Counter] {
    [
      .level("connections", connections), .init("accepted", accepted),
      .init("refused", refused), .init("requests", requests),
      .init("produce_requests", produceRequests), .init("opened", opened),
      .init("recompressed", recompressed), .init("fetches_lent", fetchesLent),
      .init("forwarded", forwarded), .init("bytes_in", bytesIn), .init("bytes_out", bytesOut),
      .init("bytes_copied", bytesCopied), .init("starved", starved),
    ]
  }
}
