// A directory of `log.dirs`: the partitions in it, its identity, its checkpoints, and whether it was
// closed cleanly (Kafka's LogManager, for one directory).
//
//   .lock                            locked as long as a process uses the directory
//   meta.properties                  whose it is
//   .kafka_cleanshutdown             present only between a clean stop and the next start
//   recovery-point-offset-checkpoint, replication-offset-checkpoint, log-start-offset-checkpoint,
//   cleaner-offset-checkpoint        see OffsetCheckpoint
//   <topic>-<partition>/ …           see LogFileName
//
// Opening lists directories and asks for the sizes of segments; it opens no file of a partition but
// partition.metadata. After a clean stop the recovery points are the ends of the logs.

import Glibc
import Linux
import Model

public final class LogDirectory {
  public let path: String
  public let environment: LogEnvironment
  public let meta: MetaProperties
  /// There was no `meta.properties`: it is new, or the disk that belongs here is not mounted.
  public let wasFormatted: Bool
  /// The last stop was clean: no log needs recovery.
  public let wasClosedCleanly: Bool
  /// The partitions of this directory.
  public private(set) var logs: [TopicPartition: PartitionLog] = [:]
  /// Partitions that could not be taken in, and why.
  public private(set) var refused: [(partition: TopicPartition, error: StorageError)] = []
  /// Directories that are no partitions of ours, and what they are; they are left alone.
  public private(set) var strangers: [(name: String, what: String)] = []
  /// Checkpoints that could not be understood and count as missing, and what follows from that.
  public private(set) var damaged: [(error: StorageError, consequence: String)] = []
  /// Directories of deleted partitions that are still to be removed.
  var deleted: [DoomedDirectory] = []
  /// Files of segments that are still to be removed.
  var doomed: [DoomedSegment] = []
  /// The checkpoint has log starts of deleted partitions. A new one of such a name must not come
  /// before they are gone: with a start beyond its end a crash would empty it.
  var hasOldStarts = false
  /// There is too little room for producers.
  public internal(set) var isLow = false
  /// What `checkSpace` saw last.
  public internal(set) var space = FileSystemSpace(totalBytes: 0, availableBytes: 0)
  /// Room is set aside.
  var hasBallast = false
  /// Why the directory as a whole cannot be used any more.
  public internal(set) var failure: StorageError?
  /// Log starts of partitions that could not be taken in, to be kept in the checkpoint.
  var unloadedLogStarts: [(partition: TopicPartition, offset: Int64)] = []
  /// Their cleaned offsets likewise: recovery takes a gap below them for none of its business.
  var unloadedCleanedOffsets: [(partition: TopicPartition, offset: Int64)] = []
  /// A recovery point is not in the checkpoint yet.
  public internal(set) var recoveryPointsChanged = false
  /// Names whose recovery point on disk belongs to a partition that is gone; `forgottenInWriting`
  /// are those that the checkpoint leaves out that is being written.
  var forgotten: Set<TopicPartition> = []
  var forgottenInWriting: Set<TopicPartition> = []
  var checkpointFailure: StorageError?
  /// Partitions created since the start, and how many of their names are on disk for certain.
  var namesMade: UInt64 = 0
  var namesSynced: UInt64 = 0
  /// Made with the first checkpoint that is written beside the loop.
  private(set) var writer: CheckpointWriter?
  private let lock: OwnedFD
  private static let singleSyncsMax = 64

  /// Opens or creates the directory and takes in its partitions.
  /// - Parameters:
  ///   - nodeId: `node.id`; a directory of another node is refused.
  ///   - clusterId: for a new directory; nil makes a random one. A directory of another is refused.
  ///   - settings: for partitions until their topic's configuration is known.
  public init(
    _ path: String, nodeId: Int32, clusterId: String?, settings: LogSettings,
    environment: LogEnvironment
  ) throws(StorageError) {
    self.path = path
    self.environment = environment
    let device = environment.device
    try Self.makeDirectories(path, device)
    lock = try Self.lock(path, device)
    hasBallast = File.exists(Self.ballastPath(path))
    (meta, wasFormatted) = try Self.identity(path, nodeId: nodeId, clusterId: clusterId, device)
    let marker = "\(path)/\(CleanShutdown.fileName)"
    let isMarked = File.exists(marker)
    let mayHaveOpen = isMarked ? try CleanShutdown.mayHaveOpenTransactions(marker, device) : true
    let names = try about("list", path) { () throws(Errno) in try File.names(in: path) }
    let isClean = isMarked || !names.contains { PartitionDirectory($0).isPartition }
    wasClosedCleanly = isClean
    let recoveryPoints = try Self.readable(.recoveryPoint, path, device, &damaged)
    let logStarts = try Self.readable(.logStart, path, device, &damaged)
    let cleaned = try Self.readable(.cleaner, path, device, &damaged)
    try about("remove", marker) { () throws(Errno) in try device.remove(marker) }
    // Before anything is appended: a log that has grown was not closed cleanly. And if only the
    // process had died, the checkpoints that were read may not have their names on disk yet: what
    // they say is not built upon before they do (see `PartitionLog.checkpointedRecoveryPoint`).
    try device.syncDirectory(path)
    for name in names {
      switch PartitionDirectory(name) {
      case .deleted: deleted.append(DoomedDirectory(name: name))
      case .other: if let what = try stranger(name) { strangers.append((name, what)) }
      case .partition(let partition):
        let found = FoundPartition(
          partition: partition, recoveryPoint: recoveryPoints[partition] ?? 0,
          logStartOffset: logStarts[partition] ?? 0,
          cleanedOffset: cleaned[partition] ?? -1,
          isClean: isClean && recoveryPoints[partition] != nil,
          mayHaveOpenTransactions: mayHaveOpen)
        do throws(StorageError) {
          logs[partition] = try load(found, settings)
        } catch {
          refused.append((partition, error))
          if let start = logStarts[partition] { unloadedLogStarts.append((partition, start)) }
          if let offset = cleaned[partition] { unloadedCleanedOffsets.append((partition, offset)) }
        }
      }
    }
    forgotten = Set(recoveryPoints.keys.filter { logs[$0] == nil })
  }

