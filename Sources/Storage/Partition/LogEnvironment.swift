// What all logs of a process share: the disk, the append buffer, the scanner, the bound on open
// segments, what is being synced, and the lists of logs of which there is news.

import Model

/// Shared by every `PartitionLog` and `LogDirectory` of a process.
public final class LogEnvironment {
  let device: LogDevice
  let buffer = AppendBuffer()
  let scanner: BatchScanner
  let openLogs: OpenLogs
  let syncs: SyncQueue
  /// Closes large files that were removed; nil has that happen on the spot.
  public var closer: (any FileCloser)?
  /// Bytes that segments have set aside since the start (`preallocate`).
  public internal(set) var bytesSetAside: UInt64 = 0
  private var failed: [PartitionLog] = []
  private var flushed: [PartitionLog] = []
  /// Logs with records that must be on disk by `flushDueMs`.
  private var timed: [PartitionLog] = []
  /// When the next flush by time is due; nil when none is.
  public private(set) var nextTimedFlushMs: Int64?
  private var grown: [PartitionLog] = []

  /// - Parameters:
  ///   - openSegmentsMax: how many active segments may be open at once; one descriptor each.
  ///   - executor: makes files durable; nil makes that happen on the spot.
  public init(
    openSegmentsMax: Int, device: LogDevice = LogDevice(), executor: (any SyncExecutor)? = nil
  ) {
    precondition(openSegmentsMax > 0, "no descriptor for segments")
    self.device = device
    syncs = SyncQueue(executor ?? InlineSyncExecutor(device))
    scanner = BatchScanner(device)
    openLogs = OpenLogs(capacity: openSegmentsMax)
  }

  /// The logs that went offline since the last call.
  public func takeFailed() -> [PartitionLog] {
    if failed.isEmpty { return [] }
    defer { failed = [] }
    return failed
  }

  /// The compacted logs of which more may be compacted since the last call: they have closed a
  /// segment, or the disk knows a later recovery point.
  public func takeCleanable() -> [PartitionLog] {
    if grown.isEmpty { return [] }
    defer { grown = [] }
    return grown
  }

  func noteCleanable(_ log: PartitionLog) {
    if log.settings.config.compacts { grown.append(log) }
  }

  /// The log is put away.
  func forgetCleanable(_ log: PartitionLog) {
    if !grown.isEmpty { grown.removeAll { $0 === log } }
  }

  func noteFailure(_ log: PartitionLog) { failed.append(log) }

  // MARK: Flushing

  /// Syncs begun since the start.
  public var syncCount: UInt64 { syncs.count }

  /// Takes in which syncs are done: recovery points move, logs fail, checkpoints go on.
  public func finishSyncs() { syncs.finish() }

  /// Calls `body` with every log whose recovery point has moved since the last call.
  public func takeFlushed(_ body: (PartitionLog) -> Void) {
    var index = 0
    while index < flushed.count {
      body(flushed[index])
      index += 1
    }
    flushed.removeAll(keepingCapacity: true)
  }

  func noteFlushed(_ log: PartitionLog) { flushed.append(log) }

  func noteTimedFlush(_ log: PartitionLog) {
    timed.append(log)
    nextTimedFlushMs = min(nextTimedFlushMs ?? .max, log.flushDueMs)
  }

  /// Begins the flushes that are due.
  /// - Parameter nowMs: of any clock that is used for `flushAfterAppend` too.
  public func beginTimedFlushes(nowMs: Int64) {
    if timed.isEmpty { return }
    for log in timed where log.flushDueMs <= nowMs { log.timedFlushIsDue() }
    timed.removeAll { $0.flushDueMs == 0 }
    nextTimedFlushMs = timed.lazy.map(\.flushDueMs).min()
  }
}

/// Which partitions have their active segment open: a clock that puts down the ones not used lately.
final class OpenLogs {
  private let capacity: Int
  private var logs: [PartitionLog] = []
  private var hand = 0

  init(capacity: Int) { self.capacity = capacity }

  var count: Int { logs.count }

  /// Makes room for `log`, which is about to open its segment.
  func admit(_ log: PartitionLog) {
    if logs.count < capacity {
      log.openIndex = logs.count
      logs.append(log)
      return
    }
    while logs[hand].wasUsed {
      logs[hand].wasUsed = false
      hand = (hand + 1) % capacity
    }
    logs[hand].openIndex = -1
    logs[hand].putDown()
    logs[hand] = log
    log.openIndex = hand
    hand = (hand + 1) % capacity
  }

  func remove(_ log: PartitionLog) {
    guard log.openIndex >= 0 else { return }
    let last = logs.count - 1
    if log.openIndex != last {
      logs[log.openIndex] = logs[last]
      logs[log.openIndex].openIndex = log.openIndex
    }
    logs.removeLast()
    log.openIndex = -1
    if hand >= logs.count { hand = 0 }
  }
}
