// Produce requests of a connection, and the link to the logwriter that appends them.

import IPC
import KafkaProtocol
import Linux
import Logging
import Model
import Records
import Service

extension Frontend {
  /// - Returns: false when the request cannot be read: its connection is closed.
  func beginProduce(_ connection: Connection, _ head: RequestHead, _ offset: Int, _ count: Int)
    -> Bool
  {
    let arrival = ProducePath.Arrival(
      connection: connection.number, chunk: connection.buffer.chunk, frameOffset: offset,
      frameCount: count, head: head, nowNs: loop.nowNs, nowMs: Clock.wallMs())
    let number: PendingNumber
    do throws(WireError) {
      number = try produce.accept(arrival) { refreshImage() }
    } catch {
      close(connection, .unreadable, "a Produce request cannot be read (\(error))")
      return false
    }
    counters.produceRequests += 1
    if let refused = produce.takeRefused() {
      note(
        .refusedRecords, "refused records of \(connection.peer): \(refused.rejection.reason)",
        metadata: origin(of: connection).merging([
          "topic": "\(refused.topic)", "partition": "\(refused.partition)",
          "errorCode": "\(refused.rejection.errorCode)",
        ]) { $1 })
    }
    pool.retainFrame(arrival.chunk)
    if connection.lastProduce >= 0 {
      produce.requests[connection.lastProduce].next = number
    } else {
      connection.firstProduce = number
    }
    connection.lastProduce = number
    connection.turn.produces += 1
    connection.turn.produceBytes += count
    if produce.isAnswered(number) { mark(connection) }
    return true
  }

  /// The connection is gone: its requests are dropped as they are answered.
  func orphanProduced(_ connection: Connection) {
    var next = connection.firstProduce
    connection.firstProduce = -1
    connection.lastProduce = -1
    while next >= 0 {
      let number = next
      next = produce.requests[number].next
      produce.requests[number].connection = 0
      if produce.isAnswered(number) { finishProduced(number) }
    }
  }

  /// Forgets an answered request and gives its memory back.
  func finishProduced(_ number: PendingNumber) {
    if produce.requests[number].hasOwnChunks {
      produce.forEachOwnChunk(of: number) { pool.releaseFrame($0) }
    }
    pool.releaseFrame(produce.requests[number].chunk)
    produce.finish(number)
  }

  /// One partition has its result.
  private func answered(_ entry: PendingNumber) {
    let number = produce.queue.appends[entry].request
    produce.requests[number].unanswered -= 1
    if produce.isAnswered(number) { settle(number) }
  }

  /// All partitions of a request have their results.
  func settle(_ number: PendingNumber) {
    if let connection = connections[produce.requests[number].connection] {
      mark(connection)
    } else {
      finishProduced(number)
    }
  }

  func failed(_ entry: PendingNumber, _ error: ErrorCode) {
    produce.queue.appends[entry].error = error
    answered(entry)
  }

  // MARK: The link

  func openLogWriter() {
    if let error = logwriter.open() {
      log.debug("the logwriter is not there: \(error)")
      return
    }
    logwriter.send(.attachSlab(size: UInt64(pool.size)), descriptors: [pool.slabDescriptor])
  }

  func logwriterReady(_ readiness: Readiness) {
    do throws(ChannelError) {
      try logwriter.ready(readiness) { message, descriptors throws(MessageError) in
        switch message {
        case .scoreboard: try self.attached(&descriptors)
        case .appended(let entries):
          for entry in entries { self.answered(try self.produce.queue.answered(entry)) }
        }
      }
    } catch { logwriterLost(error) }
  }

  private func attached(_ descriptors: inout DescriptorList) throws(MessageError) {
    guard let memory = descriptors.take(), scoreboard == nil else {
      throw MessageError("a second scoreboard")
    }
    scoreboard = try ScoreboardReader(memory)
    attachedNs = loop.nowNs
    log.info("the logwriter serves")
    produce.queue.recovering()
    checkImage()
    serveIfReady()
  }

  private func logwriterLost(_ error: ChannelError) {
    guard case .closed = error else {
      // It may still read the slab, whose memory must not be used again then.
      fail(.sibling("the logwriter: \(error)"))
      return
    }
    log.event(
      .siblingLost, "the logwriter is gone; produce requests wait for the next one",
      metadata: ["@sibling": "logwriter"])
    scoreboard = nil
    for entry in produce.queue.lost() { failed(entry, .notLeaderOrFollower) }
    if produce.queue.heldCount > 0 { scheduleOverdueCheck() }
  }

  /// Sends what was gathered, after a look at what was held.
  func sendAppends() {
    guard produce.queue.hasWork else { return }
    if produce.queue.state == .recovering { releaseHeld() }
    while !produce.queue.gathered.isEmpty {
      let count = min(produce.queue.gathered.count, AppendLimits.entriesMax)
      // Not sent: the loss comes with the link's next event and keeps them.
      guard sendGathered(count) else { return }
      produce.queue.sent(count)
    }
  }

  /// A function of its own, so that nothing else refers to the entries when they are removed.
  private func sendGathered(_ count: Int) -> Bool {
    if count == produce.queue.gathered.count {
      return logwriter.send(.append(produce.queue.gathered))
    }
    return logwriter.send(.append(Array(produce.queue.gathered.prefix(count))))
  }

  // MARK: Recovery

  /// Whether the logwriter of now knows the partition as the image has it.
  private func isCurrent(_ slot: UInt32, _ generation: UInt32) -> Bool {
    guard scoreboard != nil else { return false }
    return scoreboard?.entry(slot, generation: generation) != nil
  }

  /// After a new image or a new scoreboard: what was held may go, and once the two are of one mind
  /// nothing is held any more. Partitions that have no slot even then are offline, after a while.
  func checkImage() {
    guard produce.queue.state != .away, hasImage else { return }
    releaseHeld()
    guard produce.queue.state == .recovering else { return }
    let isPatient = loop.nowNs - attachedNs < UInt64(ProducePath.waitMsMax) * 1_000_000
    let isOfOneMind = produce.topics.allPartitions {
      isCurrent($0.slot, $0.generation) || $0.isOffline
        || (!isPatient && $0.slot == PartitionImage.noSlot)
    }
    if isOfOneMind { produce.queue.recovered() }
  }

  private func releaseHeld() {
    let failures = produce.queue.releaseHeld { append in
      if isCurrent(append.slot, append.generation) {
        return .send(slot: append.slot, generation: append.generation)
      }
      switch produce.currentPartition(of: append) {
      case .unknown: return .fail(.unknownTopicOrPartition)
      case .partition(let image) where image.isOffline: return .fail(.kafkaStorageError)
      case .partition(let image):
        return isCurrent(image.slot, image.generation)
          ? .send(slot: image.slot, generation: image.generation) : .hold
      }
    }
    for (entry, error) in failures { failed(entry, error) }
    if produce.queue.heldCount > 0 { scheduleOverdueCheck() }
  }

  func expireHeld() {
    let expired = produce.queue.expireHeld {
      produce.requests[$0.request].deadlineNs <= loop.nowNs
    }
    for entry in expired { failed(entry, .notLeaderOrFollower) }
  }
}
