// Looking at all partitions of a request, and writing the response from what was found.

import IPC
import Model
import Service

/// What a look at all partitions gave.
struct LookSummary {
  var bytes = 0
  /// Partitions that exist.
  var existing = 0
  var endsWaiting = false
  /// Something may be found once the image or the logwriter is there.
  var lacksImage = false

  /// Whether the request is to be answered now (Kafka's `ReplicaManager.fetchMessages`).
  func isEnough(_ fetch: ActiveFetch, _ isStopping: Bool) -> Bool {
    if fetch.isExpired || isStopping || endsWaiting || existing == 0 { return true }
    if fetch.isOpening { return bytes > 0 && bytes >= fetch.maxBytes }
    return bytes >= fetch.minBytes || fetch.head.maxWaitMs <= 0
  }
}

extension FetcherProcess {
  /// Segments that one request asks for at a time.
  private static var openingMax: Int { 64 }

  /// Looks at all partitions. What the image lacks may be in the coordinator's channel by now, so
  /// that is read before anything is called unknown.
  func look(_ client: Client, _ fetch: ActiveFetch) -> LookSummary {
    let summary = lookOnce(client, fetch)
    guard summary.lacksImage, drainCoordinator() else { return summary }
    return lookOnce(client, fetch)
  }

  private func lookOnce(_ client: Client, _ fetch: ActiveFetch) -> LookSummary {
    var summary = LookSummary()
    var limit = ReadLimit(bytes: fetch.maxBytes)
    var topic: Int32 = -1
    var image = TopicLookup.unknown(.none)
    var place = fetch.partitions.first
    while place >= 0 {
      let target = fetch.partitions.targets[Int(place)]
      if target.topic != topic {
        topic = target.topic
        image = lookUp(fetch.partitions, topic)
        if case .known = image {} else { summary.lacksImage = true }
      }
      let found = look(client, fetch, place, image, limit)
      fetch.partitions.targets[Int(place)].found = found
      if !found.isUnknown { summary.existing += 1 }
      if found.isUnknown || found.state == .unavailable { summary.lacksImage = true }
      if found.endsWaiting { summary.endsWaiting = true }
      if found.count > 0 {
        summary.bytes += found.count
        limit.bytes = max(0, limit.bytes - found.count)
        limit.oneBatch = false
      }
      place = target.next
    }
    fetch.bytes = summary.bytes
    fetch.lacksImage = summary.lacksImage
    return summary
  }

  /// Looks at one target, and asks for its segment if that is what it lacks.
  private func look(
    _ client: Client, _ fetch: ActiveFetch, _ place: Int32, _ image: TopicLookup, _ limit: ReadLimit
  ) -> FoundRecords {
    let target = fetch.partitions.targets[Int(place)]
    fetch.partitions.targets[Int(place)].slot = PartitionImage.noSlot
    if let error = target.refusal { return FoundRecords(error) }
    let partition: PartitionImage
    switch image {
    case .known(let topic):
      guard target.partition >= 0, Int(target.partition) < topic.partitions.count else {
        return FoundRecords(.unknownTopicOrPartition, isUnknown: true)
      }
      partition = topic.partitions[Int(target.partition)]
    case .unknown(let error): return FoundRecords(error, isUnknown: true)
    case .refused(let error): return FoundRecords(error)
    }
    // Followers there are none of.
    if fetch.head.replicaId >= 0 { return FoundRecords(.notLeaderOrFollower) }
    if partition.isOffline { return FoundRecords(.kafkaStorageError) }
    guard let entry = entry(partition) else { return .unavailable(.notLeaderOrFollower) }
    fetch.partitions.targets[Int(place)].slot = partition.slot
    fetch.partitions.targets[Int(place)].generation = partition.generation
    let found = reader.look(
      target, slot: partition.slot, entry, readCommitted: fetch.head.isReadCommitted, limit)
    switch found.state {
    case .opening where fetch.opening < Self.openingMax && !fetch.isExpired:
      open(client, fetch, partition.slot, entry, found.wantedOffset)
    case .reading:
      guard let piece = reader.takeColdPiece(), fetch.reading < Self.openingMax, !fetch.isExpired
      else { break }
      if fetch.hasReadError || !readForLook(client, fetch, piece) {
        return FoundRecords(.kafkaStorageError)
      }
    default: break
    }
    return found
  }

