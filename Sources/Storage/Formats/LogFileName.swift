// Names of files and directories below a log directory (Kafka's LogFileUtils, LocalLog).
//
//   <topic>-<partition>/                          a partition
//   <topic>-<partition>.<32 hex digits>-delete/   a partition on its way out
//   <20-digit base offset>.log                    record batches of one segment
//   <20-digit base offset>.index                  offset index of that segment
//   <20-digit base offset>.timeindex              time index of that segment
//   <20-digit base offset>.txnindex               aborted transactions of that segment
//   <20-digit offset>.snapshot                    producers as of that offset
//   leader-epoch-checkpoint, partition.metadata
//   *.deleted                                     a segment's file on its way out
//   *.cleaned, *.swap                             left by Kafka: half compacted, half swapped

import Model

/// What a file of a partition is, by its name.
enum LogFileKind: String, CaseIterable, Sendable {
  case log
  case index
  case timeindex
  case txnindex
  case snapshot
}

enum LogFileName {
  static let leaderEpochCheckpoint = "leader-epoch-checkpoint"
  static let partitionMetadata = "partition.metadata"
  static let deletedSuffix = ".deleted"
  static let cleanedSuffix = ".cleaned"
  static let swapSuffix = ".swap"

  static func name(_ kind: LogFileKind, _ offset: Int64) -> String {
    let digits = String(offset)
    return String(repeating: "0", count: max(0, 20 - digits.utf8.count)) + digits + "."
      + kind.rawValue
  }

  /// Base offset and kind of a file called `name`, or nil when it is none of a segment's files.
  static func parse(_ name: String) -> (offset: Int64, kind: LogFileKind)? {
    guard name.utf8.count > 21, name.utf8.prefix(20).allSatisfy({ $0 >= 48 && $0 <= 57 }),
      let offset = Int64(name.prefix(20)), name.dropFirst(20).first == ".",
      let kind = LogFileKind(rawValue: String(name.dropFirst(21)))
    else { return nil }
    return (offset, kind)
  }
}

/// Names of directories below a log directory.
public enum PartitionDirectory: Equatable, Sendable {
  case partition(TopicPartition)
  /// To be removed: a partition that was deleted.
  case deleted
  /// Something else, which is left alone.
  case other

  static let deleteSuffix = "-delete"
  /// Longest name of a directory (NAME_MAX).
  static let nameMax = 255

  public init(_ name: String) {
    if Self.isDeleted(name) {
      self = .deleted
      return
    }
    guard let dash = name.lastIndex(of: "-") else {
      self = .other
      return
    }
    let topic = String(name[..<dash])
    let digits = name[name.index(after: dash)...]
    guard TopicName.violation(of: topic) == nil, topic != TopicName.clusterMetadata,
      let partition = Int32(digits), partition >= 0,
      String(partition) == digits
    else {
      self = .other
      return
    }
    self = .partition(TopicPartition(topic: topic, partition: partition))
  }

  /// A new name for a partition on its way out; the topic is cut where the name would be too long.
  static func deletedName(_ partition: TopicPartition) -> String {
    let id = UUID128.random()
    let suffix = ".\(hex(id.high))\(hex(id.low))\(deleteSuffix)"
    let kept = partition.description.utf8.prefix(nameMax - suffix.utf8.count)
    return String(decoding: kept, as: UTF8.self) + suffix
  }

  private static func isDeleted(_ name: String) -> Bool {
    guard name.hasSuffix(deleteSuffix) else { return false }
    let rest = name.utf8.dropLast(deleteSuffix.utf8.count)
    let id = rest.suffix(32)
    return id.count == 32 && id.allSatisfy { Unicode.Scalar($0).properties.isHexDigit }
      && rest.dropLast(32).last == UInt8(ascii: ".")
  }

  private static func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }
}
