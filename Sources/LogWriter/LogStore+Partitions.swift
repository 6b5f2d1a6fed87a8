// Creating, taking up and deleting partitions, as the coordinator asks.

import IPC
import Model
import Service
import Storage

extension LogStore {
  /// Creates the partition, or takes up the one that is there with the same topic id.
  func create(_ spec: PartitionSpec) -> PartitionState {
    let partition = TopicPartition(topic: spec.name.topic, partition: spec.name.partition)
    func refused(_ error: ErrorCode, _ detail: String) -> PartitionState {
      PartitionState(
        name: spec.name, slot: PartitionImage.noSlot, generation: 0, error: error, detail: detail)
    }
    let settings = settings(of: spec.name.topicId, spec.config)
    if let known = find(partition) {
      // A directory that Kafka wrote before topics had ids has none: it is taken as it is.
      guard known.topicId == spec.name.topicId || known.topicId == .zero else {
        return refused(.inconsistentTopicId, "on disk is topic id \(known.topicId)")
      }
      known.settings = settings
      known.lead(spec.leaderEpoch)
      if let slot = slotByPartition[partition] {
        markChanged(slot)
        retention.touch(slot)
      }
      return state(of: known).named(spec.name)
    }
    guard slotByPartition.count < ScoreboardLayout.capacity else {
      return refused(.kafkaStorageError, "a broker holds \(ScoreboardLayout.capacity) partitions")
    }
    if hasOfflineDirectory, !spec.isNew {
      return refused(.kafkaStorageError, "it may be in a log directory that is offline")
    }
    guard let home else { return refused(.kafkaStorageError, "there is no log directory") }
    do throws(StorageError) {
      let made = try withBallast(home) { () throws(StorageError) in
        try home.create(partition, topicId: spec.name.topicId, settings: settings)
      }
      made.lead(spec.leaderEpoch)
      assignSlot(made)
      return state(of: made)
    } catch {
      tell(.partitionChangeFailed, partition, "cannot create a partition: \(error)")
      // Another directory may take it.
      if giveUp(home, error), lastFailure == nil { return create(spec) }
      return refused(.kafkaStorageError, "\(error)")
    }
  }

  /// Deletes partitions; their files go later, in slices.
  /// - Parameter released: is told the slots that are free now.
  func delete(_ names: [PartitionName], released: (UInt32) -> Void) -> [PartitionState] {
    var answers: [PartitionState] = []
    for directory in directories {
      let here = names.filter { name in
        let log = directory.logs[TopicPartition(topic: name.topic, partition: name.partition)]
        return log.map { $0.topicId == name.topicId || $0.topicId == .zero } ?? false
      }
      if here.isEmpty { continue }
      let partitions = here.map { TopicPartition(topic: $0.topic, partition: $0.partition) }
      for partition in partitions {
        if let slot = slotByPartition.removeValue(forKey: partition) {
          releaseSlot(slot)
          released(slot)
        }
        unrecovered.removeAll { $0.partition == partition }
      }
      var error: ErrorCode = .none
      var detail = ""
      do throws(StorageError) { try directory.delete(partitions) } catch let failure {
        log.event(
          .partitionChangeFailed, "cannot delete partitions in \(directory.path): \(failure)")
        error = .kafkaStorageError
        detail = "\(failure)"
      }
      answers += here.map {
        PartitionState(
          name: $0, slot: PartitionImage.noSlot, generation: 0, error: error, detail: detail)
      }
    }
    for topicId in Set(names.map(\.topicId)) {
      let isInUse = logs.contains { $0?.topicId == topicId }
      if !isInUse { settingsByTopic[topicId] = nil }
    }
    // What is not there is deleted.
    let done = Set(answers.map(\.name))
    return answers
      + names.filter { !done.contains($0) }.map {
        PartitionState(name: $0, slot: PartitionImage.noSlot, generation: 0)
      }
  }
}
