// Serving a client: take its next request, look whether it can be answered, answer or let it wait,
// and send. `serve` is called whenever something of that may have become possible.

import DequeModule
import IPC
import Linux
import Model
import Service

extension FetcherProcess {
  /// How long a request waits for segments at least, whatever its own patience.
  private static var openingMs: Int64 { 1000 }

  /// Takes a client as far as it goes now.
  func serve(_ client: Client) {
    guard isReady, clients[Int(client.number)] === client else { return }
    while true {
      if client.outgoing != nil {
        guard client.fetch?.isReadingResponse != true, pump(client) else { return }
      } else if let fetch = client.fetch {
        guard answer(client, fetch) else { return }
      } else {
        if let peer = frontends[client.frontend], peer.isLeaving { return giveBack(client, peer) }
        guard let frame = client.waiting.popFirst(), begin(client, frame) else { return }
      }
    }
  }

  func serveWhere(_ condition: (ActiveFetch) -> Bool) {
    for case let client? in clients {
      if let fetch = client.fetch {
        if client.outgoing == nil, condition(fetch) { serve(client) }
      } else if !client.waiting.isEmpty {
        serve(client)
      }
    }
  }

  /// Makes a request of a frame.
  /// - Returns: false when the client has been refused.
  private func begin(_ client: Client, _ frame: [UInt8]) -> Bool {
    counts.requests += 1
    do throws(FetchRefusal) {
      let head = try FetchRequestReading.head(frame)
      let verdict = sessions.judge(head)
      let partitions: FetchPartitions
      if case .incremental(let session) = verdict {
        partitions = session.partitions
        interrupt(session)
      } else {
        partitions = FetchPartitions(usesTopicIds: head.usesTopicIds)
      }
      if case .refused = verdict {
      } else {
        try FetchRequestReading.take(frame, head, into: partitions)
      }
      client.fetch = activate(client, head, partitions, verdict)
      return true
    } catch {
      refuse(client, error.reason)
      return false
    }
  }

  /// Moves the session on and says what is being fetched.
  private func activate(
    _ client: Client, _ head: FetchHead, _ partitions: FetchPartitions, _ verdict: SessionVerdict
  ) -> ActiveFetch {
    var verdict = verdict
    if case .incremental(let session) = verdict {
      client.session = session
      if !sessions.proceed(session, client: client.number, nowNs: loop.nowNs) {
        verdict = .sessionless
      }
    }
    return ActiveFetch(
      head, partitions, verdict, fetchMaxBytes: settings.fetchMaxBytes, nowNs: loop.nowNs)
  }

  /// A request of a session that is served on another connection ends with the next one that comes:
  /// its epoch is over.
  private func interrupt(_ session: FetchSession) {
    guard let other = clients[safe: Int(session.client)] ?? nil, let fetch = other.fetch,
      fetch.session === session, other.outgoing == nil
    else { return }
    withdraw(other, fetch)
    respond(other, fetch, error: .invalidFetchSessionEpoch)
    loop.schedule(afterMs: 0, .turn(other.number))
  }

  /// Answers a request if that is possible now.
  /// - Returns: false when it has to wait.
  private func answer(_ client: Client, _ fetch: ActiveFetch) -> Bool {
    if case .refused(let error) = fetch.verdict {
      respond(client, fetch, error: error)
      return true
    }
    if fetch.isOpening, !fetch.isExpired, !isStopping { return false }
    unpark(fetch)
    if look(client, fetch).isEnough(fetch, isStopping) { return finish(client, fetch) }
    if !fetch.isOpening {
      // Whatever is published after the marks wakes us; what was before, the second look sees.
      mark(fetch)
      if look(client, fetch).isEnough(fetch, isStopping) { return finish(client, fetch) }
    }
    if !fetch.isOpening { park(client, fetch) }
    arm(client, fetch)
    return false
  }

  private func finish(_ client: Client, _ fetch: ActiveFetch) -> Bool {
    withdraw(client, fetch)
    respond(client, fetch, error: .none)
    return true
  }

