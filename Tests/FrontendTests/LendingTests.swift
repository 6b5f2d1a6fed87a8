// The right to write to a socket, in every state in which a fetcher can die.
import IPC
import Testing

@testable import Frontend

@Suite struct LendingTests {
  private enum Step {
    case assign(Int)
    case begin
    case wrote(Int)
    case served(UInt64)
    /// What the kernel counts.
    case lost(UInt64, Lending.AfterLoss)
    case resume(Int)
  }

  /// What happens, and after it: are fetches open?
  private static let stories: [(String, [Step], Bool)] = [
    ("died before anything", [.assign(0), .lost(0, .nothing)], false),
    ("died idle after its own writes", [.wrote(10), .assign(0), .lost(10, .nothing)], false),
    (
      "died with a fetch, nothing written", [.wrote(10), .assign(0), .begin, .lost(10, .reassign)],
      true
    ),
    ("died in the middle of a response", [.wrote(10), .assign(0), .begin, .lost(11, .torn)], true),
    (
      "died between two responses",
      [.assign(0), .begin, .begin, .served(50), .lost(50, .reassign)], true
    ),
    (
      "died in the second response", [.assign(0), .begin, .begin, .served(50), .lost(99, .torn)],
      true
    ),
    (
      "died after a whole response it did not report", [.assign(0), .begin, .lost(50, .torn)], true
    ),
    ("died idle, served all", [.assign(0), .begin, .served(50), .lost(50, .nothing)], false),
    (
      "died idle, but wrote more than it said",
      [.assign(0), .begin, .served(50), .lost(60, .torn)], false
    ),
    (
      "the next one dies too",
      [.assign(0), .begin, .lost(0, .reassign), .assign(1), .resume(1), .lost(0, .reassign)], true
    ),
    (
      "three die in a row",
      [
        .assign(0), .begin, .lost(0, .reassign), .assign(1), .resume(1), .lost(0, .reassign),
        .assign(2), .resume(1), .lost(0, .exhausted),
      ], true
    ),
    (
      "the next one serves",
      [
        .assign(0), .begin, .begin, .lost(0, .reassign), .assign(1), .resume(2), .served(5),
        .served(6), .wrote(1), .lost(12, .nothing),
      ], false
    ),
  ]

  @Test(arguments: stories.indices) func afterEveryStory(index: Int) {
    let (name, steps, isLent) = Self.stories[index]
    var lending = Lending()
    for step in steps {
      switch step {
      case .assign(let fetcher): lending.assign(fetcher)
      case .begin: _ = lending.begin([1, 2, 3])
      case .wrote(let bytes): lending.wrote(bytes)
      case .served(let bytes):
        let frameBytes = lending.served(bytes)
        #expect(frameBytes == 3, "\(name)")
      case .lost(let written, let expected):
        let outcome = lending.lost(writtenBytes: written, lossesMax: 3)
        #expect(outcome == expected, "\(name)")
      case .resume(let count):
        let frames = lending.resume()
        #expect(frames.count == count, "\(name)")
        #expect(
          frames.map(\.carriesSocket) == [true] + frames.dropFirst().map { _ in false }, "\(name)")
      }
    }
    #expect((lending.isLent || lending.isStranded) == isLent, "\(name)")
  }

  @Test func aSocketThatIsGivenBack() {
    var lending = Lending(accountedBytes: 5, preferredInstance: 2)
    func returned(_ unanswered: UInt32, sent: UInt64 = 0, rest: [UInt8] = []) -> Int? {
      lending.returned(
        ReturnedSocket(connection: 1, unanswered: unanswered, sent: sent, rest: rest))
    }
    #expect(returned(0) == nil, "it was not lent")
    lending.assign(0)
    for _ in 0..<3 { _ = lending.begin([1, 2, 3]) }
    #expect(returned(2) == nil && returned(3, rest: [1]) == nil, "another number")
    #expect(lending.isLent)
    #expect(returned(2, sent: 10, rest: [1]) == 3)
    #expect(!lending.isLent && lending.frames.count == 2 && lending.accountedBytes == 15)
    lending.assign(1)
    #expect(lending.resume().count == 2)
    #expect(returned(2) == 0)
    #expect(lending.accountedBytes == 15)
  }

  @Test func theSocketGoesAlongOnce() {
    var lending = Lending()
    lending.assign(3)
    #expect(lending.fetcherToTell == nil)
    let along = [lending.begin([1]), lending.begin([2])]
    #expect(along == [true, false])
    #expect(lending.fetcherToTell == 3)
    let served = [lending.served(1), lending.served(1), lending.served(1)]
    #expect(served == [1, 1, nil], "the third has nothing under way")
    let left = lending.leave()
    #expect(left == 3)
    lending.assign(4)
    let again = lending.begin([3])
    #expect(again, "the next fetcher needs it")
  }

  @Test func whatMayBeginWhen() {
    func turn(_ change: (inout Turn) -> Void) -> Turn {
      var turn = Turn()
      change(&turn)
      return turn
    }
    let produces = turn {
      $0.produces = 1
      $0.produceBytes = 100
    }
    let many = turn {
      $0.produces = 1
      $0.produceBytes = Turn.produceBytesMax
    }
    let fetches = turn { $0.fetches = 1 }
    let awaiting = turn { $0.isAwaitingResponse = true }
    // What is under way, whether a produce, fetch, or other request may begin.
    let cases: [(Turn, Int, Bool, Bool, Bool)] = [
      (Turn(), 0, true, true, true), (Turn(), 1, true, false, true),
      (Turn(), Outgoing.unsentMax + 1, false, false, false), (produces, 0, true, false, false),
      (many, 0, false, false, false), (fetches, 0, false, true, false),
      (awaiting, 0, false, false, false),
    ]
    for (turn, unsent, produce, fetch, other) in cases {
      func may(_ kind: RequestKind) -> Bool {
        turn.mayBegin(kind, frameBytes: 100, unsentBytes: unsent)
      }
      #expect(may(.produce) == produce && may(.fetch) == fetch)
      #expect(may(.coordinator) == other && may(.local) == other)
    }
  }
}
