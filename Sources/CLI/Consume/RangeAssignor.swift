// Kafka's range assignor: of each topic, members in the order of their ids get ranges of nearly equal
// length, the first ones one partition more.

enum RangeAssignor {
  /// - Returns: for every member the partitions of each topic that it owns; empty where there are
  ///   more members than partitions.
  static func assign(_ topicsByMember: [String: [String]], _ partitionsByTopic: [String: [Int32]])
    -> [String: [String: [Int32]]]
  {
    var result = topicsByMember.mapValues { _ in [String: [Int32]]() }
    for (topic, unsorted) in partitionsByTopic {
      let partitions = unsorted.sorted()
      let members = topicsByMember.filter { $0.value.contains(topic) }.keys.sorted()
      if members.isEmpty { continue }
      let (count, extra) = partitions.count.quotientAndRemainder(dividingBy: members.count)
      for (index, member) in members.enumerated() {
        let start = index * count + min(index, extra)
        let end = start + count + (index < extra ? 1 : 0)
        if start < end { result[member]?[topic] = Array(partitions[start..<end]) }
      }
    }
    return result
  }
}
