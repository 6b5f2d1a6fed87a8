// The metadata image as the produce path looks topics up: by the name's bytes as they lie in a
// request, or by id, without making a string. Rebuilt whole with every update of the image; numbers
// of topics are good until then.

import IPC
import KafkaProtocol
import Model
import Records

/// Number of a topic in the index.
typealias TopicNumber = Int32

struct TopicIndex {
  /// A topic without anything that would have to be retained.
  struct Topic {
    let id: UUID128
    let isInternal: Bool
    /// What its batches are judged by; the version is the request's.
    let rules: ProduceRules
    /// More than one replica must be in sync for acks=all: there is one.
    let lacksReplicas: Bool
    let compression: TopicCompression
    fileprivate let nameStart: Int
    fileprivate let nameCount: Int
    fileprivate let partitionStart: Int
    let partitionCount: Int
  }

  private var table = TopicTable()
  private var topics: [Topic] = []
  private var names: [UInt8] = []
  private var partitions: [PartitionImage] = []
  /// Open addressing with linear probing, at most half full; -1: empty.
  private var byName: [TopicNumber] = [-1]
  private var byId: [TopicNumber] = [-1]

  var topicCount: Int { topics.count }

  /// Takes an update of the image over.
  mutating func apply(_ update: ImageUpdate) {
    table.apply(update)
    topics.removeAll(keepingCapacity: true)
    names.removeAll(keepingCapacity: true)
    partitions.removeAll(keepingCapacity: true)
    for topic in table.topics { add(topic) }
    var size = 1
    while size < topics.count * 2 { size *= 2 }
    byName = [TopicNumber](repeating: -1, count: size)
    byId = [TopicNumber](repeating: -1, count: size)
    for number in topics.indices {
      let topic = topics[number]
      let name = names[topic.nameStart..<topic.nameStart + topic.nameCount]
      Self.insert(TopicNumber(number), name.withUnsafeBytes { Self.hash($0) }, into: &byName)
      Self.insert(TopicNumber(number), Self.hash(topic.id), into: &byId)
    }
  }

  private mutating func add(_ topic: TopicImage) {
    let rules = ProduceRules(
      produceVersion: 0, maxMessageBytes: Int(topic.maxMessageBytes),
      timestampType: topic.logAppendTime ? .logAppendTime : .createTime,
      timestampBeforeMaxMs: topic.timestampBeforeMaxMs,
      timestampAfterMaxMs: topic.timestampAfterMaxMs, requiresKeys: topic.requiresKeys)
    topics.append(
      Topic(
        id: topic.id, isInternal: TopicName.isInternal(topic.name), rules: rules,
        lacksReplicas: topic.minInsyncReplicas > 1,
        compression: topic.compression,
        nameStart: names.count, nameCount: topic.name.utf8.count,
        partitionStart: partitions.count, partitionCount: topic.partitions.count))
    names.append(contentsOf: topic.name.utf8)
    partitions.append(contentsOf: topic.partitions)
  }

  subscript(number: TopicNumber) -> Topic { topics[Int(number)] }

  func partition(_ number: TopicNumber, _ index: Int32) -> PartitionImage? {
    let topic = topics[Int(number)]
    guard index >= 0, Int(index) < topic.partitionCount else { return nil }
    return partitions[topic.partitionStart + Int(index)]
  }

  func name(_ number: TopicNumber) -> String {
    let topic = topics[Int(number)]
    return String(
      decoding: names[topic.nameStart..<topic.nameStart + topic.nameCount], as: UTF8.self)
  }

  func find(name: UnsafeRawBufferPointer) -> TopicNumber? {
    var position = Self.hash(name) & (byName.count - 1)
    while byName[position] >= 0 {
      let topic = topics[Int(byName[position])]
      if topic.nameCount == name.count, hasName(topic, name) { return byName[position] }
      position = (position + 1) & (byName.count - 1)
    }
    return nil
  }

  func find(id: UUID128) -> TopicNumber? {
    var position = Self.hash(id) & (byId.count - 1)
    while byId[position] >= 0 {
      if topics[Int(byId[position])].id == id { return byId[position] }
      position = (position + 1) & (byId.count - 1)
    }
    return nil
  }

  /// Whether `isCurrent` holds for every partition.
  func allPartitions(_ isCurrent: (PartitionImage) -> Bool) -> Bool {
    partitions.allSatisfy(isCurrent)
  }

  private func hasName(_ topic: Topic, _ name: UnsafeRawBufferPointer) -> Bool {
    for index in 0..<name.count where names[topic.nameStart + index] != name[index] { return false }
    return true
  }

  private static func insert(_ number: TopicNumber, _ hash: Int, into table: inout [TopicNumber]) {
    var position = hash & (table.count - 1)
    while table[position] >= 0 { position = (position + 1) & (table.count - 1) }
    table[position] = number
  }

  /// FNV-1a. Whoever may create topics could make names collide; it would slow down their own.
  private static func hash(_ bytes: UnsafeRawBufferPointer) -> Int {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return Int(truncatingIfNeeded: hash ^ hash >> 32)
  }

  private static func hash(_ id: UUID128) -> Int {
    Int(truncatingIfNeeded: id.low ^ id.high ^ id.low >> 32)
  }
}
