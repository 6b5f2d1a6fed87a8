// The metadata image as frontends and fetchers keep it: by name and by id, looked up for every
// partition of every request.

import Model

/// The image applied so far.
public struct TopicTable {
  public private(set) var epoch: UInt64 = 0
  private var byId: [UUID128: TopicImage] = [:]
  private var idByName: [String: UUID128] = [:]

  public init() {}

  public var topicCount: Int { byId.count }

  /// All topics, in no order.
  public var topics: some Collection<TopicImage> { byId.values }

  /// Takes an update over.
  public mutating func apply(_ update: ImageUpdate) {
    if update.isSnapshot {
      byId.removeAll(keepingCapacity: true)
      idByName.removeAll(keepingCapacity: true)
    }
    for id in update.removed {
      guard let topic = byId.removeValue(forKey: id) else { continue }
      if idByName[topic.name] == id { idByName[topic.name] = nil }
    }
    for topic in update.topics {
      byId[topic.id] = topic
      idByName[topic.name] = topic.id
    }
    epoch = update.epoch
  }

  public func topic(id: UUID128) -> TopicImage? { byId[id] }

  public func topic(name: String) -> TopicImage? { idByName[name].flatMap { byId[$0] } }
}
