// What a topic and a request ask of a batch that a producer sends.

import Model

/// The rules for one partition's records in a Produce request.
public struct ProduceRules: Hashable, Sendable {
  /// The version of the Produce request, 3 or newer.
  public var produceVersion: Int16
  /// The topic's `max.message.bytes`: the greatest size of a batch, header included.
  public var maxMessageBytes: Int
  /// The topic's `message.timestamp.type`. Timestamps are bounded only under CreateTime.
  public var timestampType: TimestampType
  /// The topic's `message.timestamp.before.max.ms` and `message.timestamp.after.max.ms`.
  public var timestampBeforeMaxMs: Int64
  public var timestampAfterMaxMs: Int64
  /// Whether every record must have a key: the topic's `cleanup.policy` has `compact`.
  public var requiresKeys: Bool
  /// Whether to go through the records of an uncompressed batch.
  public var checksRecords: Bool

  public init(
    produceVersion: Int16, maxMessageBytes: Int, timestampType: TimestampType = .createTime,
    timestampBeforeMaxMs: Int64 = .max, timestampAfterMaxMs: Int64 = 3_600_000,
    requiresKeys: Bool = false, checksRecords: Bool = true
  ) {
    self.produceVersion = produceVersion
    self.maxMessageBytes = maxMessageBytes
    self.timestampType = timestampType
    self.timestampBeforeMaxMs = timestampBeforeMaxMs
    self.timestampAfterMaxMs = timestampAfterMaxMs
    self.requiresKeys = requiresKeys
    self.checksRecords = checksRecords
  }

  /// The timestamps that the topic accepts at the time `nowMs`; -1 (none) always is.
  public func timestampRange(nowMs: Int64) -> ClosedRange<Int64> {
    if timestampType == .logAppendTime { return .min ... .max }
    let (low, lowOverflow) = nowMs.subtractingReportingOverflow(timestampBeforeMaxMs)
    let (high, highOverflow) = nowMs.addingReportingOverflow(timestampAfterMaxMs)
    let min = lowOverflow || timestampBeforeMaxMs == .max ? Int64.min : low
    return min...max(min, highOverflow ? .max : high)
  }

  /// Whether the topic accepts `timestamp` at the time `nowMs`.
  func accepts(timestamp: Int64, nowMs: Int64) -> Bool {
    if timestampType == .logAppendTime || timestamp == RecordBatchHeader.noTimestamp { return true }
    let (age, overflow) = nowMs.subtractingReportingOverflow(timestamp)
    if overflow {
      return timestamp < 0 ? timestampBeforeMaxMs == .max : timestampAfterMaxMs == .max
    }
    return age <= timestampBeforeMaxMs && (age >= 0 || age.magnitude <= timestampAfterMaxMs)
  }
}
