// The log: where it lies, segments and indexes, timestamps, flushing, retention; its cleaner.

extension BrokerKeys {
  static let log: [ConfigurationKey] = [
    .text(
      .string, "log.dir", "/tmp/kafka-logs", .any, .readOnly, .used,
      "The directory of the log, unless log.dirs is set."),
    .text(
      .string, "log.dirs", nil, .any, .readOnly, .used,
      "The directories of the log, separated by commas."),
    .int(
      "log.segment.bytes", 1_073_741_824, .atLeast(1_048_576), .clusterWide, .used,
      "A segment of the log is at most this long."),
    .long(
      "log.roll.ms", nil, .atLeast(1), .clusterWide, .used,
      "A segment gets no records after this time; instead of log.roll.hours."),
    .int(
      "log.roll.hours", 168, .atLeast(1), .readOnly, .used,
      "A segment gets no records after this many hours."),
    .long(
      "log.roll.jitter.ms", nil, .atLeast(0), .clusterWide, .used,
      "At most this much is taken off the time to roll; instead of log.roll.jitter.hours."),
    .int(
      "log.roll.jitter.hours", 0, .atLeast(0), .readOnly, .used,
      "At most this many hours are taken off the time to roll."),
    .int(
      "log.index.interval.bytes", 4_096, .atLeast(0), .clusterWide, .used,
      "Bytes of records between entries of the offset index."),
    .int(
      "log.index.size.max.bytes", 10_485_760, .atLeast(4), .clusterWide, .used,
      "An index is at most this long."),
    .text(
      .string, "log.message.timestamp.type", "CreateTime",
      .oneOf(["CreateTime", "LogAppendTime"]), .clusterWide, .used,
      "Whether records keep their producer's timestamp or get the time of the append."),
    .long(
      "log.message.timestamp.before.max.ms", 9_223_372_036_854_775_807, .atLeast(0), .clusterWide,
      .used, "How far before the broker's time a record's timestamp may be (CreateTime)."),
    .long(
      "log.message.timestamp.after.max.ms", 3_600_000, .atLeast(0), .clusterWide, .used,
      "How far after the broker's time a record's timestamp may be (CreateTime)."),
    .boolean(
      "log.preallocate", false, .clusterWide, .used,
      "Whether room for a new segment is set aside on the disk in full, where it can be."),
    .long(
      "log.flush.interval.messages", 9_223_372_036_854_775_807, .atLeast(1), .clusterWide,
      .used, "Flush a partition after this many records."),
    .long(
      "log.flush.interval.ms", nil, .any, .clusterWide, .used,
      "Flush a partition when a record is this old; otherwise log.flush.scheduler.interval.ms."),
    .long(
      "log.flush.scheduler.interval.ms", 9_223_372_036_854_775_807, .any, .readOnly,
      .used, "How often to look for partitions to flush."),
    .int(
      "log.flush.offset.checkpoint.interval.ms", 60_000, .atLeast(0), .readOnly,
      .used, "How often the recovery points are written down."),
    .int(
      "log.flush.start.offset.checkpoint.interval.ms", 60_000, .atLeast(0), .readOnly,
      .accepted(.otherDesign), "How often the log start offsets are written down."),
    .boolean(
      "sluice.acks.all.durable", true, .readOnly, .used,
      "Whether acks=all is answered when the records are on disk; else when they are written."),
    .long(
      "log.retention.bytes", -1, .any, .clusterWide, .used,
      "A partition longer than this loses its oldest segments; -1 is no limit."),
    .long(
      "log.retention.ms", nil, .unlimitedOrPositive, .clusterWide, .used,
      "Segments older than this are deleted; instead of log.retention.minutes."),
    .int(
      "log.retention.minutes", nil, .unlimitedOrPositive, .readOnly, .used,
      "Segments older than this are deleted; instead of log.retention.hours."),
    .int(
      "log.retention.hours", 168, .unlimitedOrPositive, .readOnly, .used,
      "Segments older than this are deleted; -1 is never."),
    .long(
      "log.retention.check.interval.ms", 300_000, .atLeast(1), .readOnly,
      .used, "How often to look for segments to delete."),
    .text(
      .list, "log.cleanup.policy", "delete", .listOf(["compact", "delete"]), .clusterWide,
      .used, "What happens to old segments: delete, compact, or both."),
    .long(
      "log.segment.delete.delay.ms", 60_000, .atLeast(0), .clusterWide,
      .used, "How long a removed file stays on the disk."),
    .long(
      "log.local.retention.bytes", -2, .atLeast(-2), .clusterWide, .accepted(.notServedYet),
      "Bytes kept here of a partition in tiered storage; -2: as log.retention.bytes."),
    .long(
      "log.local.retention.ms", -2, .atLeast(-2), .clusterWide, .accepted(.notServedYet),
      "Time kept here of a partition in tiered storage; -2: as log.retention.ms."),
    .int(
      "num.recovery.threads.per.data.dir", 2, .atLeast(1), .clusterWide, .accepted(.processes),
      "Threads for recovery of each directory."),
    .int(
      "num.replica.alter.log.dirs.threads", nil, .any, .readOnly, .accepted(.processes),
      "Threads that move partitions between directories."),
    .long(
      "log.dir.failure.timeout.ms", 30_000, .atLeast(1), .readOnly, .accepted(.noController),
      "How long a broker may fail to report a failed directory."),
    .long(
      "log.initial.task.delay.ms", 30_000, .atLeast(0), .readOnly, .used,
      "How long after its start the broker begins to look after its log."),
    .int(
      "producer.id.expiration.ms", 86_400_000, .atLeast(1), .clusterWide, .used,
      "A producer id without a write for this long is forgotten."),
    .int(
      "producer.id.expiration.check.interval.ms", 600_000, .atLeast(1), .readOnly,
      .accepted(.otherDesign), "How often to look for producer ids to forget."),
  ]

