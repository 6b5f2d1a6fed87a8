// The batches that codecs open: which wait, which of them which codec has, which must be given to
// another one. A state machine: no I/O.
//
// A codec answers in the order in which it was asked. When it is lost, everything that it had goes to
// the next one, to the front of the queue. Each of those batches may be what it died of, so from then
// on each is sent alone, and one that three codecs in a row died with is given up.

import DequeModule
import IPC
import Model

/// One batch on its way to a codec and back.
struct Opening {
  let append: PendingNumber
  var entry: OpenEntry
  /// Codecs that died while they had it.
  var losses = 0

  /// It may be what a codec died of.
  var isSuspect: Bool { losses > 0 }

  /// Memory that its answer may take, bytes.
  var answerBytes: Int { entry.target == nil ? 0 : Int(entry.batchMax) }
}

struct OpeningQueue {
  /// A batch goes to so many codecs at most.
  static let lossesMax = 3
  /// What one codec may have, and what all answers that are under way may take: one batch may
  /// always go.
  static let perCodecMax = 64
  static let answerBytesMax = 64 << 20

  private(set) var openings = PendingTable<Opening>()
  private var waiting: Deque<PendingNumber> = []
  /// By the codec's place.
  private var inFlight: [Deque<PendingNumber>] = []
  private var answerBytes = 0

  var hasWaiting: Bool { !waiting.isEmpty }
  var isEmpty: Bool { openings.count == 0 }

  subscript(number: PendingNumber) -> Opening { openings[number] }

  mutating func add(_ append: PendingNumber, _ entry: OpenEntry) {
    var opening = Opening(append: append, entry: entry)
    let number = openings.add(opening)
    opening.entry.cookie = UInt64(number)
    openings[number] = opening
    waiting.append(number)
  }

  /// Takes the oldest waiting batch and the codec that is to have it; nil when none can take it now.
  /// - Parameter codecs: places of those that can be used.
  mutating func next(among codecs: [Int]) -> (codec: Int, entry: OpenEntry)? {
    guard let number = waiting.first else { return nil }
    let opening = openings[number]
    guard answerBytes == 0 || answerBytes + opening.answerBytes <= Self.answerBytesMax,
      let codec = choose(for: opening, among: codecs)
    else { return nil }
    waiting.removeFirst()
    inFlight[codec].append(number)
    answerBytes += opening.answerBytes
    return (codec, opening.entry)
  }

  private mutating func choose(for opening: Opening, among codecs: [Int]) -> Int? {
    var best: Int?
    for codec in codecs {
      while inFlight.count <= codec { inFlight.append([]) }
      let count = inFlight[codec].count
      let hasSuspect = inFlight[codec].first.map { openings[$0].isSuspect } ?? false
      guard !hasSuspect, count < (opening.isSuspect ? 1 : Self.perCodecMax) else { continue }
      if best.map({ count < inFlight[$0].count }) ?? true { best = codec }
    }
    return best
  }

  /// A codec has answered. The batch stays until `finish`.
  /// - Throws: it is not the answer to the oldest entry.
  mutating func answered(_ cookie: UInt64, by codec: Int) throws(MessageError) -> PendingNumber {
    guard codec < inFlight.count, let number = inFlight[codec].first, UInt64(number) == cookie
    else { throw MessageError("opened entry \(cookie) is not the next one") }
    inFlight[codec].removeFirst()
    return number
  }

  /// Nothing is left to be done with a batch that was answered.
  mutating func finish(_ number: PendingNumber) {
    answerBytes -= openings[number].answerBytes
    openings.remove(number)
  }

  /// A codec is gone.
  /// - Returns: the batches that are given up, for `finish`.
  mutating func lost(_ codec: Int) -> [PendingNumber] {
    guard codec < inFlight.count else { return [] }
    var given: [PendingNumber] = []
    for number in inFlight[codec].reversed() {
      openings[number].losses += 1
      if openings[number].losses < Self.lossesMax {
        answerBytes -= openings[number].answerBytes
        waiting.prepend(number)
      } else {
        given.append(number)
      }
    }
    inFlight[codec].removeAll()
    return given
  }

  /// Takes the waiting batches that `isOver` says have waited long enough, for `drop`.
  mutating func expire(_ isOver: (PendingNumber) -> Bool) -> [PendingNumber] {
    let expired = waiting.filter { isOver(openings[$0].append) }
    if !expired.isEmpty { waiting.removeAll { isOver(openings[$0].append) } }
    return Array(expired)
  }

  /// Forgets a batch that no codec has.
  mutating func drop(_ number: PendingNumber) { openings.remove(number) }
}
