// Taking turns.

import Testing

@testable import Coordinator

@Suite struct ReadQueueTests {
  @Test func aFewRunAtATimeInOrder() {
    let queue = ReadQueue()
    var started: [Int] = []
    var finish: [() -> Void] = []
    for number in 0..<100 {
      queue.add { done in
        started.append(number)
        finish.append(done)
      }
    }
    #expect(started.count == 32)
    while !finish.isEmpty { finish.removeFirst()() }
    #expect(started == Array(0..<100))
  }

  @Test func aLongQueueThatFailsAtOnceIsNotDeep() {
    let queue = ReadQueue()
    var held: [() -> Void] = []
    var count = 0
    for _ in 0..<32 { queue.add { held.append($0) } }
    for _ in 0..<300_000 {
      queue.add { done in
        count += 1
        done()
      }
    }
    #expect(count == 0)
    for done in held { done() }
    #expect(count == 300_000)
  }
}