  static let logCleaner: [ConfigurationKey] = [
    .boolean(
      "log.cleaner.enable", true, .readOnly, .used,
      "Whether topics with cleanup.policy=compact are compacted."),
    .int(
      "log.cleaner.threads", 1, .atLeast(0), .clusterWide, .accepted(.processes),
      "Threads that compact."),
    .long(
      "log.cleaner.backoff.ms", 15_000, .atLeast(0), .clusterWide, .used,
      "How long the cleaner rests when there is nothing to compact."),
    .long(
      // Kafka wants more than 1 MiB for each thread.
      "log.cleaner.dedupe.buffer.size", 134_217_728, .atLeast(1_048_577), .clusterWide,
      .used, "Memory for the keys of a compaction."),
    .double(
      "log.cleaner.io.buffer.load.factor", "0.9", .any, .clusterWide, .used,
      "How full the memory for keys may become."),
    .int(
      "log.cleaner.io.buffer.size", 524_288, .atLeast(0), .clusterWide,
      .used, "Memory for reading and writing of the cleaner."),
    .double(
      "log.cleaner.io.max.bytes.per.second", "1.7976931348623157E308", .any, .clusterWide,
      .used, "The cleaner reads and writes at most this much."),
    .long(
      "log.cleaner.delete.retention.ms", 86_400_000, .atLeast(0), .clusterWide,
      .used, "How long tombstones are kept."),
    .double(
      "log.cleaner.min.cleanable.ratio", "0.5", .fraction, .clusterWide,
      .used, "Compact a log when this part of it is new."),
    .long(
      "log.cleaner.min.compaction.lag.ms", 0, .atLeast(0), .clusterWide,
      .used, "Records younger than this are not compacted."),
    .long(
      "log.cleaner.max.compaction.lag.ms", 9_223_372_036_854_775_807, .atLeast(1), .clusterWide,
      .used, "Records older than this make their log due for compaction."),
  ]
}
