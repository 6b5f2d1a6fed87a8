// The timer queue against a plain list.
import Foundation
import Testing

@testable import Service

struct TimerQueueTests {
  @Test func timersComeDueInOrder() {
    var queue = TimerQueue<String>()
    #expect(queue.timeoutMs(nowNs: 0) == -1)
    _ = queue.add(deadlineNs: 3_000_000, "c")
    let b = queue.add(deadlineNs: 2_000_000, "b")
    _ = queue.add(deadlineNs: 1_500_001, "a")
    #expect(queue.timeoutMs(nowNs: 0) == 2)
    #expect(queue.timeoutMs(nowNs: 1_500_001) == 0)
    #expect(queue.next(nowNs: 1_500_000) == nil)
    #expect(queue.next(nowNs: 9_000_000) == "a")
    queue.cancel(b)
    queue.cancel(b)
    #expect(queue.count == 1)
    #expect(queue.next(nowNs: 9_000_000) == "c")
    #expect(queue.next(nowNs: 9_000_000) == nil)
    #expect(queue.count == 0)
    #expect(queue.timeoutMs(nowNs: 0) == -1)
  }

  @Test func anOldTimerDoesNotCancelItsSuccessor() {
    var queue = TimerQueue<Int>()
    let first = queue.add(deadlineNs: 1, 1)
    #expect(queue.next(nowNs: 1) == 1)
    _ = queue.add(deadlineNs: 2, 2)
    queue.cancel(first)
    #expect(queue.next(nowNs: 2) == 2)
  }

  @Test func aLongWaitIsClamped() {
    var queue = TimerQueue<Int>()
    _ = queue.add(deadlineNs: .max, 1)
    #expect(queue.timeoutMs(nowNs: 0) == .max)
  }

  @Test func randomOperationsMatchAModel() {
    let seed = UInt64.random(in: 0 ... .max)
    var generator = SplitMix(state: seed)
    var queue = TimerQueue<Int>()
    var model: [Int: (deadline: UInt64, id: TimerID)] = [:]
    var now: UInt64 = 0
    var wrong = 0
    for number in 0..<20_000 {
      switch Int.random(in: 0..<10, using: &generator) {
      case 0..<5:
        let deadline = now + UInt64.random(in: 0...5000, using: &generator)
        model[number] = (deadline, queue.add(deadlineNs: deadline, number))
      case 5..<8:
        guard let victim = model.keys.sorted().randomElement(using: &generator) else { continue }
        if let entry = model.removeValue(forKey: victim) { queue.cancel(entry.id) }
      default:
        now += UInt64.random(in: 0...2000, using: &generator)
        var last: UInt64 = 0
        while let due = queue.next(nowNs: now) {
          guard let entry = model.removeValue(forKey: due) else {
            wrong += 1
            continue
          }
          if entry.deadline > now || entry.deadline < last { wrong += 1 }
          last = entry.deadline
        }
        if model.values.contains(where: { $0.deadline <= now }) { wrong += 1 }
      }
      if queue.count != model.count { wrong += 1 }
    }
    #expect(wrong == 0, "seed \(seed)")
  }
}

struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
