// The partitions of a fetch in the order in which they are served: those of one request, or those of
// a session from request to request. A list with an index by key, so that a session of thousands of
// partitions changes one, forgets one or moves one to the end without looking at the others.

import Model

/// A topic as a request names it: by id from version 13 on, by name before.
struct FetchTopic: Equatable {
  var id: UUID128
  /// Empty while the name behind an id is not known.
  var name: String
}

final class FetchPartitions {
  let usesTopicIds: Bool
  private(set) var topics: [FetchTopic] = []
  var targets: [FetchTarget] = []
  private(set) var count = 0
  /// The first target; -1 when there is none.
  private(set) var first: Int32 = -1
  private var last: Int32 = -1
  private var free: [Int32] = []
  private var placeOfTopicId: [UUID128: Int32] = [:]
  private var placeOfTopicName: [String: Int32] = [:]
  private var placeOfTarget: [UInt64: Int32] = [:]

  init(usesTopicIds: Bool) { self.usesTopicIds = usesTopicIds }

  var isEmpty: Bool { count == 0 }

  /// The topic's place in `topics`, where it is put if it is new.
  func place(of topic: FetchTopic) -> Int32 {
    if let place = known(topic) { return place }
    let place = Int32(topics.count)
    topics.append(topic)
    if usesTopicIds {
      placeOfTopicId[topic.id] = place
    } else {
      placeOfTopicName[topic.name] = place
    }
    return place
  }

  /// Learns the name behind an id.
  func setName(_ name: String, ofTopicAt place: Int32) { topics[Int(place)].name = name }

  /// Adds a partition at the end, or changes what is wanted of one that is there.
  func put(_ target: FetchTarget) {
    let key = Self.key(target.topic, target.partition)
    if let place = placeOfTarget[key] {
      targets[Int(place)].update(target)
      return
    }
    let place: Int32
    if let reused = free.popLast() {
      place = reused
      targets[Int(place)] = target
    } else {
      place = Int32(targets.count)
      targets.append(target)
    }
    placeOfTarget[key] = place
    count += 1
    link(place)
  }

  /// Takes a partition out; nothing happens when it is not there.
  func remove(_ topic: FetchTopic, partition: Int32) {
    guard let topicPlace = known(topic),
      let place = placeOfTarget.removeValue(forKey: Self.key(topicPlace, partition))
    else { return }
    unlink(place)
    targets[Int(place)].found = FoundRecords()
    free.append(place)
    count -= 1
  }

  /// Whoever has been served goes to the end, so that the others come first next time.
  func moveToEnd(_ place: Int32) {
    if last == place { return }
    unlink(place)
    link(place)
  }

  /// The places in order; for tests.
  var order: [Int32] {
    var places: [Int32] = []
    var next = first
    while next >= 0 {
      places.append(next)
      next = targets[Int(next)].next
    }
    return places
  }

  private func known(_ topic: FetchTopic) -> Int32? {
    usesTopicIds ? placeOfTopicId[topic.id] : placeOfTopicName[topic.name]
  }

  private static func key(_ topic: Int32, _ partition: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: topic)) << 32 | UInt64(UInt32(bitPattern: partition))
  }

  private func link(_ place: Int32) {
    targets[Int(place)].previous = last
    targets[Int(place)].next = -1
    if last >= 0 { targets[Int(last)].next = place } else { first = place }
    last = place
  }

  private func unlink(_ place: Int32) {
    let previous = targets[Int(place)].previous
    let next = targets[Int(place)].next
    if previous >= 0 { targets[Int(previous)].next = next } else { first = next }
    if next >= 0 { targets[Int(next)].previous = previous } else { last = previous }
  }
}
