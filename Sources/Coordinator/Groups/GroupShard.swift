// One partition of `__consumer_offsets` with the groups that belong to it: what the log says, the
// sessions of live groups, and the records on their way into the log.
//
// Records are appended in order and replayed when the logwriter has answered, so the state in memory
// is always that of a prefix of the log. `endOffset` is where that prefix ends: after a restart of
// the logwriter it tells which of the unanswered records got in.

import DequeModule
import KafkaProtocol
import Model

/// Records that go into the log together, and whoever waits for them.
struct GroupAppend {
  let records: [GroupRecord]
  /// The records as they are written.
  let encoded: [(key: [UInt8], value: [UInt8]?)]
  /// Their bytes, with what a batch adds to each.
  let size: Int
  /// NONE when the records are in the log and replayed.
  let then: (ErrorCode) -> Void

  init(_ records: [GroupRecord], then: @escaping (ErrorCode) -> Void) throws(WireError) {
    var encoded: [(key: [UInt8], value: [UInt8]?)] = []
    encoded.reserveCapacity(records.count)
    for record in records { encoded.append(try record.encoded()) }
    self.records = records
    self.encoded = encoded
    self.then = then
    size = encoded.reduce(0) {
      $0 + $1.key.count + ($1.value?.count ?? 0) + Self.recordOverheadMax
    }
  }

  /// Length, attributes, deltas and lengths of a record are at most so many bytes.
  private static let recordOverheadMax = 40
}

struct GroupShard {
  enum Phase: Equatable {
    /// Its log cannot be reached and has not been read.
    case absent
    case loading
    case active
  }

  /// A batch that the logwriter has not answered.
  struct Sent {
    var number: UInt64
    var appends: [GroupAppend]
    var recordCount: Int
  }

  let partition: Int32
  var phase = Phase.absent
  /// The place that is being read while `phase` is `loading`.
  var loadingFrom: SlotRef?
  private(set) var committed = CommittedGroups()
  var sessions: [String: ClassicGroup] = [:]
  /// The offset after the last record that was replayed or passed over.
  var endOffset: Int64 = 0
  /// Not yet sent.
  var waiting: [GroupAppend] = []
  private(set) var sent: Deque<Sent> = []
  private var lastNumber: UInt64 = 0

  init(partition: Int32) { self.partition = partition }

  mutating func replay(_ record: GroupRecord) { committed.replay(record) }

  /// Takes as much of what waits as one batch has room for, at least one append, and notes it as
  /// sent.
  mutating func takeWaiting(bytesMax: Int) -> Sent? {
    guard !waiting.isEmpty else { return nil }
    var count = 0
    var taken = 0
    var size = 0
    while taken < waiting.count, taken == 0 || size + waiting[taken].size <= bytesMax {
      count += waiting[taken].records.count
      size += waiting[taken].size
      taken += 1
    }
    lastNumber += 1
    let batch = Sent(
      number: lastNumber, appends: Array(waiting[..<taken]), recordCount: count)
    waiting.removeFirst(taken)
    sent.append(batch)
    return batch
  }

  /// A batch was answered: replays it if it was appended.
  /// - Returns: whoever waits for it.
  mutating func answered(_ number: UInt64, baseOffset: Int64?) -> [GroupAppend] {
    guard let index = sent.firstIndex(where: { $0.number == number }) else { return [] }
    let batch = sent.remove(at: index)
    guard let baseOffset else { return batch.appends }
    for append in batch.appends { for record in append.records { committed.replay(record) } }
    endOffset = baseOffset + Int64(batch.recordCount)
    return batch.appends
  }

  /// After the loss of the logwriter: whether the log's end tells what became of each sent batch.
  /// - Returns: how many of them are in the log, or nil when the log is not what we think.
  func sentBatchesIn(logEndOffset: Int64) -> Int? {
    var end = endOffset
    for (index, batch) in sent.enumerated() {
      if end == logEndOffset { return index }
      end += Int64(batch.recordCount)
    }
    return end == logEndOffset ? sent.count : nil
  }

  /// Puts sent batches that did not get into the log back in front of what waits.
  mutating func sendAgain() {
    waiting = sent.flatMap(\.appends) + waiting
    sent.removeAll()
  }

  /// Gives up whatever is on its way.
  /// - Returns: whoever waits for it.
  mutating func takeUnfinished() -> [GroupAppend] {
    defer {
      sent.removeAll()
      waiting.removeAll()
    }
    return sent.flatMap(\.appends) + waiting
  }

  /// Forgets everything, to read the log anew.
  mutating func clear() {
    committed = CommittedGroups()
    sessions = [:]
    endOffset = 0
    phase = .absent
  }
}
