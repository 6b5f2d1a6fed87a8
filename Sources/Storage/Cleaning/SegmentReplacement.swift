// Putting a cleaned segment in the place of the segments it was made from, so that a crash at any
// moment leaves the old ones or the new one (Kafka's LocalLog.replaceSegments, with its file names).
// Kafka opens whatever is left behind, and so do we (`SwapRecovery`).
//
//   step      on the disk                                     made durable, beside the loop
//   checked   a file without a name                           the file
//   named     X.index.cleaned …, X.log.cleaned                the files, their names, Y.snapshot
//   swapped   renamed to *.swap: from here on it is valid     the names
//   retired   old files renamed to *.deleted                  the names
//   done      *.swap renamed to their own names               –
//
// X is the base offset of the first segment that goes; its producer snapshot stays. Y is that of the
// segment behind the last one. Its snapshot has the producers as of there, all remembered batches of
// each; the new segment has what is left of them, so from it and X's snapshot they could not be told
// any more. A roll at an offset that was on disk already does not wait for its snapshot, hence the
// sync here. Kafka makes none: after a crash it may know a producer's last batch only, which cleaning
// leaves alone, as it does here.
//
// From `retired` on readers get the new segment. The old files are unlinked after `done` and
// `file.delete.delay.ms`: never while the disk may still know them by their own names. Readers that
// have them open keep what they have.
//
// The loop calls `next` for each step and has what it returns done on another thread before it calls
// again. A step that fails before `swapped` leaves the log as it was.

import Linux
import Model
import Records

public final class SegmentReplacement {
  /// What is to be done before the next step, beside the loop.
  public enum Work {
    case check(CleanedFile)
    /// fsync(2) of these descriptors, which stay open as long as this object.
    case sync([Int32])
  }

  public enum Failure: Error {
    /// The file is not what a cleaner may have written.
    case defect(String)
    /// The log has changed since: the segments are not there any more.
    case outdated
    case storage(StorageError)
  }

  private enum Step {
    case begun
    case checked
    case named
    case swapped
    case retired
    case done
    case abandoned
  }

  public let log: PartitionLog
  public let baseOffset: Int64
  public let lastBaseOffset: Int64
  /// Base offsets of the segments that go: for readers that have them open.
  public var goneOffsets: Range<Int64> { baseOffset..<lastBaseOffset + 1 }
  /// The new segment is the log's: readers are to let the old ones go.
  public var isRetired: Bool { step == .retired || step == .done }
  private let file: OwnedFD
  private let size: Int64
  private let aborted: [AbortedTransaction]
  private let old: [LogSegment]
  /// Base offset of the segment behind the last one that goes.
  private let endOffset: Int64
  private let checkedFile: CleanedFile
  private var opened: [FileBox] = []
  /// The old files, on their way out.
  private var doomed: [DoomedSegment] = []
  private var step = Step.begun

  private final class FileBox {
    let file: OwnedFD
    init(_ file: consuming OwnedFD) { self.file = file }
  }

  /// - Parameters:
  ///   - file: what a cleaner has written.
  ///   - size: how many bytes it says it has written.
  ///   - offsets: base offsets of the first and the last segment that go.
  public init(
    of log: PartitionLog, by file: consuming OwnedFD, size: Int64, offsets: ClosedRange<Int64>,
    abortedTransactions: [AbortedTransaction]
  ) throws(Failure) {
    guard let first = log.segments.firstIndex(where: { $0.baseOffset == offsets.lowerBound }),
      let last = log.segments.firstIndex(where: { $0.baseOffset == offsets.upperBound }),
      first <= last, last + 1 < log.segments.count, !log.isOffline, log.swapBaseOffset < 0
    else { throw .outdated }
    self.log = log
    self.size = size
    baseOffset = offsets.lowerBound
    lastBaseOffset = offsets.upperBound
    aborted = abortedTransactions
    old = Array(log.segments[first...last])
    endOffset = log.segments[last + 1].baseOffset
    let newest: Int64
    do throws(StorageError) {
      let path = log.path(.log, offsets.upperBound)
      newest = try about("stat", path) { () throws(Errno) in try File.status(path).modifiedMs }
    } catch { throw .storage(error) }
    self.file = file
    checkedFile = CleanedFile(
      descriptor: self.file.rawValue, size: size, baseOffset: offsets.lowerBound,
      endOffset: endOffset,
      indexIntervalBytes: log.settings.config.indexIntervalBytes, modifiedMs: newest)
  }

  /// Takes the next step.
  /// - Returns: what to do before the one after it; nil when all is done.
  public func next() throws(Failure) -> Work? {
    switch step {
    case .begun:
      step = .checked
      return .check(checkedFile)
    case .checked:
      if let failure = checkedFile.failure {
        throw .storage(StorageError("read back", log.path(.log, baseOffset), .system(failure)))
      }
      if let defect = checkedFile.defect { throw .defect(defect) }
      guard isCurrent else { throw .outdated }
      try attempt { () throws(StorageError) in try name() }
      step = .named
      return .sync([file.rawValue] + opened.map { $0.file.rawValue })
    case .named:
      guard isCurrent else { return try giveUp(.outdated) }
      try attempt { () throws(StorageError) in try rename(.cleaned, .swap) }
      step = .swapped
      return .sync([directoryDescriptor])
    case .swapped:
      guard isCurrent else { return try giveUp(.outdated) }
      try retire()
      step = .retired
      return .sync([directoryDescriptor])
    case .retired:
      try finish()
      step = .done
      return nil
    case .done, .abandoned: return nil
    }
  }

