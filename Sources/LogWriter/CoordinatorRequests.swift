// What the coordinator asks: partitions to create and delete, appends of its own, and reading back.

import IPC
import Linux
import Logging
import Model
import Service
import Storage

extension LogWriter {
  /// The first words to a coordinator: the scoreboard, then everything that is on disk.
  func greet(_ peer: CoordinatorPeer, _ number: Int) {
    do throws(ChannelError) {
      try peer.channel.send(
        .scoreboard(clusterId: store.clusterId),
        descriptors: [store.scoreboard.descriptor.rawValue])
      let states = store.directories.flatMap { $0.logs.values.map(store.state) }
      try peer.channel.send(.inventory(states, isLast: true))
    } catch { peer.channel.abort() }
  }

  func coordinatorReady(_ number: Int, _ readiness: Readiness) {
    guard let peer = coordinators[number] else { return }
    do {
      try peer.channel.ready(readiness) { message, _ throws(MessageError) in
        do throws(ChannelError) { try answer(message, peer, number) } catch {
          peer.channel.abort()
        }
      }
    } catch {
      context.log.event(
        .siblingLost, "the coordinator is gone: \(error.reason)",
        metadata: ["@sibling": "coordinator"])
      peer.channel.close()
      waiting.forget(.coordinator(number))
      coordinators[number] = nil
    }
  }

  func tellCoordinators(_ message: LogWriterToCoordinator) {
    for peer in coordinators.all.values {
      do throws(ChannelError) { try peer.channel.send(message) } catch { peer.channel.abort() }
    }
  }

  private func answer(
    _ message: CoordinatorToLogWriter, _ peer: CoordinatorPeer, _ number: Int
  ) throws(ChannelError) {
    switch message {
    case .createPartitions(let token, let specs):
      let isRecovering = !store.unrecovered.isEmpty
      let states = specs.map(store.create)
      // What was there already may have been dirty for long.
      for (spec, state) in zip(specs, states) where spec.config.compacts && state.error == .none {
        cleaning.touch(state.slot)
      }
      // What is told of as created is on the scoreboard.
      store.publishChanged(wake)
      store.syncNames { [unowned self] failed in
        tellCreated(states, failed, token, number)
      }
      if !isRecovering, !store.unrecovered.isEmpty { loop.schedule(afterMs: 0, .recover) }
    case .deletePartitions(let token, let names):
      let states = store.delete(names, released: released)
      cleaning.cancelOutdated()
      startSweeping()
      try peer.channel.send(.partitionsDeleted(token: token, states))
    case .configureTopic(let topicId, let config):
      store.configure(topicId: topicId, config)
      store.slots(of: topicId).forEach(cleaning.touch)
      cleaning.cancelOutdated()
    case .describeLogDirs(let token):
      try peer.channel.send(.logDirs(token: token, store.logDirs))
    case .deleteRecords(let token, let records):
      let answers = store.delete(records)
      // What is told of as deleted cannot be read any more.
      store.publishChanged(wake)
      try peer.channel.send(.recordsDeleted(token: token, answers))
    case .append(let token, let slot, let generation, let acks, let batches):
      let entry = append(batches, slot, generation, token)
      store.publishChanged(wake)
      let offset = entry.error == .none ? durableBelow(slot, generation, acks) : -1
      if offset >= 0 || (acks == -1 && waiting.hasAny(slot)) {
        waiting.add(entry, for: .coordinator(number), slot: slot, until: max(0, offset))
      } else {
        try peer.channel.send(.appended(token: token, entry))
      }
    case .openSegment(let query): try hand(openSegment(query), query, to: peer)
    case .lookUpTimestamp(let token, let slot, let generation, let timestampMs):
      let query = SegmentQuery(token: token, slot: slot, generation: generation, offset: -1)
      try hand(openSegment(query, timestampMs), query, to: peer)
    case .lookUpMaxTimestamp(let token, let slot, let generation):
      try peer.channel.send(maxTimestamp(token, slot, generation))
    case .configureBroker(let dynamic):
      context.configure(dynamic) { [unowned self] configuration in apply(configuration) }
      for cleaner in cleaners.all.values { configure(cleaner) }
    case .reportStatistics(let busiest): reportStatistics(to: peer, busiest: busiest)
    }
  }

  /// Answers `createPartitions` with what has become of the partitions by now.
  private func tellCreated(
    _ states: [PartitionState], _ failed: [(directory: LogDirectory, error: StorageError)],
    _ token: UInt64, _ number: Int
  ) {
    guard let peer = coordinators[number] else { return }
    let now = states.map { state in
      let partition = TopicPartition(topic: state.name.topic, partition: state.name.partition)
      guard state.error == .none || state.error == .leaderNotAvailable,
        let log = store.find(partition, state.name.topicId)
      else { return state }
      if let (_, error) = failed.first(where: { $0.directory === log.directory }) {
        return PartitionState(
          name: state.name, slot: PartitionImage.noSlot, generation: 0, error: .kafkaStorageError,
          detail: "\(error)")
      }
      return store.state(of: log).named(state.name)
    }
    do throws(ChannelError) {
      try peer.channel.send(.partitionsCreated(token: token, now))
    } catch { peer.channel.abort() }
  }

