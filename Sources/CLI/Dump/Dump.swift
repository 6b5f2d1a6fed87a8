// `sluice dump`: what is in a file of a log directory, read without a broker. It reads the formats
// on its own: Storage's readers refuse a damaged file, this one shows it up to the defect.

import ArgumentParser
import Linux

struct Dump: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what is in a segment, an index, a snapshot or a checkpoint.",
    discussion: """
      Any file of a log directory, of this broker or of Kafka: .log, .index, .timeindex, .txnindex, \
      .snapshot, leader-epoch-checkpoint, partition.metadata, meta.properties and the checkpoints \
      of offsets. What a file is follows from its name, and from its content where the name does \
      not tell; --as decides in doubt.

      A damaged file is shown as far as it can be read. Each defect is named with its byte, and the \
      exit code is 1.

      Examples:
        sluice dump data/orders-0/00000000000000000000.log --records
        sluice dump data/__consumer_offsets-7/00000000000000000000.log --offsets
        sluice dump data/recovery-point-offset-checkpoint --json
      """)

  @Argument(help: "The files.", completion: .file()) var files: [String]
  @Flag(
    help: """
      Also the records of each batch, decompressed; those of __consumer_offsets and \
      __transaction_state decoded, which the name of the directory tells.
      """)
  var records = false
  @Flag(
    help: "Records as those of __consumer_offsets, wherever they lie: groups and their offsets.")
  var offsets = false
  @Flag(help: "Records as those of __transaction_state, wherever they lie.")
  var transactions = false
  @Flag(help: "Print JSON, one object a line.") var json = false
  @Option(
    name: .customLong("as"),
    help: ArgumentHelp("What the files are.", valueName: "kind"))
  var kind: DumpKind?

  func validate() throws {
    if offsets, transactions {
      throw ValidationError("--offsets and --transactions exclude each other")
    }
  }

  func run() throws {
    var failed: ExitStatus?
    for path in files {
      let printer = DumpPrinter(path: path, json: json, showsPath: files.count > 1)
      do throws(DumpFailure) {
        try DumpKind.dump(path, as: kind, recordContents(path), printer)
      } catch {
        printer.flush()
        StandardError.line("sluice dump: \(error)")
        failed = failed ?? error.exitStatus
      }
      printer.flush()
      if printer.defects > 0 { failed = failed ?? .refused }
    }
    if let failed { throw failed.exitCode }
  }

  private func recordContents(_ path: String) -> RecordContents? {
    if offsets { return .groupOffsets }
    if transactions { return .transactions }
    return records ? RecordContents.of(path) : nil
  }
}

extension RecordContents {
  /// What the records of a segment are, by the directory it lies in.
  static func of(_ path: String) -> RecordContents {
    let directory = path.split(separator: "/").dropLast().last ?? ""
    if directory.hasPrefix("__consumer_offsets-") { return .groupOffsets }
    return directory.hasPrefix("__transaction_state-") ? .transactions : .bytes
  }
}

extension DumpKind {
  /// Shows a file, which is what `kind` says or, without it, what it looks like.
  static func dump(
    _ path: String, as kind: DumpKind? = nil, _ contents: RecordContents? = nil,
    _ printer: DumpPrinter
  ) throws(DumpFailure) {
    let file = try DumpFile(path)
    var found = kind
    if found == nil { found = try DumpKind.of(file) }
    guard let found else {
      throw .unknown("\(path): neither its name nor its content tells what it is; say it with --as")
    }
    switch found {
    case .log:
      var segment = SegmentDump(file, printer, contents: contents)
      try segment.run()
    case .index: try IndexDump.offsets(file, printer)
    case .timeindex: try IndexDump.times(file, printer)
    case .txnindex: try IndexDump.transactions(file, printer)
    case .snapshot: try SnapshotDump.run(file, printer)
    case .leaderEpochs: try TextDump.leaderEpochs(file, printer)
    case .offsetCheckpoint: try TextDump.offsets(file, printer)
    case .properties: try TextDump.properties(file, separator: "=", printer)
    case .partitionMetadata: try TextDump.properties(file, separator: ": ", printer)
    }
  }
}

/// Why a dump ended before the file did.
enum DumpFailure: Error, CustomStringConvertible {
  case system(Errno)
  case unknown(String)

  var description: String {
    switch self {
    case .system(let error): "\(error)"
    case .unknown(let line): line
    }
  }

  var exitStatus: ExitStatus {
    switch self {
    case .system: .system
    case .unknown: .refused
    }
  }
}
