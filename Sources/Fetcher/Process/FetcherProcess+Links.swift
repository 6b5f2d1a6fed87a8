// The links to the logwriter and the coordinator. A link that is lost comes back by itself; until it
// does, what is at hand goes on being served.

import IPC
import Linux
import Logging
import Service

extension FetcherProcess {
  func openLogWriter() {
    if let error = logwriter.open() {
      log.debug("the logwriter cannot be reached yet: \(error)")
      return
    }
    logwriter.send(.attachWaitBoard, descriptors: [waitBoard.descriptor.rawValue])
  }

  func openCoordinator() {
    if let error = coordinator.open() {
      log.debug("the coordinator cannot be reached yet: \(error)")
    }
  }

  func logwriterReady(_ readiness: Readiness) {
    do throws(ChannelError) {
      try logwriter.ready(readiness) { message, descriptors throws(MessageError) in
        try heard(message, &descriptors)
      }
    } catch {
      log.event(
        .siblingLost, "lost the logwriter: \(error)", metadata: ["@sibling": "logwriter"])
      // Nobody will answer what was asked; who waits asks again when there is a new scoreboard.
      segmentRequests.removeAll()
      for case let client? in clients { client.fetch?.opening = 0 }
    }
  }

  func coordinatorReady(_ readiness: Readiness) {
    do throws(ChannelError) {
      try coordinator.ready(readiness) { message, _ throws(MessageError) in heard(message) }
    } catch { coordinatorLost(error) }
  }

  /// Reads what the coordinator has sent by now: whoever was told of a topic may use it at once.
  /// - Returns: whether there was an image.
  func drainCoordinator() -> Bool {
    let before = counts.images
    do throws(ChannelError) {
      try coordinator.drain { message, _ throws(MessageError) in heard(message) }
    } catch { coordinatorLost(error) }
    return counts.images != before
  }

  private func coordinatorLost(_ error: ChannelError) {
    log.event(
      .siblingLost, "lost the coordinator: \(error)", metadata: ["@sibling": "coordinator"])
  }

  private func heard(_ message: CoordinatorToFetcher) {
    switch message {
    case .image(let update):
      topics.apply(update)
      hasImage = true
      counts.images += 1
      imageChanged = true
      becomeReady()
    case .configureBroker(let dynamic): reports.configure(self, dynamic)
    case .reportStatistics(let busiest):
      var statistics = reports.statistics(counters)
      statistics.topics = work.busiest(Int(busiest), in: topics)
      coordinator.send(.statistics(statistics))
    }
  }

  private func heard(_ message: LogWriterToFetcher, _ descriptors: inout DescriptorList)
    throws(MessageError)
  {
    switch message {
    case .scoreboard:
      guard let file = descriptors.take() else { return }
      try attach(try ScoreboardReader(file))
    case .segment(let description):
      guard let file = descriptors.take() else { return }
      let log = SharedDescriptor(file)
      var index: SharedDescriptor?
      if description.carriesIndex, let file = descriptors.take() { index = SharedDescriptor(file) }
      var transactionIndex: SharedDescriptor?
      if description.transactions.carriesIndex, let file = descriptors.take() {
        transactionIndex = SharedDescriptor(file)
      }
      let segment = reader.cache.insert(
        description, log: log, index: index, transactionIndex: transactionIndex)
      answered(description.token) { offset in
        segment.addFloor(offset: offset, position: description.startPosition)
      }
    case .segmentUnavailable(let refusal): refused(refusal)
    case .advanced(let slots): advanced(slots)
    case .dropped(let segments): for dropped in segments { reader.cache.remove(dropped) }
    }
  }

  /// A new logwriter has new slots: nothing that was known of the old one's means anything.
  private func attach(_ reader: consuming ScoreboardReader) throws(MessageError) {
    let shared = SharedScoreboard(reader)
    if shared.reader.identity == scoreboard?.reader.identity { return }
    scoreboard = shared
    self.reader.cache.removeAll()
    work = TopicsServed()
    becomeReady()
    serveWhere { _ in true }
  }

  private func becomeReady() {
    guard !isReady, hasImage, scoreboard != nil else { return }
    isReady = true
    reports.ready()
    serveWhere { _ in true }
  }

  /// The clients behind a question look again when all their questions are answered.
  private func answered(_ token: UInt64, _ learn: (Int64) -> Void) {
    let answer = segmentRequests.finish(token)
    if let offset = answer.offset { learn(offset) }
    for client in answer.clients {
      guard let fetch = client.fetch, fetch.opening > 0 else { continue }
      fetch.opening -= 1
      if fetch.opening == 0 { serve(client) }
    }
  }

  private func refused(_ refusal: SegmentRefusal) {
    for client in segmentRequests.finish(refusal.token).clients {
      guard let fetch = client.fetch, fetch.opening > 0 else { continue }
      fetch.note(refusal)
      fetch.opening -= 1
      if fetch.opening == 0 { serve(client) }
    }
  }

  private func advanced(_ slots: [UInt32]) {
    woken.removeAll(keepingCapacity: true)
    for slot in slots { waiters.collect(slot, into: &woken) }
    // Serving a client may wake nobody else, but it may change the list.
    let woken = woken
    for waiter in woken { wake(waiter) }
  }
}

extension ActiveFetch {
  /// Remembers that there is no segment for a partition.
  func note(_ refusal: SegmentRefusal) {
    for place in partitions.targets.indices
    where partitions.targets[place].slot == refusal.slot
      && partitions.targets[place].found.state == .opening
    {
      partitions.targets[place].refusal = refusal.error
      hasRefusals = true
    }
  }
}
