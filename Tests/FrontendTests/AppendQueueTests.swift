// Entries between frontend and logwriter: answers in any order, and what a lost logwriter leaves.

import IPC
import Model
import Testing

@testable import Frontend

@Suite struct AppendQueueTests {
  private func queue(_ count: Int, isIdempotent: Bool = true) -> (AppendQueue, [PendingNumber]) {
    var queue = AppendQueue()
    queue.recovering()
    queue.recovered()
    var numbers: [PendingNumber] = []
    for index in 0..<count {
      var append = PendingAppend(request: 0, ordinal: Int32(index), acks: -1)
      append.isIdempotent = isIdempotent
      let number = queue.appends.add(append)
      queue.add(number)
      numbers.append(number)
    }
    queue.sent(count)
    return (queue, numbers)
  }

  private func answer(_ number: PendingNumber, _ baseOffset: Int64 = 0) -> AppendedEntry {
    AppendedEntry(cookie: UInt64(number), error: .none, baseOffset: baseOffset)
  }

  @Test func answersComeInAnyOrder() throws {
    var (queue, numbers) = queue(5)
    for index in [2, 0, 4, 3, 1] {
      #expect(try queue.answered(answer(numbers[index], Int64(index))) == numbers[index])
      #expect(queue.appends[numbers[index]].baseOffset == Int64(index))
    }
    #expect(queue.isIdle)
  }

  @Test func whatWasNotAskedForIsNoAnswer() throws {
    var (queue, numbers) = queue(2)
    _ = try queue.answered(answer(numbers[0]))
    for cookie in [UInt64(numbers[0]), 99, .max, UInt64(Int32.max)] {
      #expect(throws: MessageError.self) {
        try queue.answered(AppendedEntry(cookie: cookie, error: .none))
      }
    }
    // Gathered, but not sent.
    let number = queue.appends.add(PendingAppend(request: 0, ordinal: 0, acks: 1))
    queue.add(number)
    #expect(throws: MessageError.self) { try queue.answered(answer(number)) }
  }

  @Test func whatIsLeftIsSentAgainInOrder() throws {
    var (queue, numbers) = queue(6)
    for index in [3, 0] { _ = try queue.answered(answer(numbers[index])) }
    #expect(queue.lost().isEmpty)
    #expect(queue.heldCount == 4)
    queue.recovering()
    #expect(queue.releaseHeld { _ in .send(slot: 1, generation: 1) }.isEmpty)
    #expect(queue.gathered.map(\.cookie) == [1, 2, 4, 5].map { UInt64(numbers[$0]) })
  }

  @Test func withoutAProducerIdNobodyKnows() throws {
    var (queue, numbers) = queue(4, isIdempotent: false)
    _ = try queue.answered(answer(numbers[1]))
    #expect(queue.lost() == [numbers[0], numbers[2], numbers[3]])
    #expect(queue.isIdle)
  }
}
