// Deadlines in order: a binary heap over slots with generations. A cancelled timer leaves its heap
// entry behind, which is dropped when it comes to the top, so cancelling costs nothing.

/// A scheduled timer. Not valid any more once it came due or was cancelled.
public struct TimerID: Equatable, Sendable {
  let slot: Int
  let generation: UInt32
}

/// A place in the heap. Not nested in the queue: it would be generic then, and every look at the heap,
/// twice in each round of a loop, would go through tables and allocate.
private struct TimerEntry {
  var deadlineNs: UInt64
  var slot: Int
  var generation: UInt32
}

public struct TimerQueue<Source> {
  private var heap: [TimerEntry] = []
  private var generations: [UInt32] = []
  private var sources: [Source?] = []
  private var freeSlots: [Int] = []

  public init() {}

  /// Timers that are neither due nor cancelled.
  public var count: Int { sources.count - freeSlots.count }

  public mutating func add(deadlineNs: UInt64, _ source: Source) -> TimerID {
    let slot: Int
    if let free = freeSlots.popLast() {
      slot = free
      sources[slot] = source
    } else {
      slot = sources.count
      sources.append(source)
      generations.append(0)
    }
    heap.append(TimerEntry(deadlineNs: deadlineNs, slot: slot, generation: generations[slot]))
    siftUp(heap.count - 1)
    return TimerID(slot: slot, generation: generations[slot])
  }

  public mutating func cancel(_ timer: TimerID) {
    guard generations[timer.slot] == timer.generation, sources[timer.slot] != nil else { return }
    release(timer.slot)
    // Entries left behind are bounded: once they outnumber the living, rebuild.
    if heap.count > 64, heap.count > 4 * count {
      let generations = generations
      heap.removeAll { generations[$0.slot] != $0.generation }
      heap.sort { $0.deadlineNs < $1.deadlineNs }
    }
  }

  /// Takes the next timer whose deadline is not after `nowNs`.
  public mutating func next(nowNs: UInt64) -> Source? {
    if heap.isEmpty { return nil }
    dropCancelled()
    guard let top = heap.first, top.deadlineNs <= nowNs else { return nil }
    removeTop()
    let source = sources[top.slot]
    release(top.slot)
    return source
  }

  /// The time-out for a wait in ms, rounded up: -1 without timers.
  public mutating func timeoutMs(nowNs: UInt64) -> Int32 {
    if heap.isEmpty { return -1 }
    dropCancelled()
    guard let top = heap.first else { return -1 }
    if top.deadlineNs <= nowNs { return 0 }
    let (ms, rest) = (top.deadlineNs - nowNs).quotientAndRemainder(dividingBy: 1_000_000)
    return Int32(clamping: rest == 0 ? ms : ms + 1)
  }

  private mutating func dropCancelled() {
    while let top = heap.first, generations[top.slot] != top.generation { removeTop() }
  }

  private mutating func release(_ slot: Int) {
    sources[slot] = nil
    generations[slot] &+= 1
    freeSlots.append(slot)
  }

  private mutating func removeTop() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    siftDown(0)
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      if heap[parent].deadlineNs <= heap[child].deadlineNs { return }
      heap.swapAt(parent, child)
      child = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var parent = start
    while true {
      var least = parent
      let left = 2 * parent + 1
      let right = left + 1
      if left < heap.count, heap[left].deadlineNs < heap[least].deadlineNs { least = left }
      if right < heap.count, heap[right].deadlineNs < heap[least].deadlineNs { least = right }
      if least == parent { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
