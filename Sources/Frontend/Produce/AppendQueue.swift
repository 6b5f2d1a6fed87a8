// The partitions of Produce requests on their way to the logwriter and back. A state machine: no I/O.
//
// attached    entries are gathered in a round and sent in one message; answers come in any order: one
//             that waits for the disk does not hold up the others.
// away        no logwriter: entries are held. What a lost logwriter was asked for is sent again if
//             it has a producer id, because then a duplicate is noticed; else it is answered with
//             NOT_LEADER_OR_FOLLOWER, because nobody knows what became of it.
// recovering  a new logwriter serves, but the image may still name the slots of the one before: an
//             entry is held until the scoreboard has its slot and generation. Ends when the whole
//             image agrees with the scoreboard.
//
// Held entries keep their order, so the order within a partition is kept.

import DequeModule
import IPC
import Model

struct AppendQueue {
  enum State { case attached, away, recovering }

  /// An entry goes to so many logwriters at most: it may be what they die of.
  private static let lossesMax = 3

  var appends = PendingTable<PendingAppend>()
  private(set) var state = State.away
  /// To be sent at the end of the round.
  private(set) var gathered: [AppendEntry] = []
  /// Ends of the chain of entries that were sent and are not answered, the oldest first.
  private var firstSent: PendingNumber = -1
  private var lastSent: PendingNumber = -1
  private var held: Deque<PendingNumber> = []
  private var heldChanged = false

  /// Whether a partition that the image has no slot for may get one soon.
  var waitsForImage: Bool { state != .attached }

  var isIdle: Bool { gathered.isEmpty && firstSent < 0 && held.isEmpty }

  /// Entries that the logwriter has, or is about to get.
  var underWay: [PendingNumber] {
    var numbers = gathered.map { PendingNumber($0.cookie) }
    var next = firstSent
    while next >= 0 {
      numbers.append(next)
      next = appends[next].sentAfter
    }
    return numbers
  }

  /// Something is to be sent, or held entries are to be looked at.
  var hasWork: Bool { !gathered.isEmpty || (heldChanged && state == .recovering) }

  var heldCount: Int { held.count }

  mutating func add(_ number: PendingNumber) {
    if state == .attached {
      gathered.append(entry(number))
    } else {
      held.append(number)
      heldChanged = true
    }
  }

  /// What was gathered has been sent, `count` entries from the front.
  mutating func sent(_ count: Int) {
    for entry in gathered.prefix(count) { link(PendingNumber(entry.cookie)) }
    if count == gathered.count {
      gathered.removeAll(keepingCapacity: true)
    } else {
      gathered.removeFirst(count)
    }
  }

  /// The logwriter has answered.
  /// - Throws: it is no answer to an entry that was sent.
  mutating func answered(_ entry: AppendedEntry) throws(MessageError) -> PendingNumber {
    guard let number = PendingNumber(exactly: entry.cookie), appends.contains(number),
      appends[number].isSent
    else { throw MessageError("appended entry \(entry.cookie) was not asked for") }
    unlink(number)
    appends[number].error = entry.error
    appends[number].trouble = entry.trouble
    appends[number].baseOffset = entry.baseOffset
    appends[number].logAppendTimeMs = entry.logAppendTimeMs
    appends[number].logStartOffset = entry.logStartOffset
    return number
  }

  /// The logwriter is gone.
  /// - Returns: the entries whose fate nobody knows and which cannot be sent again.
  mutating func lost() -> [PendingNumber] {
    state = .away
    var failed: [PendingNumber] = []
    var kept: Deque<PendingNumber> = []
    while firstSent >= 0 {
      let number = firstSent
      unlink(number)
      appends[number].losses += 1
      if appends[number].isIdempotent, appends[number].losses < Self.lossesMax {
        kept.append(number)
      } else {
        failed.append(number)
      }
    }
    for entry in gathered { kept.append(PendingNumber(entry.cookie)) }
    gathered.removeAll(keepingCapacity: true)
    kept.append(contentsOf: held)
    held = kept
    return failed
  }

  /// A logwriter serves.
  mutating func recovering() {
    state = .recovering
    heldChanged = true
  }

  /// The image agrees with the scoreboard.
  mutating func recovered() {
    precondition(state == .recovering, "recovered from nothing")
    state = .attached
  }

  enum Fate {
    case send(slot: UInt32, generation: UInt32)
    case hold
    case fail(ErrorCode)
  }

  /// Decides about every held entry, oldest first. `decide` must not use this queue.
  /// - Returns: the entries that failed, with their error.
  mutating func releaseHeld(_ decide: (PendingAppend) -> Fate) -> [(PendingNumber, ErrorCode)] {
    heldChanged = false
    guard state != .away, !held.isEmpty else { return [] }
    var failed: [(PendingNumber, ErrorCode)] = []
    var rest: Deque<PendingNumber> = []
    for number in held {
      switch decide(appends[number]) {
      case .hold: rest.append(number)
      case .fail(let error): failed.append((number, error))
      case .send(let slot, let generation):
        appends[number].slot = slot
        appends[number].generation = generation
        gathered.append(entry(number))
      }
    }
    held = rest
    return failed
  }

  /// Gives up the held entries that `isOver` says have waited long enough.
  mutating func expireHeld(_ isOver: (PendingAppend) -> Bool) -> [PendingNumber] {
    let expired = held.filter { isOver(appends[$0]) }
    if !expired.isEmpty { held.removeAll { isOver(appends[$0]) } }
    return Array(expired)
  }

  private mutating func link(_ number: PendingNumber) {
    appends[number].isSent = true
    appends[number].sentBefore = lastSent
    appends[number].sentAfter = -1
    if lastSent >= 0 { appends[lastSent].sentAfter = number } else { firstSent = number }
    lastSent = number
  }

  private mutating func unlink(_ number: PendingNumber) {
    let (before, after) = (appends[number].sentBefore, appends[number].sentAfter)
    appends[number].isSent = false
    if before >= 0 { appends[before].sentAfter = after } else { firstSent = after }
    if after >= 0 { appends[after].sentBefore = before } else { lastSent = before }
  }

  private func entry(_ number: PendingNumber) -> AppendEntry {
    let append = appends[number]
    return AppendEntry(
      cookie: UInt64(number), slot: append.slot, generation: append.generation,
      offset: UInt64(append.offset), length: UInt32(append.length), acks: append.acks)
  }
}
