// Committed offsets over time: they expire, and they go with their topic.

import Model

extension GroupCoordinator {
  /// Looks for expired offsets from time to time, as long as there are any offsets or groups.
  func watchExpiry() {
    guard expiryTimer == nil, shards.contains(where: { !$0.committed.groups.isEmpty }) else {
      return
    }
    expiryTimer = timers.after(settings.offsetsRetentionCheckIntervalMs) { [unowned self] in
      expiryTimer = nil
      expireOffsets()
      watchExpiry()
    }
  }

  private func expireOffsets() {
    let nowMs = clock.wallMs
    for index in shards.indices where shards[index].phase == .active {
      for (id, group) in shards[index].committed.groups.sorted(by: { $0.key < $1.key }) {
        let records = OffsetExpiry.records(
          id, group, session: shards[index].sessions[id], nowMs: nowMs,
          retentionMs: settings.offsetsRetentionMs)
        if !records.isEmpty { append(records, group: id) { [unowned self] _ in forget(id) } }
      }
    }
  }

  /// Takes back the offsets of topics that were deleted.
  func topicsDeleted(_ topics: [Topic]) {
    if topics.contains(where: { $0.name == Self.topicName }) { drop(.notCoordinator) }
    let names = Set(topics.map(\.name))
    for shard in shards where shard.phase == .active {
      for (id, group) in shard.committed.groups.sorted(by: { $0.key < $1.key }) {
        let records = group.partitionsInOrder.filter { names.contains($0.topic) }.map {
          GroupRecord.offset(group: id, $0, nil)
        }
        if !records.isEmpty { append(records, group: id) { _ in } }
      }
    }
  }

  /// Drops the session of a group that was deleted from the log, if nobody has joined meanwhile.
  func forget(_ group: String) {
    guard let index = shardIndex(group), shards[index].committed[group]?.metadata == nil,
      let session = shards[index].sessions[group], session.phase == .empty,
      session.pendingMembers.isEmpty
    else { return }
    shards[index].sessions[group] = nil
  }
}
