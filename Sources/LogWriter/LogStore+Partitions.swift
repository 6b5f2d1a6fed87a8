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
    if let known = find(partition, spec.name.topicId) {
      // A directory that Kafka wrote before topics had ids has none: it is taken as it is.
      guard known.topicId == spec.name.topicId || known.topicId == .zero else {
        return refused(.inconsistentTopicId, "on disk is topic id \(known.topicId)")
      }
      known.settings = settings
      known.lead(spec.leaderEpoch)
      takeUp(known)
      if let slot = slotByPartition[partition] {
        markChanged(slot)
        retention.touch(slot)
      }
      return state(of: known).named(spec.name)
    }
    guard slotByPartition.count < ScoreboardLayout.capacity else {
      return refused(.kafkaStorageError, "a broker holds \(ScoreboardLayout.capacity) partitions")
    }
    if let why = absence(of: partition, spec.creation) { return refused(.kafkaStorageError, why) }
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

  /// Why a partition that no directory has is not created: it was there, or may have been.
  private func absence(of partition: TopicPartition, _ creation: PartitionSpec.Creation) -> String?
  {
    if creation == .new { return nil }
    for directory in directories {
      if let (_, error) = directory.refused.first(where: { $0.partition == partition }) {
        return "\(error)"
      }
    }
    if hasOfflineDirectory { return "it may be in a log directory that is offline" }
    if creation == .begun { return nil }
    return "no directory in log.dirs, though it was created: mount the disk that is missing and "
      + "restart the logwriter, or delete the topic and create it again"
  }

  /// Has a log served that turns out to be the wanted one of its name.
  private func takeUp(_ known: PartitionLog) {
    guard let index = withheld.firstIndex(where: { $0 === known }) else { return }
    withheld.remove(at: index)
    if let slot = slotByPartition.removeValue(forKey: known.partition) {
      // Nobody was told of the other's slot.
      if let other = logs[Int(slot)] { withheld.append(other) }
      releaseSlot(slot)
    }
    withheld += unrecovered.filter { $0.partition == known.partition }
    unrecovered.removeAll { $0.partition == known.partition }
    if known.needsRecovery || !known.unindexed.isEmpty {
      unrecovered.append(known)
    } else {
      assignSlot(known)
    }
  }

  /// Makes the names of new partitions durable.
  /// - Parameter then: is told of the directories where that failed, at once or later.
  func syncNames(then: @escaping ([(directory: LogDirectory, error: StorageError)]) -> Void) {
    let unsynced = directories.filter { $0.hasUnsyncedNames && $0.failure == nil }
    if unsynced.isEmpty { return then([]) }
    var left = unsynced.count
    var failed: [(LogDirectory, StorageError)] = []
    for directory in unsynced {
      directory.syncNames { [unowned self] error in
        if let error {
          if !giveUp(directory, error) {
            log.event(.partitionChangeFailed, "new partitions may not last: \(error)")
          }
          failed.append((directory, error))
        }
        left -= 1
        if left == 0 { then(failed) }
      }
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
      for doomed in partitions.compactMap({ directory.logs[$0] }) {
        if let slot = slot(of: doomed) {
          slotByPartition[doomed.partition] = nil
          releaseSlot(slot)
          released(slot)
        }
        unrecovered.removeAll { $0 === doomed }
        withheld.removeAll { $0 === doomed }
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
