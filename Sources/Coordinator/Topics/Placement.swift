// Where the partitions of topics lie at this moment: what the logwriter answered. Soft state: a new
// logwriter means new places.

import IPC
import Model

/// What is known of one partition's log.
enum PartitionPlace: Equatable {
  /// The logwriter has not answered yet.
  case pending
  case open(SlotRef)
  /// It cannot be used; the text is for people.
  case failed(ErrorCode, String)

  init(_ state: PartitionState) {
    self =
      state.error == .none && state.slot != PartitionImage.noSlot
      ? .open(SlotRef(slot: state.slot, generation: state.generation))
      : .failed(
        state.error == .none ? .kafkaStorageError : state.error, state.detail)
  }

  var slot: SlotRef? { if case .open(let ref) = self { ref } else { nil } }

  /// It cannot be used, and will not come by itself.
  var isOffline: Bool {
    if case .failed(let error, _) = self { error == .kafkaStorageError } else { false }
  }
}

struct Placement: Equatable {
  private var places: [UUID128: [PartitionPlace]] = [:]
  /// Partitions that cannot be used; one that is being recovered is not one of them.
  private(set) var offlineCount = 0

  /// The place of a partition of a topic that exists.
  func place(_ id: UUID128, _ partition: Int) -> PartitionPlace {
    guard let topic = places[id], partition < topic.count else { return .pending }
    return topic[partition]
  }

  /// Makes room for the partitions of a topic, keeping what is known.
  mutating func expect(_ topic: Topic) {
    let known = places[topic.id] ?? []
    places[topic.id] =
      known + Array(repeating: .pending, count: max(0, topic.partitionCount - known.count))
  }

  /// Takes an answer over; false when the partition is not expected (deleted meanwhile).
  mutating func set(_ state: PartitionState) -> Bool {
    let partition = Int(state.name.partition)
    guard let topic = places[state.name.topicId], topic.indices.contains(partition) else {
      return false
    }
    let place = PartitionPlace(state)
    offlineCount += (place.isOffline ? 1 : 0) - (topic[partition].isOffline ? 1 : 0)
    places[state.name.topicId]?[partition] = place
    return true
  }

  mutating func forget(_ id: UUID128) {
    offlineCount -= places.removeValue(forKey: id)?.count { $0.isOffline } ?? 0
  }

  /// All partitions of the topic from `first` on have been answered.
  func isSettled(_ id: UUID128, from first: Int) -> Bool {
    places[id]?.dropFirst(first).contains(.pending) == false
  }

  /// The first of the partitions from `first` on that failed, if one did.
  func failure(_ id: UUID128, from first: Int) -> (error: ErrorCode, detail: String)? {
    for case .failed(let error, let detail) in places[id]?.dropFirst(first) ?? [] {
      return (error, detail)
    }
    return nil
  }

  func image(_ topic: Topic, _ settings: ImageSettings) -> TopicImage {
    let known = places[topic.id] ?? []
    return TopicImage(
      name: topic.name, id: topic.id, maxMessageBytes: settings.maxMessageBytes,
      partitions: topic.leaderEpochs.enumerated().map { index, leaderEpoch in
        let place = index < known.count ? known[index] : .pending
        let none = place.isOffline ? PartitionImage.offlineSlot : PartitionImage.noSlot
        return PartitionImage(
          slot: place.slot?.slot ?? none, generation: place.slot?.generation ?? 0,
          leaderEpoch: leaderEpoch)
      },
      logAppendTime: settings.logAppendTime,
      timestampBeforeMaxMs: settings.timestampBeforeMaxMs,
      timestampAfterMaxMs: settings.timestampAfterMaxMs, requiresKeys: settings.requiresKeys,
      minInsyncReplicas: settings.minInsyncReplicas, compression: settings.compression)
  }
}
