// Appending: check, assign offsets, write once.
//
// In the steady state an append makes one system call, the pwritev of `commit`, and allocates
// nothing. `stage` reads each batch's header once, into its own copy: the memory may belong to a
// process that changes it meanwhile. The records are never looked at.

import Linux
import Model
import Records

/// Who made the batches.
public enum AppendOrigin: Sendable {
  /// A producer: one batch a run, all of Kafka's rules.
  case client
  /// The coordinator of this broker: offset commits and markers, without sequence numbers.
  case coordinator
}

/// What became of a run of batches.
public enum AppendOutcome: Equatable, Sendable {
  /// It will be at `baseOffset` when `commit` returns. The time is -1 unless the topic has
  /// LogAppendTime.
  case staged(baseOffset: Int64, logAppendTimeMs: Int64)
  /// The producer has sent this batch before; it is at `baseOffset`.
  case duplicate(baseOffset: Int64, timestampMs: Int64)
  /// Nothing was staged; the client is told why.
  case refused(ErrorCode)
  /// These are no batches: whoever sent them was to have checked that.
  case malformed(AppendDefect)
}

/// What is wrong with bytes that should be batches.
public enum AppendDefect: String, Sendable {
  case tooShort = "a batch too short for its header"
  case format = "a batch of another format than 2"
  case length = "a batch of another length than announced"
  case notOne = "more than one batch of a producer"
  case offsets = "a batch whose offsets do not match its number of records"
  case marker = "a control batch that ends no transaction"
}

extension PartitionLog {
  /// Prepares batches for the next `commit`. All runs of one partition are staged before another
  /// partition's, and are written in this order.
  ///
  /// - Parameters:
  ///   - run: whole batches, unchanged in the records until `commit` has returned.
  ///   - nowMs: the time for LogAppendTime and for the limits of timestamps.
  /// - Throws: when an earlier part of the round could not be written; see `commit`.
  public func stage(_ run: UnsafeRawBufferPointer, from origin: AppendOrigin, nowMs: Int64)
    throws(StorageError) -> AppendOutcome
  {
    if isOffline { return .refused(.kafkaStorageError) }
    if needsRecovery { return .refused(.notLeaderOrFollower) }
    var position = 0
    var first: AppendOutcome?
    repeat {
      let rest = UnsafeRawBufferPointer(rebasing: run[position...])
      let (outcome, size) = try stageBatch(rest, from: origin, nowMs: nowMs)
      guard case .staged = outcome else { return outcome }
      if first == nil { first = outcome }
      position += size
    } while position < run.count
    return first ?? .malformed(.tooShort)
  }

