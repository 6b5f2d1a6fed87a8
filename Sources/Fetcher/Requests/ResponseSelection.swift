// Which partitions a response names, and what their session remembers of that.

import Model

enum ResponseSelection {
  /// Puts the places of the targets to be answered into `selected`, in order.
  ///
  /// A full request is answered for every partition. In a session only what has changed is told
  /// (Kafka's `CachedPartition.maybeUpdateResponseData`): records, errors, a high watermark or a
  /// log start offset other than those told last.
  static func select(_ fetch: ActiveFetch, into selected: inout [Int32]) {
    selected.removeAll(keepingCapacity: true)
    let isIncremental = fetch.session != nil
    var place = fetch.partitions.first
    while place >= 0 {
      let changed = remember(&fetch.partitions.targets[Int(place)])
      if changed || !isIncremental { selected.append(place) }
      place = fetch.partitions.targets[Int(place)].next
    }
  }

  /// How many topics the response names: neighbours of one topic share its entry.
  static func topicRuns(_ selected: [Int32], _ partitions: FetchPartitions) -> Int {
    var runs = 0
    var previous: Int32 = -1
    for place in selected {
      let topic = partitions.targets[Int(place)].topic
      if topic != previous { runs += 1 }
      previous = topic
    }
    return runs
  }

  /// - Returns: whether the client has to be told.
  private static func remember(_ target: inout FetchTarget) -> Bool {
    let found = target.found
    if found.error != .none || found.divergingEpoch != nil {
      // When the error goes away, the partition is told again whatever its state.
      target.toldHighWatermark = -1
      return true
    }
    let changed =
      found.count > 0 || found.highWatermark != target.toldHighWatermark
      || found.logStartOffset != target.toldLogStartOffset
    target.toldHighWatermark = found.highWatermark
    target.toldLogStartOffset = found.logStartOffset
    return changed
  }
}
