// Batches that codecs open, and the links to the codecs.
//
// What a codec answers is put where the batch was received if it fits there, else into a chunk of its
// own; while the slab is full the answer waits here, and as long as it does its batch counts as being
// with a codec, so that answers take a bounded amount of memory.

import IPC
import Linux
import Logging
import Model
import Records
import Service

/// Answers that wait for room in the slab.
struct UnplacedAnswer {
  let number: PendingNumber
  let records: [UInt8]
  let maxTimestamp: Int64
}

extension Frontend {
  /// Gives waiting batches to codecs.
  func sendOpenings() {
    guard produce.openings.hasWaiting else { return }
    for index in codecs.openable { openCodec(index) }
    let usable = codecs.open
    while let (index, entry) = produce.openings.next(among: usable) {
      codecs[index].gathered.append(entry)
    }
    for index in usable where !codecs[index].gathered.isEmpty {
      // Not sent: the loss comes with the link's next event, and another codec gets them.
      codecs[index].link.send(.open(codecs[index].gathered))
      codecs[index].gathered.removeAll(keepingCapacity: true)
    }
    if usable.isEmpty { scheduleOverdueCheck() }
  }

  private func openCodec(_ index: Int) {
    let codec = codecs[index]
    if let error = codec.link.open() {
      codec.isPausing = true
      log.debug("codec \(codec.instance) is not there: \(error)")
      return
    }
    codec.link.send(.attachSlab(size: UInt64(pool.size)), descriptors: [pool.slabDescriptor])
  }

  func codecRetry(_ index: Int) { codecs[index].isPausing = false }

  func codecReady(_ index: Int, _ readiness: Readiness) {
    do throws(ChannelError) {
      try codecs[index].link.ready(readiness) { message, _ throws(MessageError) in
        switch message {
        case .opened(let entries): for entry in entries { try self.opened(entry, by: index) }
        case .statistics(let statistics): self.reported(index, statistics)
        }
      }
    } catch { codecLost(index, error) }
  }

  private func codecLost(_ index: Int, _ error: ChannelError) {
    let codec = codecs[index]
    codec.isPausing = true
    log.event(
      .siblingLost,
      "codec \(codec.instance) is gone (\(error)); what it had goes to the next one",
      metadata: ["@sibling": "codec", "@siblingInstance": "\(codec.instance)"])
    for number in produce.openings.lost(index) {
      refuse(number, .fatal(codecs: OpeningQueue.lossesMax))
    }
    reported(index, nil)
  }

  // MARK: Answers

  private func opened(_ entry: OpenedEntry, by codec: Int) throws(MessageError) {
    let number = try produce.openings.answered(entry.cookie, by: codec)
    let opening = produce.openings[number]
    guard entry.verdict == .sound else {
      refuse(number, try entry.rejection(of: opening.entry), entry.faults)
      return
    }
    guard let records = entry.records else {
      guard opening.entry.target == nil else { throw MessageError("a batch without records") }
      let offset = produce.queue.appends[opening.append].offset
      produce.correct(offset, maxTimestamp: entry.maxTimestamp)
      finish(number)
      return
    }
    guard RecordBatchHeader.size + records.count <= opening.entry.batchMax else {
      throw MessageError("a batch of \(records.count) bytes, more than it may have")
    }
    counters.recompressed += 1
    let answer = UnplacedAnswer(
      number: number, records: records, maxTimestamp: entry.maxTimestamp)
    if !unplaced.isEmpty || !place(answer) { unplaced.append(answer) }
  }

  /// Puts answers into the slab that found no room before.
  func placeAnswers() {
    while let answer = unplaced.first, place(answer) { unplaced.removeFirst() }
  }

  /// - Returns: false when the slab is full.
  private func place(_ answer: UnplacedAnswer) -> Bool {
    let opening = produce.openings[answer.number]
    let append = produce.queue.appends[opening.append]
    let size = RecordBatchHeader.size + answer.records.count
    var offset = append.offset
    if size > Int(append.length) {
      guard let chunk = pool.takeNew(size) else {
        // What is open for everybody may be what stands in the way.
        pool.closeOpen()
        return false
      }
      offset = pool.tail(chunk)
      pool.advance(chunk, by: size)
      pool.retainFrame(chunk)
      pool.putBack(chunk)
      produce.queue.appends[opening.append].chunk = chunk
      produce.requests[append.request].hasOwnChunks = true
    } else {
      produce.queue.appends[opening.append].isRewritten = true
    }
    let target = UnsafeMutableRawBufferPointer(start: pool.base + offset, count: size)
    let source = UnsafeRawBufferPointer(
      start: pool.base + append.offset, count: RecordBatchHeader.size)
    guard var header = RecordBatchHeader(source) else { preconditionFailure("no header") }
    if let type = opening.entry.target {
      header.attributes = header.attributes.compressed(as: type)
    }
    header.maxTimestamp = answer.maxTimestamp
    header.writeBatch(records: answer.records, to: target)
    produce.queue.appends[opening.append].offset = offset
    produce.queue.appends[opening.append].length = Int32(size)
    finish(answer.number)
    return true
  }

  private func refuse(
    _ number: PendingNumber, _ rejection: RecordBatchRejection, _ faults: [Int32] = []
  ) {
    let append = produce.openings[number].append
    produce.queue.appends[append].refuse(rejection)
    produce.queue.appends[append].faults = faults
    let request = produce.requests[produce.queue.appends[append].request]
    if let connection = connections[request.connection] {
      note(
        .refusedRecords, "refused records of \(connection.peer): \(rejection.reason)",
        metadata: origin(of: connection).merging([
          "errorCode": "\(rejection.errorCode)"
        ]) { $1 })
    }
    finish(number)
  }

  /// Nothing is left to be done with a batch: its request may go on.
  private func finish(_ number: PendingNumber) {
    let append = produce.openings[number].append
    produce.openings.finish(number)
    counters.opened += 1
    release(append)
  }

  private func release(_ append: PendingNumber) {
    let failed = produce.queue.appends[append].error != .none
    let request = produce.queue.appends[append].request
    if failed { produce.requests[request].unanswered -= 1 }
    for number in produce.opened(append) where produce.isAnswered(number) { settle(number) }
  }

  /// Answers batches that wait for a codec when there is none.
  func expireOpenings() {
    guard produce.openings.hasWaiting, codecs.open.isEmpty else { return }
    let expired = produce.openings.expire {
      produce.requests[produce.queue.appends[$0].request].deadlineNs <= loop.nowNs
    }
    for number in expired {
      let append = produce.openings[number].append
      produce.queue.appends[append].error = .notLeaderOrFollower
      produce.openings.drop(number)
      release(append)
    }
  }
}

extension OpenedEntry {
  /// Why a batch is refused.
  fileprivate func rejection(of entry: OpenEntry) throws(MessageError) -> RecordBatchRejection {
    switch verdict {
    case .sound: throw MessageError("a sound batch is refused")
    case .corrupt: return .undecompressable
    case .decompressedTooLarge: return .decompressedTooLarge(limit: Int(entry.decompressedMax))
    case .malformedRecord: return .compressedRecord(index: Int32(clamping: detail))
    case .noKey:
      guard let first = faults.first else { throw MessageError("no record is at fault") }
      return .noKey(index: first)
    case .timestamp:
      guard let first = faults.first else { throw MessageError("no record is at fault") }
      return .timestamp(detail, index: first)
    case .recompressedTooLarge:
      return .recompressedTooLarge(size: detail, limit: Int(entry.batchMax))
    }
  }
}
