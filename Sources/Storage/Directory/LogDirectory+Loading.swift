// Taking in a partition that is on disk: names and sizes of its files, nothing more.

import Linux
import Model

/// A partition's directory and what the checkpoints say of it.
struct FoundPartition {
  let partition: TopicPartition
  let recoveryPoint: Int64
  let logStartOffset: Int64
  let cleanedOffset: Int64
  let isClean: Bool
  /// What a clean stop has left need not be looked through for transactions if this is false.
  let mayHaveOpenTransactions: Bool
}

extension LogDirectory {
  func load(_ found: FoundPartition, _ settings: LogSettings) throws(StorageError) -> PartitionLog {
    let device = environment.device
    let directory = "\(path)/\(found.partition)"
    let listed = try about("list", directory) { () throws(Errno) in try File.names(in: directory) }
    let names = try SwapRecovery(directory, environment).recover(listed)
    var segments: [LogSegment] = []
    var offsets: Set<Int64> = []
    var renamed: Set<Int64> = []
    var indexes: [LogFileKind: Set<Int64>] = [.index: [], .timeindex: []]
    var transactionIndexes: [Int64] = []
    var snapshots: [Int64] = []
    for name in names {
      if name.hasSuffix(LogFileName.deletedSuffix),
        let file = LogFileName.parse(String(name.dropLast(LogFileName.deletedSuffix.utf8.count)))
      {
        renamed.insert(file.offset)
      }
      guard let (offset, kind) = LogFileName.parse(name) else { continue }
      offsets.insert(offset)
      indexes[kind]?.insert(offset)
      if kind == .txnindex { transactionIndexes.append(offset) }
      if kind == .snapshot { snapshots.append(offset) }
      guard kind == .log else { continue }
      let status = try about("stat", "\(directory)/\(name)") { () throws(Errno) in
        try File.status("\(directory)/\(name)")
      }
      if !found.isClean { try giveBackRoom("\(directory)/\(name)", status) }
      segments.append(LogSegment(baseOffset: offset, size: status.size))
    }
    for offset in renamed {
      doomed.append(DoomedSegment(partition: found.partition, baseOffset: offset, dueMs: 0))
    }
    segments.sort { $0.baseOffset < $1.baseOffset }
    try dropDeleted(&segments, offsets, found)
    let topicId = try PartitionMetadata.read(
      "\(directory)/\(LogFileName.partitionMetadata)", device)
    let isNew = segments.isEmpty
    if isNew { segments = [LogSegment(baseOffset: found.logStartOffset, size: 0)] }
    let log = PartitionLog(
      found.partition, topicId: topicId ?? .zero, settings: settings, segments: segments,
      logStartOffset: max(found.logStartOffset, segments[0].baseOffset),
      logEndOffset: segments[segments.count - 1].baseOffset, recoveryPoint: found.recoveryPoint,
      in: self)
    if !found.isClean { log.unsynced = .all }
    log.cleanedOffset = found.cleanedOffset
    if isNew { _ = try log.createFiles(of: log.activeSegment, .ifThereIsSome) }
    let base = log.activeSegment.baseOffset
    if segments.count == 1, log.activeSegment.size == 0 {
      // Nothing to look at, unless there was something.
      log.needsRecovery = found.recoveryPoint > base
    } else {
      // After a clean stop the recovery point is the end of the log. One that cannot be is no news.
      log.needsRecovery = !found.isClean || found.recoveryPoint < base
      if !log.needsRecovery { log.logEndOffset = found.recoveryPoint }
    }
    checkFiles(of: log, indexes, renamed)
    if log.isOffline { return log }
    try takeTransactionIndexes(of: log, transactionIndexes.sorted())
    if found.isClean, found.mayHaveOpenTransactions, !log.needsRecovery {
      do throws(StorageError) { try log.findFirstUnstableOffset(snapshots) } catch {
        // The log is there, and offline.
        if !log.isOffline { throw error }
      }
    }
    return log
  }