  var checkpointWriter: CheckpointWriter {
    if let writer { return writer }
    let made = CheckpointWriter(self)
    writer = made
    return made
  }

  // A child between fork and exec has a copy of the lock's descriptor: closing ours is not enough.
  // Logs and their environment hold each other while a log is open or flushes.
  deinit {
    for log in logs.values {
      log.flushing?.stop()
      log.drop()
      environment.forgetCleanable(log)
    }
    writer?.cancel()
    File.unlock(lock)
  }

  /// Creates a partition with one empty segment. There is none of that name.
  public func create(
    _ partition: TopicPartition, topicId: UUID128, settings: LogSettings
  ) throws(StorageError) -> PartitionLog {
    precondition(logs[partition] == nil, "the partition is there already")
    if hasOldStarts { try writeLogStarts(durable: true) }
    if forgotten.contains(partition) { try writeCheckpoints(durable: true) }
    let log = PartitionLog(
      partition, topicId: topicId, settings: settings,
      segments: [LogSegment(baseOffset: 0, size: 0)], logStartOffset: 0, logEndOffset: 0,
      recoveryPoint: 0, in: self)
    log.unsynced = .all
    let device = environment.device
    let isNew = try about("create", log.path) { () throws(Errno) in
      try device.makeDirectory(log.path)
    }
    guard isNew else {
      throw StorageError("create", log.path, .format("the directory exists"))
    }
    do {
      try PartitionMetadata.write(
        topicId, to: "\(log.path)/\(LogFileName.partitionMetadata)", device)
      _ = try log.createFiles(of: log.activeSegment, .required)
    } catch {
      // Half a partition must not be taken for one at the next start.
      do throws(StorageError) { try remove(directory: "\(partition)") } catch {
        deleted.append(DoomedDirectory(name: "\(partition)"))
      }
      throw error
    }
    logs[partition] = log
    namesMade += 1
    return log
  }

  /// Takes partitions away at once; their files go in slices of `sweep`. Descriptors that readers
  /// hold stay good.
  public func delete(_ partitions: [TopicPartition]) throws(StorageError) {
    var wasCleaned = false
    for partition in partitions {
      guard let log = logs[partition] else { continue }
      log.flushing?.stop()
      if log.logStartOffset > 0 { hasOldStarts = true }
      wasCleaned = wasCleaned || log.cleanedOffset >= 0
      log.drop()
      let name = PartitionDirectory.deletedName(partition)
      try about("rename", log.path) { () throws(Errno) in
        try environment.device.rename(log.path, to: "\(path)/\(name)")
      }
      deleted.append(DoomedDirectory(name: name))
      logs[partition] = nil
      forgotten.insert(partition)
    }
    recoveryPointsChanged = true
    // Its end makes the new names durable, too.
    beginCheckpoint()
    // A later partition of the same name must not inherit offsets: a start offset beyond its end
    // would empty it after a crash.
    if hasOldStarts { try writeLogStarts(durable: true) }
    if wasCleaned { try writeCleanedOffsets(durable: true) }
  }

  /// Closes every log. Only if that left nothing to recover is the stop clean.
  /// - Returns: why it is not, by partition; empty when it is.
  public func close() throws(StorageError) -> [(partition: TopicPartition, error: StorageError)] {
    // What cannot be written to is left as it is.
    if let failure { throw failure }
    var failures: [(TopicPartition, StorageError)] = []
    let all = logs.values.sorted { $0.partition < $1.partition }
    for log in all {
      let partition = log.partition
      do throws(StorageError) { try log.close() } catch { failures.append((partition, error)) }
      if let error = log.failure { failures.append((partition, error)) }
    }
    environment.syncs.drain()
    let device = environment.device
    try sync(all.filter { !$0.isOffline && !$0.needsRecovery })
    var isComplete = failures.isEmpty && refused.isEmpty
    for log in all {
      if log.needsRecovery { isComplete = false }
      if log.isOffline || log.needsRecovery { continue }
      log.recoveryPoint = log.logEndOffset
      log.indexedBelow = log.logEndOffset
    }
    try writeCheckpoints(durable: true)
    if isComplete {
      let hasOpen = all.contains { $0.firstUnstableOffset >= 0 }
      try device.replace(
        "\(path)/\(CleanShutdown.fileName)", with: CleanShutdown.contents(hasOpen), durable: true)
    }
    return failures
  }