  private func hand(
    _ opened: consuming OpenedSegment, _ query: SegmentQuery, to peer: CoordinatorPeer
  ) throws(ChannelError) {
    switch consume opened {
    case .handle(let handle):
      let description = handle.description(query)
      try peer.channel.send(.segment(description), descriptors: handle.descriptors)
    case .refused(let error):
      try peer.channel.send(.segmentUnavailable(SegmentRefusal(query, error)))
    }
  }

  /// What an append of the coordinator waits for: everything below must be on disk; -1: nothing.
  private func durableBelow(_ slot: UInt32, _ generation: UInt32, _ acks: Int16) -> Int64 {
    guard let log = store.log(slot: slot, generation: generation) else { return -1 }
    let durability = log.flushAfterAppend(acksAll: acks == -1, nowMs: Clock.monotonicMs())
    let wanted = acks == -1 ? durability.acksAll : durability.any
    if acks != 0, case .onDisk(let offset) = wanted { return offset }
    return -1
  }

  /// Appends at once: the coordinator's records are few, and it waits for each.
  private func append(_ batches: [UInt8], _ slot: UInt32, _ generation: UInt32, _ token: UInt64)
    -> AppendedEntry
  {
    func refused(_ error: ErrorCode) -> AppendedEntry { AppendedEntry(cookie: token, error: error) }
    guard let log = store.log(slot: slot, generation: generation) else {
      return refused(.unknownTopicOrPartition)
    }
    store.appended(to: slot)
    do throws(StorageError) {
      let outcome = try store.withBallast(log.directory) { () throws(StorageError) in
        try batches.withRawBytes { raw throws(StorageError) in
          let outcome = try log.stage(raw, from: .coordinator, nowMs: Clock.wallMs())
          try log.commit()
          return outcome
        }
      }
      switch outcome {
      case .staged(let baseOffset, let logAppendTimeMs):
        return AppendedEntry(
          cookie: token, error: .none, baseOffset: baseOffset, logAppendTimeMs: logAppendTimeMs,
          logStartOffset: log.logStartOffset)
      case .duplicate(let baseOffset, _):
        return AppendedEntry(
          cookie: token, error: .none, baseOffset: baseOffset, logStartOffset: log.logStartOffset)
      case .refused(let error): return refused(error)
      case .malformed(let defect):
        store.tell(
          .siblingDropped, log.partition, "refused what the coordinator appends: \(defect.rawValue)"
        )
        return refused(.corruptMessage)
      }
    } catch {
      store.noteFailure(log, error)
      return refused(.kafkaStorageError)
    }
  }

  /// A time after the last record is answered with OFFSET_OUT_OF_RANGE.
  private func openSegment(_ query: SegmentQuery, _ timestampMs: Int64) -> OpenedSegment {
    guard let log = store.log(slot: query.slot, generation: query.generation) else {
      return .refused(.unknownTopicOrPartition)
    }
    if log.isOffline { return .refused(.kafkaStorageError) }
    do throws(StorageError) {
      guard
        let handle = try log.openSegment(atTimestamp: timestampMs, nowMs: Clock.wallMs())
      else { return .refused(.offsetOutOfRange) }
      return .handle(handle)
    } catch {
      store.tell(.partitionUnreadable, log.partition, "cannot look up a time: \(error)")
      return .refused(.kafkaStorageError)
    }
  }

  private func maxTimestamp(_ token: UInt64, _ slot: UInt32, _ generation: UInt32)
    -> LogWriterToCoordinator
  {
    func answer(_ error: ErrorCode, _ offset: Int64 = -1, _ timestampMs: Int64 = -1)
      -> LogWriterToCoordinator
    { .maxTimestamp(token: token, error: error, offset: offset, timestampMs: timestampMs) }
    guard let log = store.log(slot: slot, generation: generation) else {
      return answer(.unknownTopicOrPartition)
    }
    if log.isOffline { return answer(.kafkaStorageError) }
    do throws(StorageError) {
      guard let found = try log.maxTimestamp(nowMs: Clock.wallMs()) else { return answer(.none) }
      return answer(.none, found.offset, found.timestampMs)
    } catch {
      store.tell(.partitionUnreadable, log.partition, "cannot find the newest record: \(error)")
      return answer(.kafkaStorageError)
    }
  }
}
