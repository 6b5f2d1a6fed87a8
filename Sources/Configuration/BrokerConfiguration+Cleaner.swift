// The configurations of compaction that belong to the broker, not to a topic.

extension BrokerConfiguration {
  /// Whether logs are compacted at all.
  public var logCleanerEnable: Bool { values.boolean("log.cleaner.enable") }
  /// How long a partition that could not be cleaned is left alone at first.
  public var logCleanerBackoffMs: Int64 { values.integer("log.cleaner.backoff.ms") ?? 15_000 }
  /// Memory for keys, in bytes, of each cleaner.
  public var logCleanerDedupeBufferSize: Int {
    Int(clamping: values.integer("log.cleaner.dedupe.buffer.size") ?? 134_217_728)
  }
  /// How full that memory may become: above 0 and at most 1.
  public var logCleanerIoBufferLoadFactor: Double {
    min(1, max(0.01, number("log.cleaner.io.buffer.load.factor") ?? 0.9))
  }
  /// Memory for reading and writing, in bytes.
  public var logCleanerIoBufferSize: Int {
    Int(clamping: values.integer("log.cleaner.io.buffer.size") ?? 524_288)
  }
  /// Bytes that each cleaner reads and writes in a second; nil is no limit.
  public var logCleanerIoMaxBytesPerSecond: Double? {
    guard let rate = number("log.cleaner.io.max.bytes.per.second"), rate > 0, rate < 1e15 else {
      return nil
    }
    return rate
  }

  private func number(_ name: String) -> Double? {
    guard case .double(let number) = values.value(name) else { return nil }
    return number
  }
}
