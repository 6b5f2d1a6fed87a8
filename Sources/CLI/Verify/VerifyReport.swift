// What a verification finds: defects with their place and, where something that is derived can be
// made anew, the remedy. Printed as they are found; of one file at most so many, the rest is counted.

import Linux

/// What can be made anew from the batches.
enum Remedy: Hashable {
  /// Both indexes of the segment with this base offset.
  case indexes(Int64)
  /// The transaction index of the segment with this base offset.
  case transactions(Int64)
  case leaderEpochs
  /// The snapshot of this offset goes: producers are known from an older one and the batches.
  case snapshot(Int64)
  /// A checkpoint of the log directory, by its file's name.
  case checkpoint(String)

  var text: String {
    switch self {
    case .indexes: "the index is made anew from the batches"
    case .transactions: "the aborted transactions are noted anew from the batches"
    case .leaderEpochs: "the epochs are made anew from the batches"
    case .snapshot: "the snapshot is removed, the batches tell the producers"
    case .checkpoint: "the checkpoint is written anew"
    }
  }
}

/// One thing that is wrong.
struct Finding {
  let path: String
  /// Byte of the file, where that says something.
  var position: Int64?
  /// Offsets that are damaged or whose entry is wrong.
  var offsets: ClosedRange<Int64>?
  let reason: String
  var remedy: Remedy?

  init(
    _ path: String, at position: Int64? = nil, offsets: ClosedRange<Int64>? = nil,
    _ reason: String, _ remedy: Remedy? = nil
  ) {
    self.path = path
    self.position = position
    self.offsets = offsets
    self.reason = reason
    self.remedy = remedy
  }

  var text: String {
    var text = path
    if let position { text += ": at byte \(position)" }
    if let offsets { text += ": offsets \(offsets.lowerBound) to \(offsets.upperBound)" }
    return "\(text): \(reason)"
  }
}

final class VerifyReport {
  private let json: Bool
  private let repairs: Bool
  private let write: ([UInt8]) -> Void
  private let complain: (String) -> Void
  private var countByPath: [String: Int] = [:]
  private let nowNs: () -> UInt64
  private var saidNs: UInt64
  private(set) var findings: [Finding] = []
  /// Findings of all files, those not kept included.
  private(set) var defects = 0
  /// Of them, what nothing can be done about.
  private(set) var lasting = 0
  private(set) var checkedBytes: Int64 = 0
  var totalBytes: Int64 = 0

  /// Findings of one file that are told one by one.
  static let perFileMax = 20

  init(
    json: Bool, repairs: Bool = false, write: @escaping ([UInt8]) -> Void = Output.write,
    complain: @escaping (String) -> Void = StandardError.line,
    nowNs: @escaping () -> UInt64 = Clock.monotonicNs
  ) {
    self.nowNs = nowNs
    saidNs = nowNs()
    self.json = json
    self.repairs = repairs
    self.write = write
    self.complain = complain
  }

  func add(_ finding: Finding) {
    defects += 1
    if finding.remedy == nil { lasting += 1 }
    let count = countByPath[finding.path, default: 0] + 1
    countByPath[finding.path] = count
    // What is to be done must not be forgotten, however much is wrong.
    if count <= Self.perFileMax || isNewRemedy(finding) { findings.append(finding) }
    guard count <= Self.perFileMax else { return }
    if json {
      var fields = Fields()
      fields.add("type", "defect")
      fields.add("path", finding.path)
      fields.add("position", finding.position.map { .number($0) } ?? .null)
      fields.add("firstOffset", finding.offsets.map { .number($0.lowerBound) } ?? .null)
      fields.add("lastOffset", finding.offsets.map { .number($0.upperBound) } ?? .null)
      fields.add("reason", finding.reason)
      fields.add("isRepairable", finding.remedy != nil)
      line(fields)
    } else {
      write(Array("\(finding.text)\n".utf8))
    }
  }

  private func isNewRemedy(_ finding: Finding) -> Bool {
    guard let remedy = finding.remedy else { return false }
    return !findings.contains { $0.path == finding.path && $0.remedy == remedy }
  }

  /// Something was made anew.
  func repaired(_ path: String, _ what: String) {
    if json {
      var fields = Fields()
      fields.add("type", "repaired")
      fields.add("path", path)
      fields.add("what", what)
      line(fields)
    } else {
      write(Array("\(path): repaired: \(what)\n".utf8))
    }
  }

  /// Something could not be made anew.
  func failed(_ why: String) {
    lasting += 1
    note(why)
  }

  /// A partition has been gone through.
  func checked(_ partition: PartitionSummary) {
    guard json else { return }
    var fields = Fields()
    fields.add("type", "partition")
    fields.add("path", partition.path)
    fields.add("segments", partition.segments)
    fields.add("batches", partition.batches)
    fields.add("records", partition.records)
    fields.add("bytes", partition.bytes)
    fields.add("logStartOffset", partition.logStartOffset)
    fields.add("logEndOffset", partition.logEndOffset)
    line(fields)
  }

  /// Says how far it is, at most once a second.
  func progress(_ bytes: Int64) {
    checkedBytes += bytes
    let nowNs = nowNs()
    guard nowNs - saidNs >= 1_000_000_000, totalBytes > 0 else { return }
    saidNs = nowNs
    complain(
      "sluice verify: \(checkedBytes >> 20) of \(totalBytes >> 20) MiB "
        + "(\(min(100, checkedBytes * 100 / totalBytes)) %), \(Self.count(defects, "defect"))")
  }

  /// A line for people that is no result.
  func note(_ text: String) { complain("sluice verify: \(text)") }

  /// Says how many findings were left out, and what came of it all.
  func finish(_ partitions: Int) {
    for (path, count) in countByPath.sorted(by: { $0.key < $1.key })
    where count > Self.perFileMax {
      note("\(path): \(Self.count(count - Self.perFileMax, "more defect")) of this file")
    }
    if json {
      var fields = Fields()
      fields.add("type", "summary")
      fields.add("partitions", partitions)
      fields.add("bytes", checkedBytes)
      fields.add("defects", defects)
      fields.add("repairable", defects - lasting)
      line(fields)
      return
    }
    var text =
      "\(Self.count(partitions, "partition")), \(Self.count(Int(checkedBytes), "byte")): "
    if defects == 0 {
      text += "nothing is wrong"
    } else {
      text += Self.count(defects, "defect")
      let curable = defects - lasting
      if curable > 0 {
        text += repairs ? ", \(curable) of them repaired" : ", \(curable) of them --repair mends"
      }
    }
    write(Array((text + "\n").utf8))
  }

  /// `1 defect`, `2 defects`.
  private static func count(_ count: Int, _ what: String) -> String {
    "\(count) \(what)\(count == 1 ? "" : "s")"
  }

  private func line(_ fields: Fields) {
    var bytes: [UInt8] = []
    fields.appendJSON(to: &bytes)
    write(bytes + [UInt8(ascii: "\n")])
  }
}

/// What there was of a partition.
struct PartitionSummary {
  let path: String
  var segments = 0
  var batches: Int64 = 0
  var records: Int64 = 0
  var bytes: Int64 = 0
  var logStartOffset: Int64 = 0
  var logEndOffset: Int64 = 0
}