  /// What was to be done beside the loop failed: before `retired` the log stays as it was, after it
  /// the partition is offline, because its names are uncertain.
  public func failed(_ error: Errno) -> StorageError {
    let failure = StorageError("sync", log.path, .system(error))
    if step == .retired { log.fail(failure) } else { abandon() }
    return failure
  }

  /// Takes back what has been done, if it was not `retired`.
  public func abandon() {
    switch step {
    case .begun, .checked, .retired, .done, .abandoned: return
    case .named, .swapped: break
    }
    step = .abandoned
    do throws(StorageError) {
      // As long as there is a .cleaned of this offset, a .swap of it does not count; without its .log
      // one would be taken for the rest of a replacement that was done.
      try rename(.swap, .cleaned)
      try log.device.syncDirectory(log.path)
      try remove(.cleaned)
    } catch {
      // The next start removes them.
    }
  }

  // MARK: Steps

  private enum Suffix: String {
    case cleaned = ".cleaned"
    case swap = ".swap"
    case none = ""
  }

  private static let kinds: [LogFileKind] = [.log, .index, .timeindex, .txnindex]

  private var isCurrent: Bool {
    guard !log.isOffline,
      let first = log.segments.firstIndex(where: { $0.baseOffset == baseOffset }),
      first + old.count < log.segments.count
    else { return false }
    return Array(log.segments[first..<first + old.count]) == old
  }

  private var directoryDescriptor: Int32 { opened[opened.count - 1].file.rawValue }

  private func giveUp(_ failure: Failure) throws(Failure) -> Work? {
    abandon()
    throw failure
  }

  /// Does something that may be taken back.
  private func attempt(_ body: () throws(StorageError) -> Void) throws(Failure) {
    do throws(StorageError) { try body() } catch {
      step = .named
      abandon()
      throw .storage(error)
    }
  }

  private func path(_ kind: LogFileKind, _ suffix: Suffix) -> String {
    "\(log.path)/\(LogFileName.name(kind, baseOffset))\(suffix.rawValue)"
  }

  private func name() throws(StorageError) {
    let device = log.device
    try remove(.cleaned)
    try write(.index, checkedFile.offsetIndex)
    try write(.timeindex, checkedFile.timeIndex)
    if !aborted.isEmpty { try write(.txnindex, TransactionIndex.encode(aborted)) }
    let logPath = path(.log, .cleaned)
    try about("link", logPath) { () throws(Errno) in try device.link(file, to: logPath) }
    try openSnapshot()
    let directory = try about("open", log.path) { () throws(Errno) in
      FileBox(try device.open(log.path, [.readOnly, .directory]))
    }
    opened.append(directory)
  }

  /// Has the producers as of `endOffset` synced, if there are any.
  private func openSnapshot() throws(StorageError) {
    let path = log.path(.snapshot, endOffset)
    do throws(Errno) { opened.append(FileBox(try log.device.open(path, .readOnly))) } catch {
      if !error.isNotFound { throw StorageError("open", path, .system(error)) }
    }
  }

  private func write(_ kind: LogFileKind, _ bytes: [UInt8]) throws(StorageError) {
    let path = path(kind, .cleaned)
    let device = log.device
    let box = try about("write", path) { () throws(Errno) in
      let file = try device.open(path, [.readWrite, .create, .truncate])
      try bytes.withRawBytes { raw throws(Errno) in try device.write(file, raw, at: 0) }
      return FileBox(file)
    }
    opened.append(box)
  }

  /// From now on the new segment is the log's.
  private func retire() throws(Failure) {
    guard let first = log.segments.firstIndex(where: { $0.baseOffset == baseOffset }) else {
      throw .outdated
    }
    log.segments.replaceSubrange(
      first..<first + old.count, with: [LogSegment(baseOffset: baseOffset, size: size)])
    log.swapBaseOffset = baseOffset
    log.replaceTransactionIndexes(goneOffsets, by: aborted.isEmpty ? nil : baseOffset)
    let dueMs = Clock.wallMs() &+ log.settings.config.fileDeleteDelayMs
    do throws(StorageError) {
      for segment in old {
        doomed.append(
          try log.directory.putAside(
            segment.baseOffset, of: log.partition, dueMs: dueMs,
            butSnapshot: segment.baseOffset == baseOffset))
      }
    } catch {
      log.fail(error)
      throw .storage(error)
    }
  }

  private func finish() throws(Failure) {
    if log.isOffline { return }
    log.directory.doomed += doomed
    log.swapBaseOffset = -1
    do throws(StorageError) {
      // Retention may have taken the segment meanwhile.
      let isThere = log.segments.contains { $0.baseOffset == baseOffset }
      if isThere { try rename(.swap, .none) } else { try remove(.swap) }
    } catch {
      log.fail(error)
      throw .storage(error)
    }
  }

  private func rename(_ from: Suffix, _ to: Suffix) throws(StorageError) {
    for kind in Self.kinds {
      let (source, target) = (path(kind, from), path(kind, to))
      do throws(Errno) { try log.device.rename(source, to: target) } catch {
        if !error.isNotFound { throw StorageError("rename", source, .system(error)) }
      }
    }
  }

  /// The .log goes last: as long as it is there, the others mean nothing.
  private func remove(_ suffix: Suffix) throws(StorageError) {
    for kind in Self.kinds.reversed() {
      let path = path(kind, suffix)
      try about("remove", path) { () throws(Errno) in try log.device.remove(path) }
    }
  }
}
