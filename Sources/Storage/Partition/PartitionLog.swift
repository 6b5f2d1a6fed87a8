// The log of one partition: its segments, its end, its producers. The only writer of its directory.
//
// A log at rest is a few hundred bytes of numbers. Its active segment is opened and its producers
// are read back at the first append (`PartitionLog+Opening`), and put down again when too many logs
// are open (`OpenLogs`). An append is `stage` for each run of batches, then one `commit`
// (`PartitionLog+Appending`).
//
// Invariants: `segments` is never empty and increases by base offset; the last one is active. What
// lies below `logEndOffset` is in the .log files, whole. A failed write changes nothing, or takes the
// log offline with `failure` saying why; an offline log refuses everything until the next start.

import Linux
import Model

/// The configuration of a topic, shared by its partitions.
public final class LogSettings {
  public var config: LogConfig
  public init(_ config: LogConfig = LogConfig()) { self.config = config }
}

public final class PartitionLog {
  public let partition: TopicPartition
  /// The zero id for a directory that Kafka wrote before topics had ids.
  public let topicId: UUID128
  public var settings: LogSettings
  /// Oldest first.
  public internal(set) var segments: [LogSegment]
  /// First offset that may be read.
  public internal(set) var logStartOffset: Int64
  /// The offset that the next record gets.
  public internal(set) var logEndOffset: Int64
  /// Everything below is known to be on disk: where recovery begins after a crash.
  public internal(set) var recoveryPoint: Int64
  /// The indexes are on disk for everything below. The recovery point is not written down beyond it:
  /// recovery believes what indexes say of what lies below its point.
  var indexedBelow: Int64
  /// What the checkpoint on disk says of `recoveryPoint`: recovery reads batches from here on, and
  /// takes a gap in their offsets for a loss. So nothing at or above may be compacted.
  public internal(set) var checkpointedRecoveryPoint: Int64
  /// Room on the disk is set aside for the active segment.
  var isRoomSetAside = false
  /// What else is to be synced before the recovery point may move.
  var unsynced: UnsyncedFiles = []
  /// Made with the first flush.
  var flushing: PartitionFlush?
  /// When `flush.ms` is over for the oldest record that is not on disk; 0: there is none.
  var flushDueMs: Int64 = 0
  /// Everything below has been compacted; -1: nothing was, ever.
  public internal(set) var cleanedOffset: Int64 = -1
  /// Base offset of the segment whose files still have the suffix .swap; -1 without one.
  var swapBaseOffset: Int64 = -1
  /// Stamped into batches. Raise it with `lead`.
  public private(set) var leaderEpoch: Int32 = 0
  /// The log was not closed cleanly: a `LogRecovery` comes before anything else.
  public internal(set) var needsRecovery = false
  /// Closed segments that lack an index file: a recovery makes it anew.
  public internal(set) var unindexed: [Int64] = []
  /// Whether producers and leader epochs are in memory.
  var isLoaded = false
  /// For whoever owns the logs: where it keeps this one.
  public var place: UInt32 = .max
  /// For `OpenLogs`: used since its hand came by, and the place there.
  var wasUsed = false
  var openIndex = -1
  /// Newest producer snapshot, -1 without one. Meaningful once loaded.
  var snapshotOffset: Int64 = -1
  var epochs: [LeaderEpochEntry] = []
  var producers = ProducerState()
  /// Where the earliest transaction begins that is open at the end of the log; -1: none is. Known of a
  /// log at rest, too, and not touched by what is staged.
  var firstUnstableOffset: Int64 = -1
  /// The segments that have a transaction index, by base offset, ascending.
  var transactionIndexes: [Int64] = []
  /// Changes whenever one of them has grown.
  var transactionIndexEdition: UInt32 = 0
  var active: ActiveSegment?
  private var offline: Offline?
  public unowned let directory: LogDirectory
  let environment: LogEnvironment

  private final class Offline {
    let error: StorageError
    init(_ error: StorageError) { self.error = error }
  }

  init(
    _ partition: TopicPartition, topicId: UUID128, settings: LogSettings, segments: [LogSegment],
    logStartOffset: Int64, logEndOffset: Int64, recoveryPoint: Int64, in directory: LogDirectory
  ) {
    precondition(!segments.isEmpty, "a log without a segment")
    self.partition = partition
    self.topicId = topicId
    self.settings = settings
    self.segments = segments
    self.logStartOffset = logStartOffset
    self.logEndOffset = logEndOffset
    self.recoveryPoint = recoveryPoint
    checkpointedRecoveryPoint = recoveryPoint
    indexedBelow = recoveryPoint
    self.directory = directory
    environment = directory.environment
  }

  var device: LogDevice { environment.device }

  /// Why the log is offline, if it is.
  public var failure: StorageError? { offline?.error }
  public var isOffline: Bool { offline != nil }

  /// Records below may be consumed. With one replica that is all of them.
  public var highWatermark: Int64 { logEndOffset }

  /// Records below belong to no transaction that is still open.
  public var lastStableOffset: Int64 {
    firstUnstableOffset >= 0
      ? max(logStartOffset, min(firstUnstableOffset, highWatermark)) : highWatermark
  }

  public var activeSegment: LogSegment { segments[segments.count - 1] }

  /// Bytes of all segments.
  public var size: Int64 { segments.reduce(0) { $0 + $1.size } }

  /// The directory, which changes its name when the partition is deleted.
  public var path: String { "\(directory.path)/\(partition)" }

  func path(_ kind: LogFileKind, _ offset: Int64) -> String {
    let name = "\(path)/\(LogFileName.name(kind, offset))"
    // Until the files of segments that were replaced are durably out of the way.
    return offset == swapBaseOffset && kind != .snapshot ? name + LogFileName.swapSuffix : name
  }

  /// Stamps `epoch` into batches from now on; an older epoch than before is ignored.
  public func lead(_ epoch: Int32) { leaderEpoch = max(leaderEpoch, epoch) }

  /// Forgets idle producers (`producer.id.expiration.ms`). Those of a log at rest are checked when it
  /// is read back.
  public func expireProducers(nowMs: Int64, expirationMs: Int64) {
    if !producers.isEmpty { producers.expire(nowMs: nowMs, expirationMs: expirationMs) }
  }

  /// Takes the log offline. The first reason stays.
  func fail(_ error: StorageError) {
    if offline != nil { return }
    offline = Offline(error)
    drop()
    environment.noteFailure(self)
  }

  /// Forgets what only memory holds of the open segment, without writing anything.
  func drop() {
    active = nil
    environment.openLogs.remove(self)
  }
}
