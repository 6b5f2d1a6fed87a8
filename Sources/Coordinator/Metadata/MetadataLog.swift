// The metadata state and its store, kept together: records are committed first and replayed then.
// Whoever wants to change metadata computes records and hands them to `commit`.

import Model

final class MetadataLog {
  private let store: any MetadataStore
  private(set) var state = MetadataState()
  /// Versions of the nodes in the store, by path.
  private var versions: [NodePath: Int64] = [:]
  /// Ids of deleted topics that are remembered, so that the store does not grow for ever.
  private static let deletedIdsMax = 100_000

  /// Reads the whole store.
  init(_ store: any MetadataStore) throws(StoreError) {
    self.store = store
    if let node = try store.node(MetadataRecord.clusterPath) {
      take(node, .clusterId(String(decoding: node.value, as: UTF8.self)))
    }
    if let node = try store.node(MetadataRecord.producerIdsPath) {
      take(node, .producerIdsReserved(next: try NodeValue.number(node)))
    }
    for node in try store.children(of: MetadataRecord.configsPath) {
      take(node, try NodeValue.brokerConfigs(node))
    }
    for node in try store.children(of: MetadataRecord.topicsPath) {
      take(node, .topic(try NodeValue.topic(node)))
    }
    for node in try store.children(of: MetadataRecord.deletionsPath) {
      take(node, .topicDeleted(try NodeValue.deletedTopic(node)))
    }
  }

  /// Commits the records in one transaction, replays them, then calls `then`.
  func commit(_ records: [MetadataRecord], then: (StoreError?) -> Void) {
    var changes: [NodeChange] = []
    for record in records { changes += record.changes { versions[$0] } }
    store.commit(changes) { result in
      switch result {
      case .failure(let error): then(error)
      case .success:
        for change in changes { note(change) }
        for record in records { state.replay(record) }
        then(nil)
      }
    }
  }

  /// Whether the logs of the topic with this id were deleted once.
  func wasDeleted(_ id: UUID128) throws(StoreError) -> Bool {
    if state.deletions[id] != nil { return true }
    return try store.node(MetadataRecord.deletedPath(id)) != nil
  }

  /// Forgets ids of deleted topics above the limit; called once, at start-up.
  func pruneDeletedIds() throws(StoreError) {
    let nodes = try store.children(of: MetadataRecord.deletedPath)
    guard nodes.count > Self.deletedIdsMax else { return }
    let surplus = nodes.prefix(nodes.count - Self.deletedIdsMax)
    var failure: StoreError?
    store.commit(surplus.map { .delete($0.path, version: $0.version) }) { result in
      if case .failure(let error) = result { failure = error }
    }
    if let failure { throw failure }
  }

  func close() throws(StoreError) { try store.close() }

  private func take(_ node: StoredNode, _ record: MetadataRecord) {
    versions[node.path] = node.version
    state.replay(record)
  }

  private func note(_ change: NodeChange) {
    switch change {
    case .create(let path, _): if !path.hasPrefix(MetadataRecord.deletedPath) { versions[path] = 0 }
    case .set(let path, _, let version): versions[path] = version + 1
    case .delete(let path, _): versions[path] = nil
    case .createEphemeral: break
    }
  }
}
