// The aborted transactions that overlap with what was found for a read_committed reader, as Kafka's
// UnifiedLog.collectAbortedTransactions: those in the index of the segment that is read, and in the
// indexes of later segments until an entry shows that no later one can be of interest.
//
// Every segment names the next one with an index, so those without are neither asked for nor opened. A
// segment's word on that holds for what was stable when it was given, and as long as the scoreboard
// shows that no index has grown. A look that lacks a segment keeps what it has and goes on from there
// with the next one: it needs one segment at a time, however few descriptors the cache may have.
//
// All that overlap are given, as in Kafka. That is bounded by what is read: each has a batch and a
// marker in it, but for one of each producer that was at work at the same time.

import IPC
import Model

/// What is known of the aborted transactions that overlap with a range of offsets.
final class AbortedTransactions {
  private let slot: UInt32
  private let generation: UInt32
  private let offsets: Range<Int64>
  fileprivate(set) var all: [AbortedTransaction] = []
  /// An offset in the next segment that has to be looked at; -1: in the one that is read.
  fileprivate var nextOffset: Int64 = -1
  /// Nothing is lacking, and nothing can be added: transactions below the last stable offset are over.
  fileprivate var isComplete = false

  init(slot: UInt32, generation: UInt32, _ offsets: Range<Int64>) {
    self.slot = slot
    self.generation = generation
    self.offsets = offsets
  }

  fileprivate func isOf(slot: UInt32, generation: UInt32, _ offsets: Range<Int64>) -> Bool {
    self.slot == slot && self.generation == generation && self.offsets == offsets
  }
}

extension PartitionReader {
  /// Adds to `found`, which has records, the transactions that its reader must leave out.
  /// - Parameter upper: the records are below.
  mutating func collectAborted(
    _ found: inout FoundRecords, _ target: FetchTarget, slot: UInt32, _ entry: ScoreboardEntry,
    below upper: Int64
  ) throws(SegmentFault) {
    guard var segment = found.segment, target.fetchOffset < upper else { return }
    let offsets = target.fetchOffset..<upper
    let aborted: AbortedTransactions
    if let earlier = target.found.aborted,
      earlier.isOf(slot: slot, generation: entry.generation, offsets)
    {
      aborted = earlier
    } else {
      aborted = AbortedTransactions(slot: slot, generation: entry.generation, offsets)
    }
    found.aborted = aborted
    while !aborted.isComplete {
      let place = aborted.nextOffset
      if place >= 0 {
        guard
          let next = cache.find(slot: slot, generation: entry.generation, offset: place, entry)
        else { return ask(&found, place) }
        segment = next
      }
      guard segment.knowsTransactions(below: upper, entry) else {
        return ask(&found, max(place, target.fetchOffset, segment.baseOffset))
      }
      if try add(segment, offsets, to: aborted) { break }
      let next = segment.nextTransactionIndex
      if next == .max { break }
      guard next > max(place, segment.baseOffset) else { throw .notATransaction(position: 0) }
      aborted.nextOffset = next
    }
    aborted.isComplete = true
  }

  /// Adds what the segment's own index has.
  /// - Returns: whether later ones can have nothing.
  private func add(
    _ segment: CachedSegment, _ offsets: Range<Int64>, to aborted: AbortedTransactions
  ) throws(SegmentFault) -> Bool {
    guard let index = segment.transactionIndex else { return false }
    let before = aborted.all.count
    do throws(SegmentFault) {
      return try search.aborted(
        index, segmentBase: segment.baseOffset, overlapping: offsets
      ) { aborted.all.append($0) }
    } catch {
      // One that is not in memory is begun anew.
      aborted.all.removeSubrange(before...)
      throw error
    }
  }

  /// No records are given before the logwriter has answered.
  private func ask(_ found: inout FoundRecords, _ offset: Int64) {
    found.state = .opening
    found.wantedOffset = offset
    found.segment = nil
    found.count = 0
  }
}
