// The words that every part of Sluice shares. This module imports nothing.

/// One partition of one topic, by name. Topic names obey `TopicName.violation(of:)`.
public struct TopicPartition: Hashable, Sendable, Comparable, CustomStringConvertible {
  public var topic: String
  /// 0-based partition index.
  public var partition: Int32

  public init(topic: String, partition: Int32) {
    self.topic = topic
    self.partition = partition
  }

  /// The name of the partition's directory under `log.dirs`: `<topic>-<partition>`.
  public var description: String { "\(topic)-\(partition)" }

  public static func < (a: Self, b: Self) -> Bool {
    a.topic == b.topic ? a.partition < b.partition : a.topic < b.topic
  }
}

/// Kafka's rule for topic names: 1 to 249 characters of `[a-zA-Z0-9._-]`, neither `.` nor `..`.
public enum TopicName {
  public static let maxLength = 249

  /// Why `name` is not a legal topic name, or nil if it is one.
  public static func violation(of name: String) -> String? {
    if name.isEmpty { return "the empty string is not allowed" }
    if name == "." || name == ".." { return "'.' or '..' is not allowed" }
    if name.utf8.count > maxLength {
      return
        "the length of '\(name.prefix(32))…' is longer than the max allowed length \(maxLength)"
    }
    for byte in name.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "-"):
        continue
      default:
        return
          "'\(name)' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
      }
    }
    return nil
  }

  /// The log of a KRaft quorum, which is no topic although its directory is called like one's.
  public static let clusterMetadata = "__cluster_metadata"

  /// Topics that Kafka keeps for itself: clients see them as internal.
  public static func isInternal(_ name: String) -> Bool {
    name == "__consumer_offsets" || name == "__transaction_state"
  }
}
