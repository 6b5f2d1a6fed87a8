// Topics whose configurations change, their own or the broker's that they take: what is decided is
// durable first, then the logwriter and the holders of images hear of it, then the client.

import Configuration
import IPC
import Model

extension TopicKeeper {
  /// Records topics with other configurations, in one transaction with `more`, and tells the
  /// logwriter and the holders of images before `then`.
  func configure(
    _ topics: [Topic], with more: [MetadataRecord] = [], then: (StoreError?) -> Void
  ) {
    let before = settings(of: topics)
    metadata.commit(topics.map { .topic($0) } + more) { error in
      if error == nil { tellSettings(before) }
      then(error)
    }
  }

  /// Takes what topics do not set from `broker` from now on.
  func apply(_ broker: BrokerConfiguration) {
    let before = settings(of: state.topicsInOrder)
    configs.broker = broker
    tellSettings(before)
  }

  private func settings(of topics: [Topic]) -> [(id: UUID128, settings: TopicSettings)] {
    topics.map { topic in
      (topic.id, configs.settings(state.topic(id: topic.id)?.configs ?? topic.configs))
    }
  }

  /// Tells of the topics whose settings are not what they were.
  private func tellSettings(_ before: [(id: UUID128, settings: TopicSettings)]) {
    var changed: [Topic] = []
    for (id, old) in before {
      guard let topic = state.topic(id: id) else { continue }
      let new = configs.settings(topic.configs)
      // Without a logwriter the next one brings the logs up with what holds then.
      if old.log != new.log, phase != .away { logs.configureTopic(id, new.log) }
      if old.image != new.image { changed.append(topic) }
    }
    // While logs are taken up the places are not known yet; the image in the end tells all.
    if case .takingUp = phase { return }
    if changed.isEmpty { return }
    epoch += 1
    images.publish(
      ImageUpdate(epoch: epoch, isSnapshot: false, topics: changed.map(image), removed: []))
  }
}