  /// Takes back what a request waits for.
  func withdraw(_ client: Client, _ fetch: ActiveFetch) {
    unpark(fetch)
    if let timer = fetch.timer { loop.cancel(timer) }
    fetch.timer = nil
    fetch.opening = 0
    fetch.reading = 0
  }

  private func arm(_ client: Client, _ fetch: ActiveFetch) {
    if let timer = fetch.timer { loop.cancel(timer) }
    let elapsedMs = Int64((loop.nowNs - min(loop.nowNs, fetch.arrivedNs)) / 1_000_000)
    let patienceMs = max(
      Int64(fetch.head.maxWaitMs), fetch.isOpening ? Self.openingMs : 0)
    fetch.timer = loop.schedule(
      afterMs: patienceMs - elapsedMs, .deadline(client.number))
  }

  private func park(_ client: Client, _ fetch: ActiveFetch) {
    fetch.isParked = true
    counts.parked += 1
    var place = fetch.partitions.first
    while place >= 0 {
      let target = fetch.partitions.targets[Int(place)]
      if target.slot != PartitionImage.noSlot {
        fetch.partitions.targets[Int(place)].waiter = waiters.add(
          target.slot, .init(client: client.number, target: place))
      }
      place = target.next
    }
  }

  private func unpark(_ fetch: ActiveFetch) {
    guard fetch.isParked else { return }
    fetch.isParked = false
    counts.parked -= 1
    var place = fetch.partitions.first
    while place >= 0 {
      let target = fetch.partitions.targets[Int(place)]
      if target.waiter >= 0 {
        waiters.remove(target.waiter)
        fetch.partitions.targets[Int(place)].waiter = -1
      }
      place = target.next
    }
  }

  private func mark(_ fetch: ActiveFetch) {
    var place = fetch.partitions.first
    while place >= 0 {
      let target = fetch.partitions.targets[Int(place)]
      if target.slot != PartitionImage.noSlot { waitBoard.mark(target.slot) }
      place = target.next
    }
  }

  /// A partition that a parked request waits for has grown. When that is not enough, only its own
  /// share is counted anew.
  func wake(_ waiter: WaiterTable.Waiter) {
    guard let client = clients[Int(waiter.client)], let fetch = client.fetch, fetch.isParked,
      fetch.partitions.targets[Int(waiter.target)].waiter >= 0
    else { return }
    if fetch.minBytes > 1 {
      if !growth(client, fetch, waiter.target) {
        waitBoard.mark(fetch.partitions.targets[Int(waiter.target)].slot)
        if !growth(client, fetch, waiter.target) { return }
      }
    }
    serve(client)
  }

  /// Looks at one target again.
  /// - Returns: whether the request may be answered now.
  private func growth(_ client: Client, _ fetch: ActiveFetch, _ place: Int32) -> Bool {
    let before = fetch.partitions.targets[Int(place)].found.count
    let found = lookAgain(fetch, place)
    fetch.bytes += found.count - before
    return fetch.bytes >= fetch.minBytes || found.state != .known || found.endsWaiting
  }

  /// Sends what is left of the response.
  /// - Returns: false when it cannot be completed now.
  private func pump(_ client: Client) -> Bool {
    guard var outgoing = client.outgoing.take() else { return false }
    do throws(Errno) {
      switch try outgoing.send(to: client.socket) {
      case .done:
        counts.bytes += outgoing.sent
        client.fetch = nil
        tell(client.frontend, .served(connection: client.connection, bytes: outgoing.sent))
        return true
      case .blocked:
        client.outgoing = outgoing
        if client.watch == nil {
          client.watch = try loop.watch(
            client.socket.rawValue, [.writable, .edgeTriggered], .client(client.number))
        }
      case .paused:
        client.outgoing = outgoing
        loop.schedule(afterMs: 0, .turn(client.number))
      case .cold:
        client.outgoing = outgoing
        try readForResponse(client, outgoing.coldPiece)
      case .cut: refuse(client, "a segment became shorter while it was sent")
      }
    } catch { refuse(client, "cannot send: \(error)") }
    return false
  }
}

extension Array {
  /// The element at `index`, or nil beyond the end.
  fileprivate subscript(safe index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
