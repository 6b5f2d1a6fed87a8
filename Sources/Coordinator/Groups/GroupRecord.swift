// The records of `__consumer_offsets` that classic groups live by, in Kafka's formats: key type 2
// is a group, key types 0 and 1 are committed offsets; a null value takes it back. Records of other
// types (newer kinds of groups) are passed over.

import KafkaProtocol
import Model

/// A committed offset.
struct CommittedOffset: Equatable {
  var offset: Int64
  /// -1 when the client did not tell.
  var leaderEpoch: Int32 = -1
  var metadata: String
  var commitTimestampMs: Int64
  /// When it expires whatever the group does; -1 for the broker's retention. Only old clients set it.
  var expireTimestampMs: Int64 = -1
}

enum GroupRecord: Equatable {
  /// nil: the group is deleted.
  case group(String, GroupMetadataValue?)
  /// nil: the offset is deleted.
  case offset(group: String, TopicPartition, CommittedOffset?)

  var group: String {
    switch self {
    case .group(let id, _), .offset(let id, _, _): id
    }
  }

  /// Versions that Kafka 4.1 writes.
  private static let groupVersion: Int16 = 3
  private static let offsetVersion: Int16 = 3
  /// The last version with an expiry of its own.
  private static let expiringOffsetVersion: Int16 = 1

  /// Key and value of the record.
  func encoded() throws(WireError) -> (key: [UInt8], value: [UInt8]?) {
    switch self {
    case .group(let id, let value):
      return (
        try GroupMetadataKey(group: id).encodedKey(),
        try value?.encodedVersioned(Self.groupVersion)
      )
    case .offset(let group, let at, let offset):
      let key = OffsetCommitKey(group: group, topic: at.topic, partition: at.partition)
      guard let offset else { return (try key.encodedKey(), nil) }
      let expires = offset.expireTimestampMs >= 0
      let value = OffsetCommitValue(
        offset: offset.offset, leaderEpoch: offset.leaderEpoch, metadata: offset.metadata,
        commitTimestamp: offset.commitTimestampMs, expireTimestamp: offset.expireTimestampMs)
      return (
        try key.encodedKey(),
        try value.encodedVersioned(expires ? Self.expiringOffsetVersion : Self.offsetVersion)
      )
    }
  }

  /// The record with this key and value, or nil when it is of a type that is passed over.
  init?(key: [UInt8], value: [UInt8]?) throws(WireError) {
    if let key = try GroupMetadataKey(decodingKey: key) {
      var group: GroupMetadataValue?
      if let value { group = try GroupMetadataValue(decodingVersioned: value) }
      self = .group(key.group, group)
    } else if let key = try OffsetCommitKey(decodingKey: key) {
      var offset: CommittedOffset?
      if let value { offset = CommittedOffset(try OffsetCommitValue(decodingVersioned: value)) }
      self = .offset(
        group: key.group, TopicPartition(topic: key.topic, partition: key.partition), offset)
    } else if let key = try LegacyOffsetCommitKey(decodingKey: key) {
      var offset: CommittedOffset?
      if let value {
        let old = try LegacyOffsetCommitValue(decodingVersioned: value)
        offset = CommittedOffset(
          offset: old.offset, metadata: old.metadata, commitTimestampMs: old.commitTimestamp)
      }
      self = .offset(
        group: key.group, TopicPartition(topic: key.topic, partition: key.partition), offset)
    } else {
      return nil
    }
  }
}

extension CommittedOffset {
  init(_ value: OffsetCommitValue) {
    self.init(
      offset: value.offset, leaderEpoch: value.leaderEpoch, metadata: value.metadata,
      commitTimestampMs: value.commitTimestamp, expireTimestampMs: value.expireTimestamp)
  }
}

/// Which partition of `__consumer_offsets` a group belongs to.
enum GroupPartition {
  static func of(_ group: String, partitions: Int) -> Int {
    let hash = javaHash(group)
    // Kafka's Utils.abs: the one number without a counterpart becomes 0.
    return Int(hash == .min ? 0 : abs(hash)) % partitions
  }

  /// Java's String.hashCode.
  static func javaHash(_ text: String) -> Int32 {
    text.utf16.reduce(0) { $0 &* 31 &+ Int32($1) }
  }
}
