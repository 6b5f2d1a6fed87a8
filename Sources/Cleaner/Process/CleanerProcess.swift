// The process: a link to the logwriter and at most one order. Without an order it waits for one and
// nothing wakes it. With one it does a window's worth of work in a round of the loop. Whatever it
// writes has no name: when it dies, or the link is lost, nothing is left of it.

import Configuration
import IPC
import Linux
import Logging
import Service

final class CleanerProcess: EventHandler {
  enum Source {
    case logwriter
    case logwriterRetry
    /// A timer: go on with the order.
    case work
  }

  private let context: ServiceContext
  private let loop: EventLoop<CleanerProcess>
  private let logwriter: SiblingLink<CleanerToLogWriter, LogWriterToCleaner, CleanerProcess>
  private var memory: CleaningMemory
  private var throttle: Throttle
  private var run: CleaningRun?
  /// Work is scheduled; otherwise something that was asked for is awaited.
  private var workTimer: TimerID?
  private var counts = Counts()

  private struct Counts {
    var orders: UInt64 = 0
    var failures: UInt64 = 0
    var bytesRead: UInt64 = 0
    var bytesWritten: UInt64 = 0
    var recordsRead: UInt64 = 0
    var recordsKept: UInt64 = 0

    mutating func add(_ report: CleaningReport) {
      bytesRead += report.bytesRead
      bytesWritten += report.bytesWritten
      recordsRead += report.recordsRead
      recordsKept += report.recordsKept
    }
  }

  init(_ context: ServiceContext) throws(ServiceFailure) {
    self.context = context
    memory = CleaningMemory(context.configuration)
    throttle = Throttle(bytesPerSecond: context.configuration.logCleanerIoMaxBytesPerSecond)
    do throws(Errno) { loop = try EventLoop() } catch { throw ServiceFailure(error) }
    logwriter = SiblingLink(
      path: context.socketPath(SocketName.logwriter), edge: .cleanerToLogWriter,
      instance: context.instance, loop: loop, source: .logwriter, retrySource: .logwriterRetry)
    loop.upkeep = context.upkeep
    context.upkeep.tell(
      counters: { [unowned self] in counters }, status: { [unowned self] in status + pace($0) })
  }

  /// Serves until asked to stop.
  func serve() throws(ServiceFailure) {
    open()
    context.notifyReady(status: status)
    do throws(Errno) { try loop.run(self) } catch { throw ServiceFailure(error) }
    context.notifyStopping()
  }

  /// What `systemctl status` shows, without rates.
  private var status: String {
    run.map { "compacting \($0.order.topic)-\($0.order.partition)" } ?? "nothing to compact"
  }

  private func pace(_ pace: Pace) -> String {
    pace.clause([("bytes_read", true, "read"), ("bytes_written", true, "written")])
  }

  private func open() {
    if let error = logwriter.open() {
      context.log.debug("the logwriter cannot be reached yet: \(error)")
    }
  }

  func ready(_ source: Source, _ readiness: Readiness) {
    guard case .logwriter = source else { return }
    do throws(ChannelError) {
      try logwriter.ready(readiness) { message, descriptors throws(MessageError) in
        try heard(message, &descriptors)
      }
    } catch {
      context.log.event(.siblingLost, "lost the logwriter: \(error)")
      drop()
    }
  }

  func expired(_ source: Source) {
    switch source {
    case .logwriterRetry: open()
    case .work:
      workTimer = nil
      work()
    case .logwriter: break
    }
  }

  func roundEnded() {}

  func stopRequested() { loop.stop() }

  /// What is under way goes on with the memory it has.
  func reloadRequested() {
    context.reload { [unowned self] configuration in apply(configuration) }
  }

  private func apply(_ configuration: BrokerConfiguration) {
    memory = CleaningMemory(configuration)
    throttle = Throttle(bytesPerSecond: configuration.logCleanerIoMaxBytesPerSecond)
    // It may be resting for as long as the old rate said.
    if let workTimer {
      loop.cancel(workTimer)
      self.workTimer = nil
      schedule(afterMs: 0)
    }
  }

