// The load of a `CrashWorld`: appends, syncs that end in any order, compaction step by step, records and
// partitions that are deleted. Called by `step` only, which chooses.

import Linux
import Model
import Records

@testable import Storage

extension CrashWorld {
  func append(_ one: Incarnation) throws {
    guard let log = log(one) else { return }
    var staged: [[UInt8]] = []
    for _ in 0..<seed.int(1...3) {
      let isMarker = !one.transactions.isEmpty && seed.chance(25)
      staged.append(isMarker ? nextMarker(one) : nextBatch(one))
      let bytes = staged[staged.count - 1]
      let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 8)
      memory.copyBytes(from: bytes)
      memories.append(memory)
      let outcome = try log.stage(
        UnsafeRawBufferPointer(memory), from: isMarker ? .coordinator : .client, nowMs: nowMs)
      guard case .staged(let baseOffset, _) = outcome else {
        throw CrashFinding(
          "\(one.partition): an append in order was answered with \(outcome), \(log.failure, default: "online")"
        )
      }
      note(one, bytes, baseOffset, log.leaderEpoch)
    }
    try log.commit()
    for memory in memories { memory.deallocate() }
    memories = []
    let durability = log.flushAfterAppend(acksAll: seed.chance(60), nowMs: nowMs)
    if case .onDisk(let offset) = durability.acksAll { one.waiting.append(offset) }
  }

  private func nextBatch(_ one: Incarnation) -> [UInt8] {
    var batch = Batch(
      records: seed.int(1...4), payload: seed.int(0...300),
      timestamp: nowMs + Int64(seed.int(0...50)),
      fill: UInt8(seed.int(1...255)))
    if seed.chance(70) {
      batch.producerId = Int64(seed.int(1...5))
      // Two of them have transactions.
      batch.isTransactional = batch.producerId > 3
      if batch.isTransactional { one.transactions.insert(batch.producerId) }
      batch.epoch = 0
      batch.sequence = one.sequences[batch.producerId] ?? 0
      one.sequences[batch.producerId] = batch.sequence + Int32(batch.records)
    }
    return batch.bytes
  }

  /// The end of an open transaction.
  private func nextMarker(_ one: Incarnation) -> [UInt8] {
    let open = one.transactions.sorted()
    let id = open[seed.int(0...(open.count - 1))]
    one.transactions.remove(id)
    return EndTransactionMarker(isCommit: seed.chance(40), coordinatorEpoch: 0).batch(
      timestamp: nowMs + Int64(seed.int(0...50)), producerId: id, producerEpoch: 0)
  }

  private func note(
    _ one: Incarnation, _ bytes: [UInt8], _ baseOffset: Int64, _ leaderEpoch: Int32
  ) {
    var bytes = bytes
    bytes.withUnsafeMutableBytes {
      RecordBatchHeader.assign(
        baseOffset: baseOffset, partitionLeaderEpoch: leaderEpoch,
        in: UnsafeMutableRawBufferPointer(rebasing: $0[..<RecordBatchHeader.size]))
    }
    guard let header = bytes.withUnsafeBytes({ RecordBatchHeader($0) }) else { return }
    one.batches.append((header, bytes))
  }

  func performSyncs() {
    for _ in 0..<seed.int(1...6) where executor.begunCount > 0 {
      executor.perform(seed.int(0...(executor.begunCount - 1)))
    }
    directory?.environment.finishSyncs()
  }

  /// Takes the next step of the replacement that is going on.
  private func replace(_ going: Replacement) throws {
    replacement?.stepsTaken += 1
    // The third one makes it valid.
    if going.stepsTaken == 2 { going.owner.removable.formUnion(going.removed) }
    do throws(SegmentReplacement.Failure) {
      switch try going.steps.next() {
      case .check(let file): file.check()
      case .sync(let descriptors):
        for descriptor in descriptors {
          do throws(Errno) { try device.sync(descriptor: descriptor, dataOnly: false) } catch {
            _ = going.steps.failed(error)
          }
        }
      case nil: replacement = nil
      }
    } catch .outdated {
      replacement = nil
    } catch {
      throw CrashFinding("\(going.owner.partition): a replacement failed: \(error)")
    }
    if replacement == nil, going.steps.isRetired, seed.chance(50) {
      going.steps.log.cleaned(upTo: going.endOffset)
      try directory?.writeCleanedOffsets(durable: false)
    }
  }

  /// Begins a replacement, or goes on with one.
  func clean(_ one: Incarnation) throws {
    if let going = replacement {
      if going.owner.isDeleted { replacement = nil } else { try replace(going) }
      return
    }
    guard let log = log(one), let cleanable = try log.cleanable(nowMs: nowMs),
      cleanable.endOffset > cleanable.firstDirtyOffset
    else { return }
    let closed = log.segments.filter { $0.baseOffset < cleanable.endOffset }
    if closed.isEmpty { return }
    let first = seed.int(0...(closed.count - 1))
    let last = seed.int(first...min(first + 3, closed.count - 1))
    let file = try log.openUnnamed()
    var size: Int64 = 0
    var removed: Set<Int64> = []
    for segment in closed[first...last] {
      let path = "\(log.path)/\(LogFileName.name(.log, segment.baseOffset))"
      for batch in try Self.batches(in: path) {
        // The last one of what is cleaned stays always, as a cleaner has it.
        if seed.chance(50), batch.header.nextOffset < cleanable.endOffset {
          removed.insert(batch.header.baseOffset)
          continue
        }
        try batch.bytes.withUnsafeBytes { raw in try device.write(file, raw, at: size) }
        size += Int64(batch.bytes.count)
      }
    }
    let end = log.segments[last + 1].baseOffset
    let aborted = try log.abortedTransactions().filter {
      $0.lastOffset >= closed[first].baseOffset && $0.lastOffset < end
    }
    let steps = try SegmentReplacement(
      of: log, by: file, size: size,
      offsets: closed[first].baseOffset...closed[last].baseOffset, abortedTransactions: aborted)
    replacement = Replacement(
      owner: one, steps: steps, removed: removed, endOffset: cleanable.endOffset)
  }

  func deleteRecords(_ one: Incarnation) throws {
    guard let log = log(one), let directory else { return }
    let offset = Int64(seed.int(Int(log.logStartOffset)...Int(log.logEndOffset)))
    guard log.deleteRecords(before: offset) == .none else { return }
    // Retention deletes what is on disk only; this may be more.
    try directory.writeLogStarts(durable: true)
    one.promisedStart = max(one.promisedStart, offset)
    _ = try log.removeBreachedSegments(nowMs: nowMs)
  }

  func recreate(_ one: Incarnation) throws {
    guard let directory else { return }
    one.isDeleted = true
    try directory.delete([one.partition])
    if seed.chance(50) { performSyncs() }
    try create(one.partition.partition)
  }
}
