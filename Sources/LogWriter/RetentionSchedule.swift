// When to look at which log's age and size. A look at all logs every `log.retention.check.interval.ms`
// would wake an idle broker for nothing: here only those are looked at that have been appended to or
// reconfigured since, and those whose oldest segment has become too old by what the last look found.
// Without any there is no next time. A pure value; `LogStore` does the work.

struct RetentionSchedule {
  private let intervalMs: Int64
  /// By slot: when its oldest segment is too old, ms since 1970.
  private var dueMs: [Int64] = []
  private var isTouched: [Bool] = []
  private var touched: [UInt32] = []
  private var firstDueMs = Int64.max
  /// No pass begins before.
  private var earliestMs: Int64
  /// Slots that the running pass has still to look at.
  private var looking: [UInt32] = []
  /// Slots whose log start was raised and is to be made durable.
  private var raised: [UInt32] = []
  /// Slots with segments to be removed.
  private var breached: [UInt32] = []

  /// - Parameters:
  ///   - intervalMs: passes are at least so far apart.
  ///   - earliestMs: the first one does not begin before, ms since 1970.
  init(intervalMs: Int64, earliestMs: Int64) {
    self.intervalMs = intervalMs
    self.earliestMs = earliestMs
  }

  /// When there is something to do, ms since 1970; `.max` for never.
  var wakeMs: Int64 {
    if isBusy { return 0 }
    let firstMs = touched.isEmpty ? firstDueMs : 0
    return firstMs == .max ? .max : max(firstMs, earliestMs)
  }

  private var isBusy: Bool { !looking.isEmpty || !raised.isEmpty || !breached.isEmpty }

  /// The log in `slot` is another one than at the last look.
  @inline(__always)
  mutating func touch(_ slot: UInt32) {
    if Int(slot) < isTouched.count, isTouched[Int(slot)] { return }
    addTouched(slot)
  }

  private mutating func addTouched(_ slot: UInt32) {
    while isTouched.count <= Int(slot) {
      isTouched.append(false)
      dueMs.append(.max)
    }
    isTouched[Int(slot)] = true
    touched.append(slot)
  }

  /// The next pass begins as soon as there is anything to look at.
  mutating func hasten() { earliestMs = 0 }

  enum Step: Equatable {
    /// Look at this slot; `looked` follows.
    case look(UInt32)
    /// Make the log starts of these slots durable; `madeDurable` follows.
    case makeDurable([UInt32])
    /// Remove segments of this slot.
    case remove(UInt32)
    case rest
  }

  mutating func next(nowMs: Int64) -> Step {
    if let slot = breached.popLast() { return .remove(slot) }
    if looking.isEmpty, raised.isEmpty { beginPass(nowMs) }
    if let slot = looking.popLast() { return .look(slot) }
    return raised.isEmpty ? .rest : .makeDurable(raised)
  }

  private mutating func beginPass(_ nowMs: Int64) {
    guard nowMs >= wakeMs else { return }
    if firstDueMs <= nowMs {
      for slot in dueMs.indices where dueMs[slot] <= nowMs { touch(UInt32(slot)) }
    }
    looking = touched
    touched.removeAll(keepingCapacity: true)
    for slot in looking {
      isTouched[Int(slot)] = false
      dueMs[Int(slot)] = .max
    }
    firstDueMs = dueMs.min() ?? .max
    earliestMs = nowMs + intervalMs
  }

  /// - Parameters:
  ///   - dueMs: when the oldest segment will be too old.
  ///   - wasRaised: whether there are segments below the log start now.
  mutating func looked(_ slot: UInt32, dueMs: Int64, wasRaised: Bool) {
    self.dueMs[Int(slot)] = dueMs
    firstDueMs = min(firstDueMs, dueMs)
    if wasRaised { raised.append(slot) }
  }

  /// The log starts of these slots are durable.
  mutating func madeDurable(_ slots: [UInt32]) {
    breached += slots
    raised.removeAll()
  }

  /// The log start of a slot was raised and made durable outside of a pass.
  mutating func addBreached(_ slot: UInt32) { breached.append(slot) }
}