  /// Looks at one target whose partition has grown.
  func lookAgain(_ fetch: ActiveFetch, _ place: Int32) -> FoundRecords {
    let target = fetch.partitions.targets[Int(place)]
    guard case .known(let topic) = lookUp(fetch.partitions, target.topic),
      Int(target.partition) < topic.partitions.count,
      let entry = entry(topic.partitions[Int(target.partition)])
    else { return .unavailable(.notLeaderOrFollower) }
    let found = reader.look(
      target, slot: target.slot, entry, readCommitted: fetch.head.isReadCommitted,
      ReadLimit(bytes: fetch.maxBytes))
    // Whoever is not sure looks at all again.
    _ = reader.takeColdPiece()
    fetch.partitions.targets[Int(place)].found = found
    return found
  }

  private func entry(_ partition: PartitionImage) -> ScoreboardEntry? {
    guard partition.slot != PartitionImage.noSlot, !partition.isOffline else { return nil }
    return scoreboard?.reader.entry(partition.slot, generation: partition.generation)
  }

  private func open(
    _ client: Client, _ fetch: ActiveFetch, _ slot: UInt32, _ entry: ScoreboardEntry,
    _ offset: Int64
  ) {
    guard logwriter.isOpen else { return }
    fetch.opening += 1
    guard
      let query = segmentRequests.add(
        client, slot: slot, generation: entry.generation, offset: offset)
    else { return }
    counts.segmentRequests += 1
    logwriter.send(.openSegment(query))
  }

  /// What a topic of a request is.
  enum TopicLookup {
    case known(TopicImage)
    /// It does not exist, as far as is known.
    case unknown(ErrorCode)
    /// It exists, but is not what the client means.
    case refused(ErrorCode)
  }

  private func lookUp(_ partitions: FetchPartitions, _ place: Int32) -> TopicLookup {
    let topic = partitions.topics[Int(place)]
    guard partitions.usesTopicIds else {
      return topics.topic(name: topic.name).map { .known($0) }
        ?? .unknown(.unknownTopicOrPartition)
    }
    if let image = topics.topic(id: topic.id) {
      if topic.name.isEmpty { partitions.setName(image.name, ofTopicAt: place) }
      return .known(image)
    }
    // Only a session remembers the name behind an id that is gone.
    if topic.name.isEmpty { return .unknown(.unknownTopicId) }
    return topics.topic(name: topic.name) == nil
      ? .unknown(.unknownTopicOrPartition) : .refused(.inconsistentTopicId)
  }

  /// Writes the response to a request and leaves it with the client to be sent.
  func respond(_ client: Client, _ fetch: ActiveFetch, error: ErrorCode) {
    let head = fetch.head
    selected.removeAll(keepingCapacity: true)
    if error == .none { ResponseSelection.select(fetch, into: &selected) }
    let partitions = fetch.partitions
    encoder.begin(
      head, error: error, sessionId: error == .none ? sessionId(client, fetch) : 0,
      topics: ResponseSelection.topicRuns(selected, partitions))
    var start = 0
    while start < selected.count {
      let topic = partitions.targets[Int(selected[start])].topic
      var end = start
      while end < selected.count, partitions.targets[Int(selected[end])].topic == topic { end += 1 }
      encoder.topic(partitions.topics[Int(topic)], partitions: end - start, head)
      for place in selected[start..<end] {
        let target = partitions.targets[Int(place)]
        encoder.partition(target.partition, target.found, head)
        if target.found.count > 0 { work.note(target) }
      }
      encoder.endTopic(head)
      start = end
    }
    encoder.end(head)
    client.outgoing = Outgoing(encoder.take())
    settle(fetch)
  }

  /// The session id of a response, which is where a new session begins.
  private func sessionId(_ client: Client, _ fetch: ActiveFetch) -> Int32 {
    switch fetch.verdict {
    case .incremental(let session): return session.id
    case .wantsSession:
      guard
        let session = sessions.create(
          fetch.partitions, client: client.number, nowNs: loop.nowNs)
      else { return 0 }
      client.session = session
      return session.id
    case .sessionless, .refused: return 0
    }
  }

  /// After a response: who got records goes to the end of its session, and segments are let go.
  private func settle(_ fetch: ActiveFetch) {
    let isIncremental = fetch.session != nil
    for place in selected where fetch.partitions.targets[Int(place)].found.count > 0 {
      fetch.partitions.targets[Int(place)].found.segment = nil
      fetch.partitions.targets[Int(place)].found.aborted = nil
      if isIncremental { fetch.partitions.moveToEnd(place) }
    }
    guard fetch.hasRefusals else { return }
    for place in fetch.partitions.targets.indices {
      fetch.partitions.targets[place].refusal = nil
    }
  }
}