  private func stageBatch(
    _ bytes: UnsafeRawBufferPointer, from origin: AppendOrigin, nowMs: Int64
  ) throws(StorageError) -> (AppendOutcome, size: Int) {
    let buffer = environment.buffer
    if buffer.isFull { try commit() }
    guard bytes.count >= RecordBatchHeader.size else { return (.malformed(.tooShort), 0) }
    let copy = buffer.nextHeader
    copy.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[..<RecordBatchHeader.size]))
    guard var header = RecordBatchHeader(UnsafeRawBufferPointer(copy)) else {
      return (.malformed(.tooShort), 0)
    }
    if let defect = Self.defect(of: header, available: bytes.count, from: origin) {
      return (.malformed(defect), 0)
    }
    let config = settings.config
    if let error = Self.refusal(of: header, config, from: origin, nowMs: nowMs) {
      return (.refused(error), 0)
    }
    let segment = try openedSegment(nowMs: nowMs)
    if header.hasProducerId, origin == .client {
      switch producers.judge(header) {
      case .inOrder: break
      case .refused(let error): return (.refused(error), 0)
      case .duplicate(let batch):
        return (.duplicate(baseOffset: batch.firstOffset, timestampMs: batch.timestamp), 0)
      }
    }
    let records = UnsafeRawBufferPointer(
      rebasing: bytes[RecordBatchHeader.size..<header.sizeInBytes])
    var marker: EndTransactionMarker?
    if header.isControlBatch {
      marker = EndTransactionMarker(header, records: records)
      guard let marker, header.hasProducerId else { return (.malformed(.marker), 0) }
      let error = producers.judge(marker, header)
      if error != .none { return (.refused(error), 0) }
      if segment.transactionIndex.isFull { try commit() }
    }
    if config.logAppendTime {
      RecordBatchHeader.assignLogAppendTime(nowMs, in: copy)
      header.maxTimestamp = nowMs
    }
    header.baseOffset = endOffset(with: buffer)
    if segment.shouldRoll(
      activeSegment.size + Int64(buffer.size), batchSize: header.sizeInBytes,
      lastOffset: header.lastOffset, maxTimestamp: header.maxTimestamp, nowMs: nowMs, config)
    {
      try commit()
      // Groups go on while the disk is full; who produces is told.
      try roll(nowMs: nowMs, origin == .client ? .required : .ifThereIsSome)
      // The flush of the old one may have failed at once.
      if let failure { throw failure }
    }
    place(header, copy, records, marker, in: buffer)
    let logAppendTimeMs = config.logAppendTime ? nowMs : -1
    return (
      .staged(baseOffset: header.baseOffset, logAppendTimeMs: logAppendTimeMs), header.sizeInBytes
    )
  }

  /// Puts a batch that has its offset into the buffer. `copy` holds its header, where it was when
  /// a roll had not yet emptied the buffer.
  @inline(__always)
  private func place(
    _ header: RecordBatchHeader, _ copy: UnsafeMutableRawBufferPointer,
    _ records: UnsafeRawBufferPointer, _ marker: EndTransactionMarker?, in buffer: AppendBuffer
  ) {
    let target = buffer.nextHeader
    if target.baseAddress != copy.baseAddress {
      target.copyMemory(from: UnsafeRawBufferPointer(copy))
    }
    RecordBatchHeader.assign(
      baseOffset: header.baseOffset, partitionLeaderEpoch: leaderEpoch, in: target)
    buffer.add(
      StagedBatch(
        baseOffset: header.baseOffset, lastOffset: header.lastOffset,
        maxTimestamp: header.maxTimestamp, size: header.sizeInBytes),
      records: records)
    if header.hasProducerId, let aborted = take(header, marker) {
      active?.transactionIndex.append(TransactionIndexEntry(aborted))
    }
  }

  /// Writes everything staged with one pwritev.
  ///
  /// - Throws: when it could not be written. Then nothing of what was staged since the last `commit`
  ///   is in the log: `logEndOffset` tells what is. Without room on the disk the log stays usable,
  ///   after any other error it is offline.
  public func commit() throws(StorageError) {
    let buffer = environment.buffer
    if buffer.isEmpty { return }
    guard let active else { preconditionFailure("batches are staged for another partition") }
    let last = segments.count - 1
    var position = segments[last].size
    do throws(StorageError) {
      if leaderEpoch > epochs.last?.epoch ?? -1 { try beginEpoch() }
      try write(buffer, to: active, at: position)
      // Nobody may read up to a marker whose entry is not there.
      if active.transactionIndex.pendingCount > 0 { try flushTransactionIndex(active) }
    } catch {
      undo(position, error)
      throw error
    }
    segments[last].size = position + Int64(buffer.size)
    logEndOffset = buffer[buffer.count - 1].lastOffset + 1
    firstUnstableOffset = producers.firstUnstableOffset
    defer { buffer.removeAll() }
    let interval = settings.config.indexIntervalBytes
    for index in 0..<buffer.count {
      let batch = buffer[index]
      if active.isTailFull { flushTailsIfPossible(active) }
      active.added(batch, at: position, indexIntervalBytes: interval)
      position += Int64(batch.size)
    }
  }

  /// Where the next batch of this round goes.
  @inline(__always)
  private func endOffset(with buffer: AppendBuffer) -> Int64 {
    let count = buffer.count
    return count == 0 ? logEndOffset : buffer[count - 1].lastOffset + 1
  }

  private static func defect(
    of header: RecordBatchHeader, available: Int, from origin: AppendOrigin
  ) -> AppendDefect? {
    if header.magic != RecordBatchHeader.currentMagic { return .format }
    let size = header.sizeInBytes
    if size < RecordBatchHeader.size || size > available { return .length }
    if origin == .client, size != available { return .notOne }
    if header.recordCount <= 0 || header.lastOffsetDelta != header.recordCount - 1 {
      return .offsets
    }
    return nil
  }

  /// Kafka's rules for a batch that depend on the topic or on who sent it (LogValidator, UnifiedLog).
  private static func refusal(
    of header: RecordBatchHeader, _ config: LogConfig, from origin: AppendOrigin, nowMs: Int64
  ) -> ErrorCode? {
    if header.sizeInBytes > config.maxMessageBytes { return .messageTooLarge }
    if header.sizeInBytes > config.segmentBytes { return .recordListTooLarge }
    if origin == .coordinator { return nil }
    if header.isControlBatch || (header.hasProducerId && header.baseSequence < 0) {
      return .invalidRecord
    }
    if !config.logAppendTime, header.maxTimestamp != RecordBatchHeader.noTimestamp {
      let (earliest, tooEarly) = nowMs.subtractingReportingOverflow(config.timestampBeforeMaxMs)
      let (latest, tooLate) = nowMs.addingReportingOverflow(config.timestampAfterMaxMs)
      if (!tooEarly && header.baseTimestamp < earliest)
        || (!tooLate && header.maxTimestamp > latest)
      {
        return .invalidTimestamp
      }
    }
    return nil
  }

  /// Takes over what a batch says of its producer. A control batch that compaction has emptied says
  /// nothing: all of its transaction is gone.
  /// - Returns: the transaction that it aborts.
  @discardableResult
  func take(_ header: RecordBatchHeader, _ marker: EndTransactionMarker?) -> AbortedTransaction? {
    if header.isControlBatch { return marker.flatMap { producers.apply($0, header) } }
    producers.apply(header)
    return nil
  }

  private func write(_ buffer: AppendBuffer, to active: ActiveSegment, at position: Int64)
    throws(StorageError)
  {
    let written = try about("append to", path(.log, active.baseOffset)) { () throws(Errno) in
      try device.write(active.file, buffer.bytes, at: position)
    }
    if written != buffer.size {
      throw StorageError(
        "append to", path(.log, active.baseOffset),
        .shortWrite(written: written, expected: buffer.size))
    }
  }

  /// After a failed write: cuts off what may have been written and forgets what was staged, the
  /// producers' part by reading them back before the next append.
  private func undo(_ position: Int64, _ error: StorageError) {
    environment.buffer.removeAll()
    if let active, error.isOutOfSpace {
      do throws(Errno) {
        try device.truncate(active.file, to: position)
        isRoomSetAside = false
        isLoaded = false
        drop()
        return
      } catch {
        // The log cannot be trusted to end where it should; the next start cuts it.
      }
    }
    fail(error)
  }

  /// Notes in the checkpoint that the current leader's epoch begins at the end of the log.
  private func beginEpoch() throws(StorageError) {
    epochs.append(LeaderEpochEntry(epoch: leaderEpoch, startOffset: logEndOffset))
    try writeEpochs(isFirst: epochs.count == 1)
  }

  /// An older file is replaced so that power loss leaves one of the two: what it says of epochs below
  /// the recovery point stands nowhere else that recovery looks.
  /// - Parameter isFirst: there is no older file that says anything; the next flush makes this one
  ///   durable.
  func writeEpochs(isFirst: Bool) throws(StorageError) {
    try LeaderEpochCheckpoint.write(
      epochs, to: "\(path)/\(LogFileName.leaderEpochCheckpoint)", device, durable: !isFirst)
    unsynced.formUnion([.epochs, .directory])
  }
}
