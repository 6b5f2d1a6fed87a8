// What all logs of a process share: the disk, the append buffer, the scanner, the bound on open
// segments, and the list of logs that failed behind their owner's back.

/// Shared by every `PartitionLog` and `LogDirectory` of a process.
public final class LogEnvironment {
  let device: LogDevice
  let buffer = AppendBuffer()
  let scanner: BatchScanner
  let openLogs: OpenLogs
  private var failed: [PartitionLog] = []

  /// - Parameter openSegmentsMax: how many active segments may be open at once; one descriptor each.
  public init(openSegmentsMax: Int, device: LogDevice = LogDevice()) {
    precondition(openSegmentsMax > 0, "no descriptor for segments")
    self.device = device
    scanner = BatchScanner(device)
    openLogs = OpenLogs(capacity: openSegmentsMax)
  }

  /// The logs that went offline since the last call.
  public func takeFailed() -> [PartitionLog] {
    if failed.isEmpty { return [] }
    defer { failed = [] }
    return failed
  }

  func noteFailure(_ log: PartitionLog) { failed.append(log) }
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
