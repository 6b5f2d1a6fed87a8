// A directory of log.dirs: whether somebody uses it, its identity, its checkpoints, its partitions.

import Glibc
import Linux
import Model

/// What a verification was asked for.
struct VerifyOptions {
  var readsRecords = false
  var repairs = false
}

struct DirectoryCheck {
  private let path: String
  private let options: VerifyOptions
  private let report: VerifyReport
  private var lock: LockedDirectory?
  /// How far compaction has been, by the names of partitions.
  private var cleaned: [String: Int64] = [:]

  /// - Parameter path: a log directory, or one partition in it.
  init(_ path: String, _ options: VerifyOptions, _ report: VerifyReport) {
    var path = path[...]
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    self.path = String(path)
    self.options = options
    self.report = report
  }

  /// - Returns: how many partitions were checked.
  mutating func run() throws(VerifyFailure) -> Int {
    let names: [String]
    do throws(Errno) { names = try File.names(in: path).sorted() } catch {
      throw .system(error)
    }
    let isPartition = names.contains { SegmentFile.parse($0)?.kind == "log" }
    let slash = path.lastIndex(of: "/")
    let root = isPartition ? slash.map { String(path[..<$0]) } ?? "." : path
    let partitions =
      isPartition
      ? [path]
      : names.filter(Self.isPartition).map { "\(path)/\($0)" }
    guard isPartition || !partitions.isEmpty || names.contains("meta.properties") else {
      throw .usage(
        "no partitions were found in \(path), and no meta.properties: it is no log directory")
    }
    lock = try LockedDirectory(root, keeps: options.repairs)
    defer { lock?.release() }
    let isUnclean =
      lock?.isInUse == true || !File.exists("\(root)/.kafka_cleanshutdown")
    if lock?.isInUse == true {
      report.note("a process uses \(root): what it has not written yet is not missed")
    }
    report.totalBytes = partitions.reduce(0) { $0 + Self.logBytes($1) }
    for entry in CheckpointFile("\(root)/\(CheckpointFile.cleaned)", CheckpointFile.cleaned).entries
    {
      cleaned["\(entry.topic)-\(entry.partition)"] = entry.offset
    }
    var ends: [String: PartitionSummary] = [:]
    for partition in partitions { ends[partition] = try check(partition, isUnclean: isUnclean) }
    if !isPartition {
      checkFiles(ends, isUnclean: isUnclean)
      tellMissing(Set(names))
    }
    return partitions.count
  }

  private func check(_ directory: String, isUnclean: Bool) throws(VerifyFailure)
    -> PartitionSummary
  {
    let before = report.findings.count
    var check = PartitionCheck(
      directory, report, readsRecords: options.readsRecords, isUnclean: isUnclean,
      cleanedOffset: cleaned[String(directory.split(separator: "/").last ?? "")] ?? -1)
    do throws(DumpFailure) { try check.run() } catch {
      switch error {
      case .system(let errno) where errno.code == ENOENT && lock?.isInUse == true:
        report.note("\(errno): it was removed meanwhile")
      case .system(let errno): throw .system(errno)
      case .unknown(let line): throw .refused(line)
      }
    }
    if options.repairs {
      var repair = Repair(directory, report)
      try repair.run(report.findings[before...].compactMap(\.remedy))
    }
    return check.summary
  }

  // MARK: Files of the directory

  private func checkFiles(_ ends: [String: PartitionSummary], isUnclean: Bool) {
    let meta = "\(path)/meta.properties"
    let text = (try? File.contents(meta)).map { String(decoding: $0, as: UTF8.self) } ?? ""
    let version = text.split(separator: "\n").last { $0.hasPrefix("version=") }
    if text.isEmpty || !["version=0", "version=1"].contains(version ?? "version=0") {
      report.add(Finding(meta, "it is missing or has another version than 0 or 1"))
    }
    // Partitions that have lost their end: what else is behind it is no wonder, and stays.
    var cut: Set<String> = []
    for name in CheckpointFile.names {
      let file = CheckpointFile("\(path)/\(name)", name)
      file.check(report) { entry in
        guard let end = ends["\(path)/\(entry.name)"]?.logEndOffset, entry.offset > end else {
          return nil
        }
        if name == CheckpointFile.recoveryPoint { cut.insert(entry.name) }
        return Self.violation(
          entry, of: name, end, isUnclean: isUnclean, isCut: cut.contains(entry.name))
      }
      if options.repairs, report.findings.contains(where: { $0.remedy == .checkpoint(name) }) {
        file.rewrite(report) { entry in
          guard let end = ends["\(path)/\(entry.name)"]?.logEndOffset, entry.offset > end,
            name != CheckpointFile.recoveryPoint
          else { return entry }
          // Without an entry a log begins with its first segment: nothing that is there is lost.
          if name == CheckpointFile.logStart { return cut.contains(entry.name) ? entry : nil }
          return CheckpointFile.Entry(topic: entry.topic, partition: entry.partition, offset: end)
        }
      }
    }
  }

