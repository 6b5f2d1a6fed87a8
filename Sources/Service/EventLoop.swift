// The loop of every process: one thread, one epoll, one table of sources.
//
// A program names what it watches with an enum of its own (`Source`): `.listener`, `.client(3)`. The
// loop keeps that value in a slot and gives epoll the slot's number and generation, so an event
// that was already fetched for a descriptor closed in the same round is dropped, not misdelivered.
// After the events of one wait `roundEnded` runs: there a program sends what it gathered, so that
// the cost of a message or a wake-up is shared by everything that happened in the round.

import CLinux
import Glibc
import Linux

/// What a program does when something happens.
public protocol EventHandler: AnyObject {
  associatedtype Source
  /// A watched descriptor is ready.
  func ready(_ source: Source, _ readiness: Readiness)
  /// A timer has come due.
  func expired(_ source: Source)
  /// All events of a wait are handled.
  func roundEnded()
  /// SIGTERM or SIGINT: finish what is begun, then call `EventLoop.stop()`.
  func stopRequested()
  /// SIGHUP.
  func reloadRequested()
}

/// A descriptor being watched. Not valid any more after `unwatch`.
public struct Watch: Equatable, Sendable {
  @usableFromInline let slot: UInt32
  @usableFromInline let generation: UInt32

  @usableFromInline init(slot: UInt32, generation: UInt32) {
    self.slot = slot
    self.generation = generation
  }

  @usableFromInline var token: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
}

public final class EventLoop<Handler: EventHandler> {
  public typealias Source = Handler.Source

  @usableFromInline let epoll: Epoll
  @usableFromInline var slots: [Slot] = []
  @usableFromInline var freeSlots: [UInt32] = []
  @usableFromInline var timers = TimerQueue<Source>()
  @usableFromInline var isStopping = false
  private let signals: SignalFD
  private var watchdog: Watchdog
  /// What the process tells beside its work; nil for a loop that tells nothing.
  public var upkeep: Upkeep?
  /// CLOCK_MONOTONIC at the end of the last wait, in ns: the time of everything in this round.
  public private(set) var nowNs: UInt64

  @usableFromInline struct Slot {
    @usableFromInline var generation: UInt32
    @usableFromInline var descriptor: Int32
    @usableFromInline var source: Source?
  }

  private static var signalToken: UInt64 { .max }

  public init() throws(Errno) {
    epoll = try Epoll()
    signals = try SignalFD([SIGTERM, SIGINT, SIGHUP])
    nowNs = Clock.monotonicNs()
    watchdog = Watchdog(nowNs: nowNs)
    try epoll.add(signals.descriptor.rawValue, .readable, token: Self.signalToken)
    signal(SIGPIPE, SIG_IGN)
  }

  /// Watches a descriptor, which stays the caller's, until `unwatch`.
  public func watch(_ descriptor: Int32, _ interest: Readiness, _ source: Source) throws(Errno)
    -> Watch
  {
    let slot: UInt32
    if let free = freeSlots.popLast() {
      slot = free
      slots[Int(slot)].descriptor = descriptor
      slots[Int(slot)].source = source
    } else {
      slot = UInt32(slots.count)
      slots.append(Slot(generation: 1, descriptor: descriptor, source: source))
    }
    let watch = Watch(slot: slot, generation: slots[Int(slot)].generation)
    do { try epoll.add(descriptor, interest, token: watch.token) } catch {
      release(slot)
      throw error
    }
    return watch
  }

  /// Changes what a descriptor is watched for.
  public func change(_ watch: Watch, _ interest: Readiness) throws(Errno) {
    precondition(isCurrent(watch), "a watch that has ended")
    try epoll.modify(slots[Int(watch.slot)].descriptor, interest, token: watch.token)
  }

  /// Stops watching; call it before the descriptor is closed.
  public func unwatch(_ watch: Watch) throws(Errno) {
    precondition(isCurrent(watch), "a watch that has ended")
    let descriptor = slots[Int(watch.slot)].descriptor
    release(watch.slot)
    try epoll.remove(descriptor)
  }

  /// Delivers `source` to `expired` once, `afterMs` from now.
  @discardableResult
  public func schedule(afterMs: Int64, _ source: Source) -> TimerID {
    // A century and a half is for ever, and leaves the sum room.
    let afterNs = UInt64(min(max(0, afterMs), 1 << 42)) * 1_000_000
    return timers.add(deadlineNs: Clock.monotonicNs() + afterNs, source)
  }

  /// Takes a timer back; one that has come due already is ignored.
  public func cancel(_ timer: TimerID) { timers.cancel(timer) }

  /// Ends `run` after this round.
  public func stop() { isStopping = true }

  /// Waits and delivers until `stop`.
  @inlinable
  public func run(_ handler: Handler) throws(Errno) {
    while !isStopping { try round(handler, timeoutMs: timeoutMs()) }
  }

  /// One round of `run`, for a program that has a loop of its own around this one: tests drive
  /// both ends of an edge from one thread.
  /// - Parameter timeoutMs: how long to wait for an event; 0 only looks.
  @inlinable
  public func round(_ handler: Handler, timeoutMs: Int32) throws(Errno) {
    let count = try epoll.wait(timeoutMs: timeoutMs)
    beginRound(hasEvents: count > 0)
    for index in 0..<count {
      let event = epoll.event(index)
      let slot = Int(UInt32(truncatingIfNeeded: event.token))
      if slot < slots.count, slots[slot].generation == UInt32(event.token >> 32),
        let source = slots[slot].source
      {
        handler.ready(source, event.readiness)
      } else {
        try deliverSignal(event.token, handler)
      }
    }
    while let source = timers.next(nowNs: nowNs) { handler.expired(source) }
    handler.roundEnded()
  }

  @usableFromInline func beginRound(hasEvents: Bool) {
    nowNs = Clock.monotonicNs()
    if nowNs >= watchdog.dueNs { watchdog.feed(nowNs: nowNs) }
    upkeep?.round(nowNs: nowNs, hasEvents: hasEvents)
  }

  /// How long to wait for an event: until the next timer, the watchdog's turn or the upkeep's.
  @usableFromInline func timeoutMs() -> Int32 {
    let nowNs = Clock.monotonicNs()
    let timeoutMs = watchdog.limit(timers.timeoutMs(nowNs: nowNs), nowNs: nowNs)
    return upkeep?.limit(timeoutMs, nowNs: nowNs) ?? timeoutMs
  }

  @usableFromInline func deliverSignal(_ token: UInt64, _ handler: Handler) throws(Errno) {
    guard token == Self.signalToken else { return }
    while let signal = try signals.next() {
      if signal == SIGHUP { handler.reloadRequested() } else { handler.stopRequested() }
    }
  }

  private func isCurrent(_ watch: Watch) -> Bool {
    Int(watch.slot) < slots.count && slots[Int(watch.slot)].generation == watch.generation
      && slots[Int(watch.slot)].source != nil
  }

  private func release(_ slot: UInt32) {
    slots[Int(slot)].source = nil
    slots[Int(slot)].generation = (slots[Int(slot)].generation &+ 1) & 0x7FFF_FFFF
    freeSlots.append(slot)
  }
}
