// Making way for the process that comes after this one: its connections go into the supervisor's store
// with all it has to know of them, so that a client sees no more than one slow response.
//
// Whether the unit is stopped or restarted is not known here. When it is stopped the store is emptied,
// which closes the connections.

import DequeModule
import Glibc
import IPC
import Linux
import Logging
import Model
import Service

extension Frontend {
  /// How long the store may take to answer, ms.
  private static var storeMs: Int64 { 10_000 }

  /// - Returns: false when there is nothing to keep or nobody to keep it.
  func offerHandOver() -> Bool {
    guard connections.count > 0 else { return false }
    do throws(Errno) {
      let parcel = try Parcel()
      var ends: (Int32, Int32) = (-1, -1)
      try UnixSocket.pair().split { first, second in ends = (first.release(), second.release()) }
      let offer = HandOver(parcel, answer: OwnedFD(taking: ends.0), nowNs: loop.nowNs)
      guard parcel.give(to: environment.store, barrier: OwnedFD(taking: ends.1)) else {
        return false
      }
      offer.answerWatch = try loop.watch(offer.answer.rawValue, .readable, .storeAnswered)
      handOver = offer
      loop.schedule(afterMs: Self.storeMs, .storeOverdue)
      return true
    } catch {
      log.event(.connectionsNotKept, "client connections cannot be kept: \(error)")
      return false
    }
  }

  func storeAnswered() {
    guard let offer = handOver, offer.phase == .asking else { return }
    endOffer(offer)
    if offer.parcel.isRefused {
      log.event(
        .connectionsNotKept, "client connections are not kept: there is no store for them")
      handOver = nil
      beginStop()
    } else {
      takeBack(offer)
    }
  }

  func storeOverdue() {
    guard let offer = handOver, offer.phase == .asking else { return }
    log.event(
      .connectionsNotKept, "client connections are not kept: the supervisor does not answer")
    endOffer(offer)
    handOver = nil
    beginStop()
  }

  private func endOffer(_ offer: HandOver) {
    guard let watch = offer.answerWatch else { return }
    offer.answerWatch = nil
    do throws(Errno) { try loop.unwatch(watch) } catch { fail(ServiceFailure(error)) }
  }

  /// Begins nothing any more, and calls back what was lent.
  private func takeBack(_ offer: HandOver) {
    offer.phase = .takingBack
    isStopping = true
    unwatchListeners()
    for fetcher in fetchers.fetchers where fetcher.link.isOpen { fetcher.link.send(.giveBack) }
    for connection in connections.all { adjustInterest(connection) }
    for patience in [HandOver.Patience.forUnknownBatches, .none] {
      loop.schedule(afterMs: patience.afterMs, .handOverOverdue(patience))
    }
  }

  func handOverOverdue(_ patience: HandOver.Patience) {
    guard let offer = handOver else { return }
    offer.patience = patience
  }

  func handOverIfReady() {
    guard let offer = handOver, offer.phase == .takingBack, !awaitsMore(offer.patience) else {
      return
    }
    offer.phase = .done
    for connection in connections.all where connection.lending.isLent {
      close(connection, .noSibling, "its fetcher does not give its socket back")
    }
    let underWay = Set(produce.queue.underWay)
    for connection in connections.all { giveUpUnknown(connection, underWay) }
    fill(offer)
    loop.stop()
  }

  private func awaitsMore(_ patience: HandOver.Patience) -> Bool {
    switch patience {
    case .full:
      if !produce.queue.underWay.isEmpty || !produce.openings.isEmpty { return true }
      return connections.all.contains {
        if $0.lending.isLent { return true }
        guard let request = $0.forwarded else { return false }
        return !HandOver.waitsForOthers(request.frame)
      }
    case .forUnknownBatches:
      return produce.queue.underWay.contains { !produce.queue.appends[$0].isRepeatable }
    case .none: return false
    }
  }

  // MARK: Produce requests without an answer