  // MARK: The order

  private func heard(_ message: LogWriterToCleaner, _ descriptors: inout DescriptorList)
    throws(MessageError)
  {
    switch message {
    case .clean(let order):
      guard run == nil else { throw MessageError("a second order") }
      try begin(order)
    case .segment(let token, _):
      guard let file = descriptors.take(), let run, run.order.token == token else { return }
      run.give(segment: file)
      schedule(afterMs: 0)
    case .output(let token, _):
      guard let file = descriptors.take(), let run, run.order.token == token else { return }
      run.give(output: file)
      schedule(afterMs: 0)
    case .replaced(let token, _):
      guard run?.order.token == token else { return }
      schedule(afterMs: 0)
    case .cancel(let token):
      guard run?.order.token == token else { return }
      drop()
    case .reportStatistics: logwriter.send(.statistics(statistics))
    case .configureBroker(let dynamic):
      context.configure(dynamic) { [unowned self] configuration in apply(configuration) }
    }
  }

  private func begin(_ order: CleaningOrder) throws(MessageError) {
    guard let first = order.segments.first, order.endOffset > order.firstDirtyOffset,
      order.segments.allSatisfy({ $0.size >= 0 && $0.baseOffset < order.endOffset }),
      zip(order.segments, order.segments.dropFirst()).allSatisfy({ $0.baseOffset < $1.baseOffset }),
      first.baseOffset <= order.firstDirtyOffset
    else { throw MessageError("an order that makes no sense") }
    counts.orders += 1
    do throws(CleaningError) {
      run = try CleaningRun(order, memory)
      schedule(afterMs: 0)
    } catch { fail(order.token, error) }
  }

  private func schedule(afterMs: Int64) {
    if workTimer == nil { workTimer = loop.schedule(afterMs: afterMs, .work) }
  }

  private func work() {
    guard let run else { return }
    let token = run.order.token
    do throws(CleaningError) {
      switch try run.step() {
      case .work:
        schedule(afterMs: throttle.restMs(after: run.takeMoved(), nowNs: loop.nowNs))
      case .segment(let baseOffset):
        logwriter.send(.openSegment(token: token, baseOffset: baseOffset))
      case .output(let baseOffset):
        logwriter.send(.openOutput(token: token, baseOffset: baseOffset))
      case .replacement(let segment): logwriter.send(.replace(segment))
      case .finished(let endOffset): finish(run, endOffset)
      }
    } catch { fail(token, error) }
  }

  private func finish(_ run: CleaningRun, _ endOffset: Int64) {
    let report = run.report
    counts.add(report)
    let token = run.order.token
    drop()
    logwriter.send(.cleaned(token: token, endOffset: endOffset, report))
  }

  /// The logwriter tells the journal and decides when to try again.
  private func fail(_ token: UInt64, _ error: CleaningError) {
    counts.failures += 1
    drop()
    logwriter.send(.failed(token: token, reason: "\(error)"))
  }

  /// Gives up the order, its files and its memory.
  private func drop() {
    run = nil
    if let workTimer { loop.cancel(workTimer) }
    workTimer = nil
  }

  private var statistics: ProcessStatistics { context.statistics(counters) }

  /// With what the order at hand has come to so far.
  private var counters: [ProcessStatistics.Counter] {
    var counts = counts
    if let run { counts.add(run.report) }
    return [
      .init("orders", counts.orders), .init("failures", counts.failures),
      .init("bytes_read", counts.bytesRead), .init("bytes_written", counts.bytesWritten),
      .init("records_read", counts.recordsRead), .init("records_kept", counts.recordsKept),
    ]
  }
}

extension CleaningMemory {
  init(_ configuration: BrokerConfiguration) {
    self.init(
      mapBytesMax: configuration.logCleanerDedupeBufferSize,
      loadFactor: configuration.logCleanerIoBufferLoadFactor,
      bufferBytes: configuration.logCleanerIoBufferSize)
  }
}
