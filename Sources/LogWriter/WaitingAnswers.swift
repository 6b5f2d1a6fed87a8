// Answers that wait for the disk, by slot in the order of their appends. Entries are used again, so
// that a wait allocates nothing once there have been as many at a time.

import IPC
import Model

/// Who is to get an answer, by its number among the peers of its kind.
enum Asker: Equatable {
  case frontend(Int)
  case coordinator(Int)
  /// Gone meanwhile.
  case nobody
}

struct WaitingAnswers {
  private struct Entry {
    var asker: Asker
    /// Everything below must be on disk.
    var offset: Int64
    var answer: AppendedEntry
    var next: Int32
  }

  private struct Chain {
    var first: Int32 = -1
    var last: Int32 = -1
  }

  private var entries: [Entry] = []
  private var free: [Int32] = []
  private var chains: [Chain] = []

  /// Answers that wait.
  var count: Int { entries.count - free.count }

  /// Whether an answer waits for the log in `slot`.
  func hasAny(_ slot: UInt32) -> Bool { slot < chains.count && chains[Int(slot)].first >= 0 }

  /// Adds an answer behind the others of its slot. Offsets do not decrease; one that only keeps its
  /// place in the order has offset 0.
  mutating func add(
    _ answer: AppendedEntry, for asker: Asker, slot: UInt32, until offset: Int64
  ) {
    let entry = Entry(asker: asker, offset: offset, answer: answer, next: -1)
    let index: Int32
    if let unused = free.popLast() {
      index = unused
      entries[Int(index)] = entry
    } else {
      index = Int32(entries.count)
      entries.append(entry)
    }
    while chains.count <= Int(slot) { chains.append(Chain()) }
    if chains[Int(slot)].first < 0 {
      chains[Int(slot)].first = index
    } else {
      entries[Int(chains[Int(slot)].last)].next = index
    }
    chains[Int(slot)].last = index
  }

  /// Hands out what waits for nothing above `offset`.
  mutating func release(_ slot: UInt32, upTo offset: Int64, _ body: (Asker, AppendedEntry) -> Void)
  {
    while hasAny(slot) {
      let index = Int(chains[Int(slot)].first)
      if entries[index].offset > offset { return }
      let entry = takeFirst(slot)
      body(entry.asker, entry.answer)
    }
  }

  /// Hands out all of a slot, those that would have been good with `error`.
  mutating func fail(
    _ slot: UInt32, _ error: ErrorCode, _ body: (Asker, AppendedEntry) -> Void
  ) {
    while hasAny(slot) {
      let entry = takeFirst(slot)
      let cookie = entry.answer.cookie
      body(
        entry.asker,
        entry.answer.error == .none ? AppendedEntry(cookie: cookie, error: error) : entry.answer)
    }
  }

  /// Forgets who has gone.
  mutating func forget(_ asker: Asker) {
    for index in entries.indices where entries[index].asker == asker {
      entries[index].asker = .nobody
    }
  }

  private mutating func takeFirst(_ slot: UInt32) -> Entry {
    let index = chains[Int(slot)].first
    let entry = entries[Int(index)]
    chains[Int(slot)].first = entry.next
    entries[Int(index)].asker = .nobody
    free.append(index)
    return entry
  }
}
