// A full slab: who needs memory waits, those who were first go on first, and nobody holds it for ever.
//
// A frame gets memory as its bytes come, so clients that all send large frames may together hold
// everything while each of them needs more. When nobody who holds some gets on, the first of those who
// wait is given room for its whole frame, and the last ones lose their connections for it.

import DequeModule
import Linux
import Service

extension Frontend {
  /// How often a lack of memory is looked at, ms.
  private static var starvedCheckMs: Int64 { 1000 }
  /// How long half a frame may stall meanwhile, ms.
  private static var stalledMsMax: Int64 { 10_000 }
  /// How long nobody who holds memory may get on, ms.
  private static var deadlockMs: Int64 { 2_000 }

  func starve(_ connection: Connection) {
    if connection.isStarved { return }
    connection.isStarved = true
    counters.starved += 1
    starved.append(connection.number)
    // What is open for everybody may be what stands in the way of a long run.
    pool.closeOpen()
    schedule(.starvedCheck, afterMs: Self.starvedCheckMs, .starvedCheck)
    adjustInterest(connection)
  }

  /// Lets those who wait for memory try again, the longest waiting first, while there is some.
  func feedStarved() {
    if starved.isEmpty || pool.freeBytes < pool.size / 8 { return }
    for _ in 0..<min(starved.count, 64) {
      guard let number = starved.popFirst() else { return }
      guard let connection = connections[number] else { continue }
      connection.isStarved = false
      settle(connection)
      if !connection.inherited.isEmpty { mark(connection) }
    }
  }

  /// While memory is short, those who hold some for a frame that does not come have to go.
  func closeStalled() {
    timers.remove(.starvedCheck)
    if starved.isEmpty { return }
    let limitNs = UInt64(Self.stalledMsMax) * 1_000_000
    for connection in connections.all
    where !connection.buffer.isEmpty && !connection.isWaiting && !connection.isStarved {
      if loop.nowNs - min(connection.lastActivityNs, loop.nowNs) > limitNs {
        close(connection, .memory, "its frame stalls while memory is short")
      }
    }
    if isDeadlocked { breakDeadlock() }
    schedule(.starvedCheck, afterMs: Self.starvedCheckMs, .starvedCheck)
  }

  /// No memory will come back by itself: no frame waits for its answer or its turn, and no part of one
  /// grows.
  private var isDeadlocked: Bool {
    if pool.keptFrames > 0 { return false }
    let limitNs = UInt64(Self.deadlockMs) * 1_000_000
    for connection in connections.all where !connection.buffer.isEmpty {
      if connection.isWaiting { return false }
      if loop.nowNs - min(connection.lastActivityNs, loop.nowNs) < limitNs { return false }
    }
    return true
  }

  private func breakDeadlock() {
    guard let position = starved.firstIndex(where: { holdsMemory($0) }),
      let first = connections[starved[position]]
    else { return }
    starved.remove(at: position)
    first.isStarved = false
    while true {
      if let copied = first.buffer.settle(isWaiting: false, grantsAll: true, &pool) {
        counters.bytesCopied += UInt64(copied)
        return adjustInterest(first)
      }
      guard let last = starved.lastIndex(where: { holdsMemory($0) }),
        let victim = connections[starved[last]]
      else {
        // Nobody else holds anything, and still it does not fit.
        return close(first, .memory, "its frame does not fit into the memory that is left")
      }
      starved.remove(at: last)
      close(victim, .memory, "clients before it need the memory for their frames")
    }
  }

  private func holdsMemory(_ number: UInt64) -> Bool {
    connections[number].map { !$0.buffer.isEmpty } ?? false
  }
}