  /// Partitions that the checkpoints know and that have no directory. What was deleted is taken out
  /// of the checkpoints when they are next written, so that a crash may leave it there.
  private func tellMissing(_ names: Set<String>) {
    var missing: [String: (checkpoint: String, offset: Int64)] = [:]
    for checkpoint in CheckpointFile.names where checkpoint != CheckpointFile.cleaned {
      for entry in CheckpointFile("\(path)/\(checkpoint)", checkpoint).entries
      where entry.offset > missing[entry.name]?.offset ?? 0 && !names.contains(entry.name) {
        missing[entry.name] = (checkpoint, entry.offset)
      }
    }
    for (name, (checkpoint, offset)) in missing.sorted(by: { $0.key < $1.key }) {
      // Kafka and this broker rename the directory of a deleted partition before they empty it, and
      // one may have been made since the names were read.
      let isRenamed = names.contains { $0.hasPrefix("\(name).") }
      if isRenamed || File.exists("\(path)/\(name)") { continue }
      report.add(
        Finding(
          "\(path)/\(name)",
          "the partition is missing: \(checkpoint) knows it up to offset \(offset). If its topic was "
            + "deleted, or it was moved, all is well: the entry goes with the broker's next checkpoint"
        ))
    }
  }

  /// What is wrong with an entry of a checkpoint that is behind where its log ends.
  private static func violation(
    _ entry: CheckpointFile.Entry, of name: String, _ end: Int64, isUnclean: Bool, isCut: Bool
  ) -> CheckpointFile.Violation? {
    let reason = "offset \(entry.offset) is behind the log's end, \(end)"
    switch name {
    case CheckpointFile.recoveryPoint:
      // What was promised to be on disk is not there. To forget the promise is for people to decide.
      return .init(
        offsets: end...(entry.offset - 1), reason: "these were on disk, but the log ends before",
        isRepairable: false)
    case CheckpointFile.logStart:
      // A log that lost its end in a crash goes on at its start.
      return isUnclean ? nil : .init(reason: reason, isRepairable: !isCut)
    default: return .init(reason: reason, isRepairable: true)
    }
  }

  private static func isPartition(_ name: String) -> Bool {
    guard let dash = name.lastIndex(of: "-"), dash != name.startIndex else { return false }
    let digits = name[name.index(after: dash)...]
    if name[..<dash] == TopicName.clusterMetadata { return false }
    return Int32(digits).map { $0 >= 0 && String($0) == digits } ?? false
  }

  private static func logBytes(_ directory: String) -> Int64 {
    guard let names = try? File.names(in: directory) else { return 0 }
    return names.reduce(0) { sum, name in
      guard SegmentFile.parse(name)?.kind == "log",
        let status = try? File.status("\(directory)/\(name)")
      else { return sum }
      return sum + status.size
    }
  }
}

/// Whether a process uses a log directory; on request nobody can begin to.
final class LockedDirectory {
  private final class Lock {
    private let file: OwnedFD
    init(_ file: consuming OwnedFD) { self.file = file }
    func release() { File.unlock(file) }
  }

  private var lock: Lock?
  private(set) var isInUse = false

  /// - Throws: it is to be kept from others, and another process has it.
  init(_ directory: String, keeps: Bool) throws(VerifyFailure) {
    let path = "\(directory)/.lock"
    do throws(Errno) {
      let opened = try File.open(path, keeps ? [.readWrite, .create] : .readWrite)
      isInUse = try !File.lock(opened)
      if !isInUse {
        let taken = Lock(opened)
        if keeps { lock = taken } else { taken.release() }
      }
    } catch {
      // Who may only read cannot ask; without the file nobody has begun to use it.
      guard !keeps, [ENOENT, EACCES, EROFS, EPERM].contains(error.code) else {
        throw .system(error)
      }
    }
    if keeps, isInUse {
      throw .refused("a process uses \(directory): stop the broker before a repair")
    }
  }

  func release() { lock?.release() }
}

/// Why a verification ended before the directory did.
enum VerifyFailure: Error, CustomStringConvertible {
  case system(Errno)
  case refused(String)
  /// What was named is nothing to verify.
  case usage(String)

  var description: String {
    switch self {
    case .system(let error): "\(error)"
    case .refused(let line), .usage(let line): line
    }
  }

  var exitStatus: ExitStatus {
    switch self {
    case .system: .system
    case .refused: .refused
    case .usage: .usage
    }
  }
}
