// The appends of one round of the loop: gathered from all frontends, then written partition by
// partition, each with one pwritev, then answered in the order they came, but for those that wait for
// the disk. What has to be synced is on its way as soon as its partition is written, while the loop
// goes on with the next.
//
// Entries of one slot form a chain through `next`; so grouping costs no sorting and no allocation
// once the arrays have grown to the size of a busy round.

import IPC
import Linux
import Model
import Storage

struct AppendRound {
  private struct Pending {
    var frontend: Int
    var entry: AppendEntry
    var next: Int32
    var answer: AppendedEntry
    /// The answer waits until everything below is on disk; -1: for nothing.
    var durableBelow: Int64 = -1
  }

  /// First and last entry of a slot's chain, -1 when it has none.
  private struct Chain {
    var first: Int32 = -1
    var last: Int32 = -1
  }

  private var pending: [Pending] = []
  private var chains: [Chain] = []
  private var slots: [UInt32] = []
  private(set) var entriesWritten: UInt64 = 0
  private(set) var recordsWritten: UInt64 = 0
  private(set) var bytesWritten: UInt64 = 0
  private(set) var commits: UInt64 = 0

  var isEmpty: Bool { pending.isEmpty }

  mutating func add(_ entries: [AppendEntry], from frontend: Int) {
    for entry in entries {
      let index = Int32(pending.count)
      pending.append(
        Pending(
          frontend: frontend, entry: entry, next: -1,
          answer: AppendedEntry(cookie: entry.cookie, error: .unknownTopicOrPartition)))
      let slot = Int(entry.slot)
      guard slot < ScoreboardLayout.capacity else { continue }
      while chains.count <= slot { chains.append(Chain()) }
      if chains[slot].first < 0 {
        chains[slot].first = index
        slots.append(entry.slot)
      } else {
        pending[Int(chains[slot].last)].next = index
      }
      chains[slot].last = index
    }
  }

  /// Forgets what a frontend that is gone had asked for.
  mutating func forget(frontend: Int) {
    for index in pending.indices where pending[index].frontend == frontend {
      pending[index].frontend = -1
    }
  }

  /// Writes everything.
  /// - Parameters:
  ///   - frontend: the peer of a number, nil when it is gone.
  ///   - broken: a frontend whose entry is no batch, and which rule it broke.
  ///   - failed: a log that could not be written.
  mutating func write(
    to store: LogStore, frontend: (Int) -> FrontendPeer?, broken: (Int, String) -> Void,
    failed: (PartitionLog, StorageError) -> Void
  ) {
    let nowMs = Clock.wallMs()
    for slot in slots {
      var index = chains[Int(slot)].first
      chains[Int(slot)] = Chain()
      while index >= 0 {
        // A chain may hold entries of more than one generation, of which at most one is current.
        let generation = pending[Int(index)].entry.generation
        let start = index
        while index >= 0, pending[Int(index)].entry.generation == generation {
          index = pending[Int(index)].next
        }
        guard let log = store.log(slot: slot, generation: generation) else { continue }
        if log.directory.isLow, !log.isOffline {
          refuse(start, upTo: index, .lowOnSpace)
          continue
        }
        let (bytesBefore, endBefore) = (bytesWritten, log.logEndOffset)
        writeRun(start, upTo: index, log, nowMs, frontend, broken, failed)
        let records = UInt64(max(0, log.logEndOffset - endBefore))
        recordsWritten += records
        if records > 0 {
          store.noteWork(slot, bytes: bytesWritten - bytesBefore, records: records)
        }
        store.appended(to: slot)
      }
    }
    slots.removeAll(keepingCapacity: true)
  }

  /// Hands every answer to its frontend, or to those that wait, and ends the round.
  mutating func answer(_ waiting: inout WaitingAnswers, _ frontend: (Int) -> FrontendPeer?) {
    for item in pending {
      let slot = item.entry.slot
      // Of acks=all none overtakes another of its partition.
      if item.durableBelow >= 0 || (item.entry.acks == -1 && waiting.hasAny(slot)) {
        waiting.add(
          item.answer, for: .frontend(item.frontend), slot: slot,
          until: max(0, item.durableBelow))
      } else {
        frontend(item.frontend)?.answers.append(item.answer)
      }
    }
    pending.removeAll(keepingCapacity: true)
  }

