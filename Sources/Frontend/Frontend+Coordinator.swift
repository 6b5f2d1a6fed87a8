// Everything that is neither Produce nor Fetch: forwarded to the coordinator, one request of a
// connection at a time; and the image that the coordinator sends.
//
// A request is kept until its response is here. When the coordinator dies, the next one gets it
// again: at worst a client sees what it would see had it tried again itself. If there is no other
// one in time, the connection is closed, which every client takes as a reason to try again.

import IPC
import KafkaProtocol
import Linux
import Logging
import Service

extension Frontend {
  /// A request goes to so many coordinators at most, a fetch to so many fetchers.
  static var lossesMax: Int { 3 }
  /// The largest frame that fits a message with what is around it, bytes.
  static var handedOverMax: Int { ChannelLimits.bodyMax - 4096 }
  /// Requests that may be with the coordinator together, bytes: more would make it a peer that does
  /// not read. One may always be.
  private static var forwardedBytesMax: Int { ChannelLimits.queuedBytesMax / 2 }

  /// - Returns: false when it must wait for others, or when it is too large to forward: its
  ///   connection is closed.
  func beginForwarding(_ connection: Connection, _ frame: UnsafeRawBufferPointer) -> Bool {
    guard frame.count <= Self.handedOverMax else {
      close(connection, .requestSize, "a request of \(frame.count) bytes that is not Produce")
      return false
    }
    guard forwardedBytes == 0 || forwardedBytes + frame.count <= Self.forwardedBytesMax else {
      isForwardingFull = true
      return false
    }
    forwardedBytes += frame.count
    connection.requestCount += 1
    connection.forwarded = ForwardedRequest(
      number: connection.requestCount, frame: [UInt8](frame))
    connection.turn.isAwaitingResponse = true
    counters.forwarded += 1
    forward(connection)
    if coordinatorLostNs != nil { scheduleOverdueCheck() }
    return true
  }

  private func forward(_ connection: Connection) {
    guard let request = connection.forwarded else { return }
    let local = try? TCPSocket.localAddress(connection.socket)
    coordinator.send(
      .request(
        ClientRequest(
          connection: connection.number, request: request.number,
          listener: listeners[connection.listener].name, peer: connection.peer,
          localHost: local?.host ?? "", localPort: local?.port ?? 0, principal: "User:ANONYMOUS",
          frame: request.frame)))
  }

  func openCoordinator() {
    if let error = coordinator.open() {
      log.debug("the coordinator is not there: \(error)")
      return
    }
    coordinatorLostNs = nil
    for connection in connections.all { forward(connection) }
  }

  func coordinatorReady(_ readiness: Readiness) {
    do throws(ChannelError) {
      try coordinator.ready(readiness) { message, _ throws(MessageError) in self.take(message) }
    } catch { coordinatorLost(error) }
  }

  /// Takes over what the coordinator has sent by now: the image comes before a response that tells
  /// of it.
  func refreshImage() {
    do throws(ChannelError) {
      try coordinator.drain { message, _ throws(MessageError) in self.take(message) }
    } catch { coordinatorLost(error) }
  }

  private func coordinatorLost(_ error: ChannelError) {
    log.event(
      .siblingLost, "the coordinator is gone (\(error)); its requests wait for the next one",
      metadata: ["@sibling": "coordinator"])
    coordinatorLostNs = loop.nowNs
    for connection in connections.all where connection.forwarded != nil {
      connection.forwarded?.losses += 1
      let losses = connection.forwarded?.losses ?? 0
      if losses < Self.lossesMax, !connection.hasEnded { continue }
      connection.closeReason = "\(losses) coordinators died while they had its request"
      mark(connection)
    }
    scheduleOverdueCheck()
  }

  /// Only notes what arrived; it may be called while a request is being served.
  private func take(_ message: CoordinatorToFrontend) {
    switch message {
    case .response(let number, let request, let frame):
      guard let connection = awaiting(number, request) else { return }
      endForwarding(connection)
      connection.response = frame
      mark(connection)
    case .refused(let number, let request, let reason):
      guard let connection = awaiting(number, request) else { return }
      endForwarding(connection)
      connection.closeReason = reason
      mark(connection)
    case .image(let update):
      produce.apply(update)
      hasImage = true
      checkImage()
      serveIfReady()
    case .configureBroker(let dynamic):
      environment.configure(self, dynamic)
    case .reportStatistics(let busiest): askCodecs(busiest: Int(busiest))
    }
  }

  // MARK: Statistics

  /// How long codecs have to tell of themselves, ms: the coordinator waits a little longer.
  private static var codecReportsMs: Int64 { 500 }

  private func askCodecs(busiest: Int) {
    let open = codecs.open
    busiestWanted = busiest
    codecReports.begin(open)
    for index in open { codecs[index].link.send(.reportStatistics) }
    if open.isEmpty {
      sendStatistics()
    } else {
      loop.schedule(afterMs: Self.codecReportsMs, .codecReportsOverdue)
    }
  }

  /// A codec has told of itself, or is gone.
  func reported(_ codec: Int, _ statistics: ProcessStatistics?) {
    codecReports.reported(codec, statistics)
    if codecReports.isComplete { sendStatistics() }
  }

  /// Tells the coordinator of this process and the codecs that have answered.
  func sendStatistics() {
    guard codecReports.isAsking else { return }
    coordinator.send(.statistics([statistics(busiestWanted)] + codecReports.take()))
  }

  private func statistics(_ busiest: Int) -> ProcessStatistics {
    var statistics = environment.statistics(counters.list(connections: connections.count))
    guard busiest > 0 else { return statistics }
    var heaviest = Heaviest<ConnectionWork>(busiest)
    for connection in connections.all {
      let bytes = connection.bytesIn &+ connection.bytesOut
      heaviest.offer(bytes - connection.bytesTold, connection.work)
      connection.bytesTold = bytes
    }
    statistics.connections = heaviest.items
    return statistics
  }

  /// The connection's request is answered, or nobody waits for the answer any more.
  func endForwarding(_ connection: Connection) {
    guard let request = connection.forwarded else { return }
    connection.forwarded = nil
    forwardedBytes -= request.frame.count
    guard isForwardingFull else { return }
    isForwardingFull = false
    for waiting in connections.all where waiting.isWaiting { mark(waiting) }
  }

  /// The connection that waits for this response; it may be gone.
  private func awaiting(_ number: UInt64, _ request: UInt64) -> Connection? {
    guard let connection = connections[number], connection.forwarded?.number == request else {
      return nil
    }
    return connection
  }
}