  /// Makes everything in these logs durable. One sync of the file system costs as much as what all of
  /// the machine has not written yet, but many small ones cost more.
  private func sync(_ closed: [PartitionLog]) throws(StorageError) {
    let changed = closed.filter(\.isChangedSinceFlush)
    if changed.count <= Self.singleSyncsMax {
      for log in changed { try log.flush() }
      return
    }
    try about("sync", path) { () throws(Errno) in
      try environment.device.syncFileSystem(
        try environment.device.open(path, [.readOnly, .directory]))
    }
  }

  /// Removes files of a directory and, when it is empty, the directory; true when it is gone.
  @discardableResult
  func remove(directory name: String, filesMax: Int = .max) throws(StorageError) -> Bool {
    let directory = "\(path)/\(name)"
    return try about("remove", directory) { () throws(Errno) in
      let files = try File.names(in: directory)
      for file in files.prefix(filesMax) { try remove(file: "\(directory)/\(file)") }
      if files.count > filesMax { return false }
      try environment.device.removeDirectory(directory)
      return true
    }
  }

  private static func readable(
    _ checkpoint: OffsetCheckpoint, _ path: String, _ device: LogDevice,
    _ damaged: inout [(error: StorageError, consequence: String)]
  ) throws(StorageError) -> [TopicPartition: Int64] {
    do throws(StorageError) { return try checkpoint.read(in: path, device) } catch {
      guard case .format = error.cause else { throw error }
      damaged.append((error, checkpoint.consequenceOfLoss))
      return [:]
    }
  }

  private static func makeDirectories(_ path: String, _ device: LogDevice) throws(StorageError) {
    var partial = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
      partial += "/\(part)"
      if File.exists(partial) { continue }
      try about("create", partial) { () throws(Errno) in _ = try device.makeDirectory(partial) }
      let parent = partial.dropLast(part.utf8.count + 1)
      try device.syncDirectory(parent.isEmpty ? "/" : String(parent))
    }
  }

  private static func lock(_ path: String, _ device: LogDevice) throws(StorageError) -> OwnedFD {
    let name = "\(path)/.lock"
    let file = try about("open", name) { () throws(Errno) in
      try device.open(name, [.readWrite, .create])
    }
    let isOurs = try about("lock", name) { () throws(Errno) in try File.lock(file) }
    guard isOurs else {
      throw StorageError("lock", name, .format("another process uses this directory"))
    }
    return file
  }

  private static func identity(
    _ path: String, nodeId: Int32, clusterId: String?, _ device: LogDevice
  ) throws(StorageError) -> (MetaProperties, wasFormatted: Bool) {
    let found = try MetaProperties.read(in: path, device)
    var meta = found ?? MetaProperties()
    if let owner = meta.nodeId, owner != nodeId {
      throw StorageError(
        "open", path, .notOurs("it belongs to node.id=\(owner), this is node.id=\(nodeId)"))
    }
    if let cluster = meta.clusterId, let clusterId, cluster != clusterId {
      throw StorageError(
        "open", path,
        .notOurs("it belongs to cluster.id=\(cluster), the others to cluster.id=\(clusterId)"))
    }
    meta.nodeId = nodeId
    if meta.clusterId == nil { meta.clusterId = clusterId ?? UUID128.random().description }
    if meta.directoryId == nil { meta.directoryId = .random() }
    if meta != found { try meta.write(in: path, device) }
    return (meta, found == nil)
  }

  /// The cluster that a directory says it belongs to; nil if it does not say.
  public static func clusterId(in path: String, _ environment: LogEnvironment) -> String? {
    // Who opens the directory is told what is wrong with it.
    do throws(StorageError) {
      return try MetaProperties.read(in: path, environment.device)?.clusterId
    } catch { return nil }
  }
}

/// .kafka_cleanshutdown: written last at a clean stop, removed first at a start (Kafka's
/// CleanShutdownFileHandler). The epoch is for Kafka's controller; that the file is there is what counts.
/// A field of ours, which Kafka passes over, says that no transaction was open: the next start need not
/// look into every snapshot for one.
enum CleanShutdown {
  static let fileName = ".kafka_cleanshutdown"

  static func contents(_ hasOpenTransactions: Bool) -> [UInt8] {
    Array(
      #"{"version":0,"brokerEpoch":-1,"openTransactions":\#(hasOpenTransactions)}"#.utf8)
  }

  static func mayHaveOpenTransactions(_ path: String, _ device: LogDevice) throws(StorageError)
    -> Bool
  { try device.contents(path) != contents(false) }
}

extension PartitionDirectory {
  var isPartition: Bool { if case .partition = self { true } else { false } }
}