  /// What can be served again without harm is left to the next process: responses leave in order, so
  /// that is a number of requests from the last one back. Whatever is open before those is answered
  /// as after the loss of a logwriter, because nobody knows what becomes of it.
  private func giveUpUnknown(_ connection: Connection, _ underWay: Set<PendingNumber>) {
    var last: PendingNumber = -1
    forEachProduce(of: connection) { number in
      if !isRepeatable(number, underWay) { last = number }
    }
    guard last >= 0 else { return }
    var isBefore = true
    forEachProduce(of: connection) { number in
      if isBefore { answerOpen(number) }
      if number == last { isBefore = false }
    }
    // The answers go out, or are kept with what the client has not read.
    finishRound(of: connection)
  }

  private func forEachProduce(of connection: Connection, _ body: (PendingNumber) -> Void) {
    var next = connection.firstProduce
    while next >= 0 {
      let number = next
      next = produce.requests[number].next
      body(number)
    }
  }

  /// Whether every batch is still as it came, and has not left this process or is noticed when it
  /// comes again.
  private func isRepeatable(_ number: PendingNumber, _ underWay: Set<PendingNumber>) -> Bool {
    let isOpen = !produce.isAnswered(number)
    var next = produce.requests[number].first
    while next >= 0 {
      let append = produce.queue.appends[next]
      let isHeld =
        isOpen && append.error == .none && append.baseOffset < 0 && !underWay.contains(next)
      guard append.isRepeatable || (isHeld && !append.isRewritten) else { return false }
      next = append.next
    }
    return true
  }

  private func answerOpen(_ number: PendingNumber) {
    guard !produce.isAnswered(number) else { return }
    var next = produce.requests[number].first
    while next >= 0 {
      let append = produce.queue.appends[next]
      // Nobody waits for the answer to a request with acks=0.
      if append.error == .none, append.baseOffset < 0, append.acks != 0 {
        produce.queue.appends[next].error = .notLeaderOrFollower
      }
      next = append.next
    }
    produce.requests[number].unanswered = 0
  }

  // MARK: The parcel

  private func fill(_ offer: HandOver) {
    let all = connections.all
    let count = offer.parcel.add(all.map { $0.socket.rawValue })
    do throws(Errno) {
      let file = try HandOverFile.write(count: count) { state(of: all[$0]) }
      guard offer.parcel.finish(file) else { throw Errno(EAGAIN, "sendmsg", "the parcel") }
    } catch {
      log.event(
        .connectionsNotKept, "client connections cannot be kept and are closed: \(error)")
      return
    }
    if count < all.count {
      log.event(
        .connectionsNotKept,
        "\(all.count - count) client connections over the limit of descriptors on their way are closed"
      )
    }
    let tookMs = (Clock.monotonicNs() - offer.beganNs) / 1_000_000
    log.event(
      .connectionsKept,
      "\(count) client connections wait for the next process, after \(tookMs) ms")
  }

  private func state(of connection: Connection) -> ConnectionState {
    let idleNs = loop.nowNs - min(connection.lastActivityNs, loop.nowNs)
    return ConnectionState(
      listener: listeners[connection.listener].name, peer: connection.peer,
      clientId: connection.clientId ?? "", requests: connection.requests,
      bytesIn: connection.bytesIn, bytesOut: connection.bytesOut,
      forwardedCount: connection.requestCount, accountedBytes: connection.lending.accountedBytes,
      idleMs: idleNs / 1_000_000, fetcher: connection.lending.preferredInstance,
      unsent: connection.outgoing.unsent, received: unserved(connection))
  }

  /// What the client has sent and not been answered.
  private func unserved(_ connection: Connection) -> [UInt8] {
    var bytes: [UInt8] = []
    func add(_ frame: some Collection<UInt8>) {
      withUnsafeBytes(of: Int32(frame.count).bigEndian) { bytes.append(contentsOf: $0) }
      bytes.append(contentsOf: frame)
    }
    forEachProduce(of: connection) { number in
      let request = produce.requests[number]
      add(produce.frame(request.frameOffset, request.frameCount))
    }
    for frame in connection.lending.frames { add(frame) }
    if let request = connection.forwarded { add(request.frame) }
    let buffer = connection.buffer
    bytes.append(
      contentsOf: UnsafeRawBufferPointer(start: pool.base + buffer.start, count: buffer.count))
    bytes.append(contentsOf: connection.inherited.rest)
    return bytes
  }
}
