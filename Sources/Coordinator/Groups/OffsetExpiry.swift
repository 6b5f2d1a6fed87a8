// Which committed offsets have been kept long enough (`offsets.retention.minutes`). Pure; the rules
// are those of Kafka's `OffsetExpirationCondition`:
//
// - an offset with an expiry of its own (old clients) goes when that has passed;
// - a group whose members have all left keeps its offsets from that moment on;
// - a stable group of consumers keeps those of topics that it reads, others from their commit on;
// - offsets without a group (assigned by hand) are kept from their commit on.

import KafkaProtocol
import Model

enum OffsetExpiry {
  /// The tombstones to write for a group, with its own when nothing is left of it.
  static func records(
    _ id: String, _ committed: CommittedGroup, session: ClassicGroup?, nowMs: Int64,
    retentionMs: Int64
  ) -> [GroupRecord] {
    var records: [GroupRecord] = []
    var kept = 0
    for at in committed.partitionsInOrder {
      guard let offset = committed.offset(at.topic, at.partition) else { continue }
      if isExpired(offset, at.topic, session, nowMs: nowMs, retentionMs: retentionMs) {
        records.append(.offset(group: id, at, nil))
      } else {
        kept += 1
      }
    }
    let isEmpty = session.map { $0.phase == .empty && $0.pendingMembers.isEmpty } ?? true
    if kept == 0, isEmpty, committed.metadata != nil { records.append(.group(id, nil)) }
    return records
  }

  private static func isExpired(
    _ offset: CommittedOffset, _ topic: String, _ session: ClassicGroup?, nowMs: Int64,
    retentionMs: Int64
  ) -> Bool {
    let sinceMs: Int64
    if let session, session.protocolType != nil {
      switch session.phase {
      case .empty:
        sinceMs = session.phaseSinceMs >= 0 ? session.phaseSinceMs : offset.commitTimestampMs
      case .stable:
        guard let topics = session.subscribedTopics, !topics.contains(topic) else { return false }
        sinceMs = offset.commitTimestampMs
      case .preparingRebalance, .completingRebalance, .dead: return false
      }
    } else {
      sinceMs = offset.commitTimestampMs
    }
    if offset.expireTimestampMs >= 0 { return offset.expireTimestampMs <= nowMs }
    return nowMs - sinceMs >= retentionMs
  }
}

extension ClassicGroup {
  /// The topics that the members of a group of consumers subscribe to, or nil when that cannot be
  /// known.
  var subscribedTopics: Set<String>? {
    guard protocolType == "consumer", let protocolName else { return nil }
    var topics: Set<String> = []
    for member in members.values {
      let metadata = member.metadata(for: protocolName)
      // A subscription is a version and the fields of that version; unknown later versions begin
      // like the last one that we know.
      guard metadata.count >= 2 else { return nil }
      let version = Int16(metadata[0]) << 8 | Int16(metadata[1])
      guard version >= 0,
        let subscription = try? ConsumerProtocolSubscription(
          readingPrefixOf: Array(metadata.dropFirst(2)),
          version: min(version, ConsumerProtocolSubscription.validVersions.upperBound))
      else { return nil }
      topics.formUnion(subscription.topics)
    }
    return topics
  }
}

extension ConsumerProtocolSubscription {
  fileprivate init(readingPrefixOf bytes: [UInt8], version: Int16) throws(WireError) {
    var reader = WireReader(bytes.span.bytes)
    try self.init(reading: &reader, version: version)
  }
}
