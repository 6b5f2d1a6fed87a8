// How often the log is looked after, as the broker is configured.

import Configuration

struct FlushIntervals {
  /// `log.flush.offset.checkpoint.interval.ms`, from the first change on.
  let checkpointMs: Int64
  /// `log.flush.scheduler.interval.ms`: flushes by time are looked for no more often; 0: as soon as
  /// one is due.
  let flushLookMs: Int64

  init(_ configuration: BrokerConfiguration) {
    checkpointMs = configuration.logFlushOffsetCheckpointIntervalMs
    flushLookMs = min(max(0, configuration.logFlushSchedulerIntervalMs ?? 0), 1 << 42)
  }
}