  /// Which segments have a transaction index with an entry in it. One without its segment is what a
  /// crash left: a later segment must not be taken for its own.
  private func takeTransactionIndexes(of log: PartitionLog, _ offsets: [Int64])
    throws(StorageError)
  {
    for offset in offsets where offset >= log.segments[0].baseOffset {
      let file = log.path(.txnindex, offset)
      try about("stat", file) { () throws(Errno) in
        guard log.segments.contains(where: { $0.baseOffset == offset }) else {
          return try environment.device.remove(file)
        }
        if try File.status(file).size >= Int64(TransactionIndexEntry.size) {
          log.noteTransactionIndex(of: offset)
        }
      }
    }
  }

  /// Closed segments below the recovery point were on disk with all their files. An index that is
  /// missing can be made again; a missing .log, whose indexes are still there, cannot: the log goes
  /// offline before its other files are touched. (The files of a segment that is to go are renamed,
  /// its .log first.) Behind the recovery point it is for recovery to say.
  private func checkFiles(
    of log: PartitionLog, _ indexes: [LogFileKind: Set<Int64>], _ renamed: Set<Int64>
  ) {
    let bases = Set(log.segments.map(\.baseOffset))
    for (index, segment) in log.segments.enumerated().dropLast()
    where segment.size > 0 && log.segments[index + 1].baseOffset <= log.recoveryPoint {
      let isWhole = indexes.values.allSatisfy { $0.contains(segment.baseOffset) }
      if !isWhole { log.unindexed.append(segment.baseOffset) }
    }
    let orphans = indexes.values.reduce(Set()) { $0.union($1) }.subtracting(bases)
      .subtracting(renamed)
    for orphan in orphans.sorted()
    where orphan > log.segments[0].baseOffset && orphan < log.recoveryPoint {
      guard let next = log.segments.first(where: { $0.baseOffset > orphan }) else { continue }
      log.needsRecovery = false
      return log.fail(
        StorageError(
          "open", log.path(.log, orphan),
          .corruption("the file is missing", offsets: orphan..<next.baseOffset)))
    }
  }

  /// Segments below the log start offset were deleted, whatever a crash brought back of them: what
  /// lies before the first one that counts goes, other files as well. `offsets` are all that files
  /// are named after.
  private func dropDeleted(
    _ segments: inout [LogSegment], _ offsets: Set<Int64>, _ found: FoundPartition
  ) throws(StorageError) {
    let start = found.logStartOffset
    while segments.count > 1, segments[1].baseOffset <= start { segments.removeFirst() }
    // An empty log before its start: the new segment's file is all that the crash left.
    if segments.count == 1, segments[0].size == 0, segments[0].baseOffset < start {
      segments.removeFirst()
    }
    let first = segments.first?.baseOffset ?? start
    for offset in offsets.sorted() where offset < first {
      try discard(offset, of: found.partition, dueMs: 0)
    }
  }

  /// What a directory is whose name is no partition's; nil for a file, and for what belongs to the file
  /// system. Kafka starts on none that it does not know.
  func stranger(_ name: String) throws(StorageError) -> String? {
    do throws(Errno) {
      if try !File.status("\(path)/\(name)").isDirectory { return nil }
    } catch {
      // A link to nowhere.
      if error.isNotFound { return nil }
      throw StorageError("stat", "\(path)/\(name)", .system(error))
    }
    if name == "lost+found" { return nil }
    if name.hasPrefix("\(TopicName.clusterMetadata)-") {
      return "the metadata of a Kafka cluster (KRaft); what it says of topics is not read"
    }
    if name.hasSuffix("-future") { return "a partition that Kafka was moving here" }
    if name.hasSuffix("-stray") { return "a partition of which Kafka knew no topic" }
    if name == "remote-log-index-cache" { return "Kafka's cache of tiered storage" }
    return "not a partition"
  }
}
