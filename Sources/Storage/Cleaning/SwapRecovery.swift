// Finishing or forgetting a replacement of segments that a crash interrupted, of ours or of Kafka's
// (Kafka's LogLoader.load); see `SegmentReplacement` for the steps.
//
//   - *.cleaned: not finished. They go, and with them every *.swap of the same or a later offset,
//     whose other files may still have been *.cleaned.
//   - *.swap that are left are valid. The segments that they stand for go, then they get their own
//     names. Segments behind the last batch of a *.swap stay: there may be some whose records
//     compaction had removed, which is not wrong.

import Linux
import Model
import Records

struct SwapRecovery {
  private let directory: String
  private let environment: LogEnvironment

  init(_ directory: String, _ environment: LogEnvironment) {
    self.directory = directory
    self.environment = environment
  }

  /// Brings the files of a partition into order.
  /// - Parameter names: what is in its directory.
  /// - Returns: what is in it afterwards.
  func recover(_ names: [String]) throws(StorageError) -> [String] {
    let cleaned = names.compactMap { Self.file($0, LogFileName.cleanedSuffix) }
    var swaps = names.compactMap { Self.file($0, LogFileName.swapSuffix) }
    if cleaned.isEmpty, swaps.isEmpty { return names }
    if let least = cleaned.map(\.offset).min() {
      for swap in swaps where swap.offset >= least {
        try remove(LogFileName.name(swap.kind, swap.offset) + LogFileName.swapSuffix)
      }
      swaps.removeAll { $0.offset >= least }
      for file in cleaned {
        try remove(LogFileName.name(file.kind, file.offset) + LogFileName.cleanedSuffix)
      }
    }
    if swaps.isEmpty { return try list() }
    // If only the process had died, the disk may not know the *.swap yet: not before it does may what
    // they stand for go, and not before that is gone may they have its names.
    try sync()
    for swap in swaps where swap.kind == .log { try removeReplaced(by: swap.offset, names) }
    try sync()
    for swap in swaps {
      let name = "\(directory)/\(LogFileName.name(swap.kind, swap.offset))"
      try about("rename", name) { () throws(Errno) in
        try environment.device.rename(name + LogFileName.swapSuffix, to: name)
      }
    }
    return try list()
  }

  private func list() throws(StorageError) -> [String] {
    try about("list", directory) { () throws(Errno) in try File.names(in: directory) }
  }

  private static func file(_ name: String, _ suffix: String) -> (offset: Int64, kind: LogFileKind)?
  {
    name.hasSuffix(suffix) ? LogFileName.parse(String(name.dropLast(suffix.utf8.count))) : nil
  }

  /// Removes the files of the segments from `offset` to the last batch of its .log.swap.
  private func removeReplaced(by offset: Int64, _ names: [String]) throws(StorageError) {
    let end = try endOffset(ofSwap: offset)
    for name in names {
      guard let file = LogFileName.parse(name), file.offset >= offset,
        file.offset < max(end, offset + 1), file.kind != .snapshot || file.offset > offset
      else { continue }
      try remove(name)
    }
  }

  private func endOffset(ofSwap offset: Int64) throws(StorageError) -> Int64 {
    let path = "\(directory)/\(LogFileName.name(.log, offset))\(LogFileName.swapSuffix)"
    let (file, size) = try about("open", path) { () throws(Errno) in
      let file = try environment.device.open(path, .readOnly)
      let size = try File.status(file).size
      return (FileBox(file), size)
    }
    let end = try environment.scanner.scan(
      file.file, path: path, from: 0, size: size, segmentBase: offset, nextOffset: offset,
      nextSegmentBase: nil, checkedFrom: .max
    ) { (_, _, _) throws(StorageError) in }
    if let defect = end.defect {
      throw StorageError(
        "open", path, .corruption(defect, offsets: end.nextOffset..<end.nextOffset + 1))
    }
    return end.nextOffset
  }

  private final class FileBox {
    let file: OwnedFD
    init(_ file: consuming OwnedFD) { self.file = file }
  }

  private func remove(_ name: String) throws(StorageError) {
    let path = "\(directory)/\(name)"
    try about("remove", path) { () throws(Errno) in try environment.device.remove(path) }
  }

  private func sync() throws(StorageError) {
    let device = environment.device
    try about("sync", directory) { () throws(Errno) in
      try device.sync(try device.open(directory, [.readOnly, .directory]))
    }
  }
}
