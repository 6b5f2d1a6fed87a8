// The work of a codec in numbers, as `sluice status` shows them.

import IPC

struct CodecCounters {
  private var batches: UInt64 = 0
  private var recompressed: UInt64 = 0
  private var refused: UInt64 = 0
  private var bytesIn: UInt64 = 0
  private var bytesOut: UInt64 = 0

  mutating func note(_ answer: OpenedEntry, _ entry: OpenEntry) {
    batches += 1
    bytesIn += UInt64(entry.length)
    if answer.verdict != .sound { refused += 1 }
    guard let records = answer.records else { return }
    recompressed += 1
    bytesOut += UInt64(records.count)
  }

  func list(frontends: Int) -> [ProcessStatistics.Counter] {
    [
      .init("batches", batches), .init("recompressed", recompressed), .init("refused", refused),
      .init("bytes_in", bytesIn), .init("bytes_out", bytesOut),
      .level("frontends", frontends),
    ]
  }
}
