// Names that Kafka does not have: what a process of Sluice tells about itself, what it may leave out,
// and what happens when a disk is nearly full.

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
    .long(
      "sluice.log.dir.free.low.bytes", 1_073_741_824, .atLeast(0), .readOnly, .used,
      "Records of producers are refused while a log directory has less free space than this and "
        + "than sluice.log.dir.free.low.percent; 0 means only when it is full."),
    .int(
      "sluice.log.dir.free.low.percent", 5, .between(0, 90), .readOnly, .used,
      "See sluice.log.dir.free.low.bytes: percent of the file system's size."),
    .long(
      "sluice.log.dir.ballast.bytes", 16_777_216, .atLeast(0), .readOnly, .used,
      "Space that a file in each log directory keeps, to be used by deletions and consumer groups "
        + "when the disk is full; at most one percent of the file system."),
  ]
}
