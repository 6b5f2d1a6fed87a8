// What to do about the logs that a logwriter found on disk, compared with the topics that there
// should be. Pure: `TopicKeeper` carries it out.
//
// - A log of a topic that we know is taken up with the others.
// - A log of a topic that was deleted is deleted: its deletion was recorded before.
// - A log whose topic id we have never seen is adopted: the directory came from Kafka, or the
//   metadata were lost. Kafka would call it stray; but here no other broker could own it. Partitions
//   are numbered without a gap: one that is missing before it was there, too, and is not made anew.
// - A log with another id than the topic of its name, never deleted, stays where it is: there is no
//   telling which of the two someone wants back. It is reported.

import IPC
import Model

struct Reconciliation: Equatable {
  /// Topics to add to the metadata.
  var adopted: [Topic] = []
  /// Logs to delete.
  var deleted: [PartitionName] = []
  /// Deletions of which nothing is left on disk.
  var finished: [UUID128] = []
  /// Logs to leave alone.
  var strays: [PartitionName] = []

  /// - Parameter wasDeleted: whether a topic id that is not in `state` was deleted once.
  init<E: Error>(
    _ state: MetadataState, _ inventory: [PartitionName], wasDeleted: (UUID128) throws(E) -> Bool
  ) throws(E) {
    var found: [UUID128: [PartitionName]] = [:]
    for name in inventory where state.topic(id: name.topicId) == nil {
      // A log without an id belongs to the topic of its name, if there is one.
      if name.topicId == .zero, state.topic(name.topic) != nil { continue }
      found[name.topicId, default: []].append(name)
    }
    finished = state.deletions.keys.filter { found[$0] == nil }.sorted { "\($0)" < "\($1)" }

    var adoptedNames: [String: Int] = [:]
    for (id, names) in found.sorted(by: { "\($0.key)" < "\($1.key)" }) {
      if id != .zero, try wasDeleted(id) {
        deleted += names
        continue
      }
      for name in names {
        let isLegal =
          TopicName.violation(of: name.topic) == nil
          && (0..<Int32(TopicCreation.partitionsMax)).contains(name.partition)
        if !isLegal || state.topic(name.topic) != nil {
          strays.append(name)
        } else if let index = adoptedNames[name.topic] {
          if id == .zero || adopted[index].id == id {
            adopted[index].extend(to: Int(name.partition) + 1)
            adopted[index].unconfirmed = []
          } else {
            strays.append(name)
          }
        } else {
          adoptedNames[name.topic] = adopted.count
          adopted.append(
            Topic(
              name: name.topic, id: id == .zero ? .random() : id,
              leaderEpochs: [Int32](repeating: 0, count: Int(name.partition) + 1), configs: [:]))
        }
      }
    }
  }
}

extension Topic {
  /// Gives the topic at least `count` partitions; those that are added are yet to be created.
  mutating func extend(to count: Int) {
    unconfirmed.formUnion(partitionCount..<max(partitionCount, count))
    leaderEpochs += [Int32](repeating: 0, count: max(0, count - partitionCount))
  }
}
