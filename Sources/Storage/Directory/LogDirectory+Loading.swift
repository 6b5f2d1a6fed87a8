// Taking in a partition that is on disk: names and sizes of its files, nothing more.

import Linux
import Model

/// A partition's directory and what the checkpoints say of it.
struct FoundPartition {
  let partition: TopicPartition
  let recoveryPoint: Int64
  let logStartOffset: Int64
  let isClean: Bool
}

extension LogDirectory {
  func load(_ found: FoundPartition, _ settings: LogSettings) throws(StorageError) -> PartitionLog {
    let device = environment.device
    let directory = "\(path)/\(found.partition)"
    let names = try about("list", directory) { () throws(Errno) in try File.names(in: directory) }
    var segments: [LogSegment] = []
    for name in names {
      if name.hasSuffix(LogFileName.swapSuffix) {
        throw StorageError(
          "open", directory, .format("a compaction by Kafka was not finished (\(name))"))
      }
      if name.hasSuffix(LogFileName.deletedSuffix) || name.hasSuffix(LogFileName.cleanedSuffix) {
        let stray = "\(directory)/\(name)"
        try about("remove", stray) { () throws(Errno) in try device.remove(stray) }
      }
      guard let (offset, kind) = LogFileName.parse(name), kind == .log else { continue }
      let size = try about("stat", "\(directory)/\(name)") { () throws(Errno) in
        try File.status("\(directory)/\(name)").size
      }
      segments.append(LogSegment(baseOffset: offset, size: size))
    }
    segments.sort { $0.baseOffset < $1.baseOffset }
    let topicId = try PartitionMetadata.read(
      "\(directory)/\(LogFileName.partitionMetadata)", device)
    let isNew = segments.isEmpty
    if isNew { segments = [LogSegment(baseOffset: found.logStartOffset, size: 0)] }
    let log = PartitionLog(
      found.partition, topicId: topicId ?? .zero, settings: settings, segments: segments,
      logStartOffset: max(found.logStartOffset, segments[0].baseOffset),
      logEndOffset: segments[segments.count - 1].baseOffset, recoveryPoint: found.recoveryPoint,
      in: self)
    if isNew { _ = try log.createFiles(of: log.activeSegment) }
    if segments.count > 1 || log.activeSegment.size > 0 {
      // After a clean stop the recovery point is the end of the log. One that cannot be is no news.
      let canBeEnd = found.recoveryPoint >= log.activeSegment.baseOffset
      log.needsRecovery = !found.isClean || !canBeEnd
      if !log.needsRecovery { log.logEndOffset = found.recoveryPoint }
    }
    return log
  }
}
