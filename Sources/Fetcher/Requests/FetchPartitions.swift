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
  /// A topic was named that cannot exist, at a length that nobody should have to remember.
  private(set) var hasOverlongName = false
  /// The first target; -1 when there is none.
  private(set) var first: Int32 = -1
  private var last: Int32 = -1
  private var free: [Int32] = []
  /// How many targets each topic has; a topic without any makes room for another.
  private var targetsOfTopic: [Int32] = []
  private var freeTopics: [Int32] = []
  private var placeOfTopicId = SmallIndex<UUID128>()
  private var placeOfTopicName = SmallIndex<String>()
  private var placeOfTarget = SmallIndex<UInt64>()

  init(usesTopicIds: Bool) { self.usesTopicIds = usesTopicIds }

  var isEmpty: Bool { count == 0 }

  /// The topic's place in `topics`, where it is put if it is new. It stays there while it has targets.
  func place(of topic: FetchTopic) -> Int32 {
    if let place = known(topic) { return place }
    if topic.name.utf8.count > TopicName.maxLength { hasOverlongName = true }
    let place: Int32
    if let reused = freeTopics.popLast() {
      place = reused
      topics[Int(place)] = topic
    } else {
      place = Int32(topics.count)
      topics.append(topic)
      targetsOfTopic.append(0)
    }
    if usesTopicIds {
      placeOfTopicId.insert(topic.id, place)
    } else {
      placeOfTopicName.insert(topic.name, place)
    }
    return place
  }

  /// Learns the name behind an id.
  func setName(_ name: String, ofTopicAt place: Int32) { topics[Int(place)].name = name }

  /// Adds a partition at the end, or changes what is wanted of one that is there.
  func put(_ target: FetchTarget) {
    let key = Self.key(target.topic, target.partition)
    if let place = placeOfTarget.place(of: key) {
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
    placeOfTarget.insert(key, place)
    targetsOfTopic[Int(target.topic)] += 1
    count += 1
    link(place)
  }

  /// Takes a partition out; nothing happens when it is not there.
  func remove(_ topic: FetchTopic, partition: Int32) {
    guard let topicPlace = known(topic),
      let place = placeOfTarget.remove(Self.key(topicPlace, partition))
    else { return }
    unlink(place)
    targets[Int(place)].found = FoundRecords()
    free.append(place)
    count -= 1
    targetsOfTopic[Int(topicPlace)] -= 1
    if targetsOfTopic[Int(topicPlace)] == 0 { removeTopic(topicPlace) }
  }

  private func removeTopic(_ place: Int32) {
    let topic = topics[Int(place)]
    if usesTopicIds {
      _ = placeOfTopicId.remove(topic.id)
    } else {
      _ = placeOfTopicName.remove(topic.name)
    }
    freeTopics.append(place)
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
    usesTopicIds ? placeOfTopicId.place(of: topic.id) : placeOfTopicName.place(of: topic.name)
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

/// Places by key. Few are looked through, which is cheaper than hashing; more are hashed.
struct SmallIndex<Key: Hashable> {
  private static var fewMax: Int { 8 }
  private var few: [(key: Key, place: Int32)] = []
  private var many: [Key: Int32] = [:]

  func place(of key: Key) -> Int32? {
    if !many.isEmpty { return many[key] }
    return few.first { $0.key == key }?.place
  }

  /// - Parameter key: one that is not there.
  mutating func insert(_ key: Key, _ place: Int32) {
    if many.isEmpty, few.count < Self.fewMax {
      few.append((key, place))
      return
    }
    for entry in few { many[entry.key] = entry.place }
    few.removeAll()
    many[key] = place
  }

  mutating func remove(_ key: Key) -> Int32? {
    if !many.isEmpty { return many.removeValue(forKey: key) }
    return few.firstIndex { $0.key == key }.map { few.remove(at: $0).place }
  }
}
