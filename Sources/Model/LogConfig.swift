// What the single writer must know of a topic's configuration. The coordinator resolves it (topic
// override, then broker, then Kafka's default) and sends it along; nobody below resolves anything.

/// The settings of one partition's log. Names and defaults are Kafka's topic configs.
public struct LogConfig: Hashable, Sendable {
  /// `segment.bytes`: a segment is rolled before it would grow beyond this many bytes.
  public var segmentBytes: Int32 = 1 << 30
  /// `segment.ms`: a segment is rolled when its first record is older than this many ms.
  public var segmentMs: Int64 = 7 * 24 * 3600 * 1000
  /// `segment.jitter.ms`: at most this much is randomly taken off `segmentMs`.
  public var segmentJitterMs: Int64 = 0
  /// `preallocate`: room for a whole segment is set aside on the disk when it begins.
  public var preallocate = false
  /// `segment.index.bytes`: size limit of an offset index.
  public var segmentIndexBytes: Int32 = 10 << 20
  /// `index.interval.bytes`: an index entry at the latest after this many bytes of log.
  public var indexIntervalBytes: Int32 = 4096
  /// `max.message.bytes`: the largest record batch in bytes.
  public var maxMessageBytes: Int32 = 1_048_588
  /// `message.timestamp.type` is LogAppendTime: the broker stamps records.
  public var logAppendTime = false
  /// `message.timestamp.before.max.ms` / `.after.max.ms`: how far a CreateTime may lie off our clock.
  public var timestampBeforeMaxMs: Int64 = .max
  public var timestampAfterMaxMs: Int64 = 3_600_000
  /// `cleanup.policy` contains delete / compact.
  public var deletes = true
  public var compacts = false
  /// `retention.ms`, -1: for ever. `retention.bytes` per partition, -1: any size.
  public var retentionMs: Int64 = 7 * 24 * 3600 * 1000
  public var retentionBytes: Int64 = -1
  /// `file.delete.delay.ms`: how long a removed segment's file stays on disk.
  public var fileDeleteDelayMs: Int64 = 60_000
  /// `min.cleanable.dirty.ratio`: compaction begins when more than this part of the log is new.
  public var minCleanableDirtyRatio = 0.5
  /// `min.compaction.lag.ms`: younger records are not compacted.
  public var minCompactionLagMs: Int64 = 0
  /// `max.compaction.lag.ms`: older records make their log due, whatever the ratio.
  public var maxCompactionLagMs: Int64 = .max
  /// `delete.retention.ms`: how long tombstones and transaction markers are kept.
  public var deleteRetentionMs: Int64 = 24 * 3600 * 1000
  /// `flush.messages` / `flush.ms`: fsync at the latest after so many records or ms.
  public var flushMessages: Int64 = .max
  public var flushMs: Int64 = .max
  /// `sluice.acks.all.durable`: acks=all is answered when the records are on disk.
  public var acksAllDurable = true

  public init() {}

  /// When a segment is rolled: a compacted log may not keep a segment active, where it cannot be
  /// compacted, for longer than `max.compaction.lag.ms`.
  @inlinable public var rollMs: Int64 { compacts ? min(segmentMs, maxCompactionLagMs) : segmentMs }
}
