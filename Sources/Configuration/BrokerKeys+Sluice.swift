// Names that Kafka does not have: what a process of Sluice tells about itself, and what it may leave out.

extension BrokerKeys {
  /// All of them begin with `sluice.`, which no name of Kafka does.
  static let sluice: [ConfigurationKey] = [
    .text(
      .string, "sluice.log.level", "info",
      .oneOf(["trace", "debug", "info", "notice", "warning", "error", "critical"]), .clusterWide,
      .used, "The least level that is written to the journal or standard error."),
    .long(
      "sluice.statistics.interval.ms", 60_000, .between(0, 86_400_000), .clusterWide, .used,
      "How often a process that works writes a line of statistics; 0 means never. "
        + "Outside systemd it is written at the level debug."),
    .boolean(
      "sluice.compressed.records.check", true, .clusterWide, .used,
      "Whether compressed batches are opened to check their records, as Kafka does; "
        + "false stores them as they come. Compacted topics are checked all the same."),
  ]
}
