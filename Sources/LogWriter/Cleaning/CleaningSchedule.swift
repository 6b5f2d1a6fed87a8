// Which log is to be cleaned next. A log is looked at when something has happened to it (a segment was
// closed, its configuration changed, a cleaning ended) or when time alone will have made more of it
// cleanable; never just because time goes by. Of those that are due the dirtiest is first, as in
// Kafka's LogCleanerManager.grabFilthiestCompactedLog. One that could not be cleaned is left alone for
// a while that doubles with every failure. A pure value; `CleaningDesk` does the work.

struct CleaningSchedule {
  private struct Entry {
    /// How dirty it is; nil when it is not due.
    var dirtyRatio: Double?
    /// When to look again, ms since 1970.
    var lookMs = Int64.max
    var failures = 0
    /// Not before, ms since 1970.
    var earliestMs = Int64.min
    var isInProgress = false
  }

  /// The first pause of a log that could not be cleaned, ms.
  var backoffMs: Int64
  private var entries: [UInt32: Entry] = [:]
  private var touched: Set<UInt32> = []

  /// The longest pause, ms.
  static let backoffMsMax: Int64 = 3_600_000

  /// - Parameter backoffMs: the first pause (`log.cleaner.backoff.ms`).
  init(backoffMs: Int64) { self.backoffMs = backoffMs }

  /// Something has happened to the log in `slot`.
  mutating func touch(_ slot: UInt32) { touched.insert(slot) }

  /// The slot's partition is gone.
  mutating func forget(_ slot: UInt32) {
    entries[slot] = nil
    touched.remove(slot)
  }

  var hasTouched: Bool { !touched.isEmpty }

  /// A slot to look at; `looked` follows.
  mutating func nextToLookAt(nowMs: Int64) -> UInt32? {
    if touched.isEmpty {
      for (slot, entry) in entries where entry.lookMs <= nowMs { touched.insert(slot) }
    }
    return touched.popFirst()
  }

  /// - Parameters:
  ///   - dirtyRatio: how dirty the log is, nil when it is not due.
  ///   - againMs: when to look again whatever happens, ms since 1970; `.max` for never.
  mutating func looked(_ slot: UInt32, dirtyRatio: Double?, againMs: Int64, nowMs: Int64) {
    var entry = entries[slot] ?? Entry()
    entry.dirtyRatio = dirtyRatio
    // One that is left alone for a while is looked at again afterwards.
    entry.lookMs = nowMs < entry.earliestMs ? min(againMs, entry.earliestMs) : againMs
    let isIdle = dirtyRatio == nil && againMs == .max && entry.failures == 0
    entries[slot] = isIdle && !entry.isInProgress ? nil : entry
  }

  /// Takes the dirtiest log that is due; `ended` or `failed` follows.
  mutating func take(nowMs: Int64) -> UInt32? {
    var best: (slot: UInt32, ratio: Double)?
    for (slot, entry) in entries where !entry.isInProgress && entry.earliestMs <= nowMs {
      guard let ratio = entry.dirtyRatio else { continue }
      if ratio > best?.ratio ?? -1 { best = (slot, ratio) }
    }
    guard let slot = best?.slot else { return nil }
    entries[slot]?.isInProgress = true
    return slot
  }

  /// The cleaning of a log has ended well, or for no fault of its own: it is looked at again.
  mutating func ended(_ slot: UInt32) {
    entries[slot]?.isInProgress = false
    entries[slot]?.failures = 0
    entries[slot]?.dirtyRatio = nil
    touch(slot)
  }

  /// The log could not be cleaned.
  /// - Returns: how long it is left alone, ms.
  mutating func failed(_ slot: UInt32, nowMs: Int64) -> Int64 {
    var entry = entries[slot] ?? Entry()
    let pauseMs = min(Self.backoffMsMax, max(1, backoffMs) << Int64(min(entry.failures, 20)))
    entry.failures += 1
    entry.isInProgress = false
    entry.earliestMs = nowMs + pauseMs
    entry.lookMs = entry.earliestMs
    entry.dirtyRatio = nil
    entries[slot] = entry
    return pauseMs
  }

  /// Logs that could not be cleaned the last time.
  var failingCount: Int { entries.values.count { $0.failures > 0 } }

  /// When there is something to look at, ms since 1970; `.max` for never.
  var wakeMs: Int64 {
    touched.isEmpty ? entries.values.lazy.map(\.lookMs).min() ?? .max : 0
  }

  /// Gives every log that could not be cleaned another chance now.
  mutating func forgetFailures() {
    for (slot, entry) in entries where entry.failures > 0 && !entry.isInProgress {
      entries[slot] = nil
      touch(slot)
    }
  }
}
