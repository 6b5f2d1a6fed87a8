// Incremental fetch sessions (KIP-227): what a client wants of which partitions is kept here, so that
// its requests and our responses carry only what has changed.

/// One session. It ends with the connection that it was used on last.
final class FetchSession {
  let id: Int32
  /// The epoch that the next request must have.
  var epoch: Int32
  let partitions: FetchPartitions
  let createdNs: UInt64
  var lastUsedNs: UInt64
  /// Partitions that the cache has counted.
  var countedPartitions = 0
  /// The client that used it last.
  var client: Int32

  init(id: Int32, partitions: FetchPartitions, client: Int32, nowNs: UInt64) {
    self.id = id
    self.partitions = partitions
    self.client = client
    epoch = 1
    createdNs = nowNs
    lastUsedNs = nowNs
  }

  /// The epoch after `epoch`: 0 is left to new sessions.
  static func epoch(after epoch: Int32) -> Int32 { epoch == .max ? 1 : epoch + 1 }
}