  private mutating func writeRun(
    _ start: Int32, upTo end: Int32, _ log: PartitionLog, _ nowMs: Int64,
    _ frontend: (Int) -> FrontendPeer?, _ broken: (Int, String) -> Void,
    _ failed: (PartitionLog, StorageError) -> Void
  ) {
    var index = start
    var trouble = StorageTrouble.none
    do throws(StorageError) {
      while index != end {
        let item = pending[Int(index)]
        pending[Int(index)].answer.logStartOffset = log.logStartOffset
        if let peer = frontend(item.frontend) {
          if let bytes = peer.slab?.bytes(offset: item.entry.offset, length: item.entry.length) {
            try stage(bytes, Int(index), log, nowMs, broken)
          } else {
            broken(item.frontend, "an append outside its slab")
          }
        }
        index = item.next
      }
      try log.commit()
    } catch {
      // Nothing more of this run is tried: a later batch must not take the offset of a lost one.
      failed(log, error)
      trouble = error.isOutOfSpace ? .full : .offline
      refuse(index, upTo: end, trouble)
    }
    commits += 1
    settle(start, upTo: end, log, trouble)
    flush(start, upTo: end, log)
  }

  /// Begins what the topic wants on disk, and notes who waits for it.
  private mutating func flush(_ start: Int32, upTo end: Int32, _ log: PartitionLog) {
    var acksAll = false
    var index = start
    while index != end {
      let item = pending[Int(index)]
      if item.answer.error == .none, item.entry.acks == -1 { acksAll = true }
      index = item.next
    }
    let durability = log.flushAfterAppend(acksAll: acksAll, nowMs: Clock.monotonicMs())
    if durability.acksAll == .written { return }
    index = start
    while index != end {
      let item = pending[Int(index)]
      let wanted = item.entry.acks == -1 ? durability.acksAll : durability.any
      if item.answer.error == .none, item.entry.acks != 0, case .onDisk(let offset) = wanted {
        pending[Int(index)].durableBelow = offset
      }
      index = item.next
    }
  }

  private mutating func stage(
    _ bytes: UnsafeRawBufferPointer, _ index: Int, _ log: PartitionLog, _ nowMs: Int64,
    _ broken: (Int, String) -> Void
  ) throws(StorageError) {
    switch try log.stage(bytes, from: .client, nowMs: nowMs) {
    case .staged(let baseOffset, let logAppendTimeMs):
      pending[index].answer.error = .none
      pending[index].answer.baseOffset = baseOffset
      pending[index].answer.logAppendTimeMs = logAppendTimeMs
    case .duplicate(let baseOffset, let timestampMs):
      pending[index].answer.error = .none
      pending[index].answer.baseOffset = baseOffset
      pending[index].answer.logAppendTimeMs = timestampMs
    case .refused(let error):
      pending[index].answer.error = error
      if log.isOffline { pending[index].answer.trouble = .offline }
    case .malformed(let defect):
      pending[index].answer.error = .corruptMessage
      broken(pending[index].frontend, defect.rawValue)
    }
  }

  private mutating func refuse(_ start: Int32, upTo end: Int32, _ trouble: StorageTrouble) {
    var index = start
    while index != end {
      pending[Int(index)].answer.error = .kafkaStorageError
      pending[Int(index)].answer.trouble = trouble
      index = pending[Int(index)].next
    }
  }

  /// After a failed write the log's end tells which of the staged batches are in it.
  private mutating func settle(
    _ start: Int32, upTo end: Int32, _ log: PartitionLog, _ trouble: StorageTrouble
  ) {
    var index = start
    while index != end {
      let item = pending[Int(index)]
      if item.answer.error == .none {
        if item.answer.baseOffset >= log.logEndOffset {
          pending[Int(index)].answer = AppendedEntry(
            cookie: item.entry.cookie, error: .kafkaStorageError, trouble: trouble)
        } else {
          entriesWritten += 1
          bytesWritten += UInt64(item.entry.length)
        }
      }
      index = item.next
    }
  }
}
