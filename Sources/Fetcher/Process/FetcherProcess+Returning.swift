// A frontend makes way for another process and wants its clients' sockets back: what is not begun is
// returned as it came, and of a response that is half written, because its client is slow, the rest
// goes along. Nothing is written to those sockets afterwards.

import IPC
import Linux
import Service

extension FetcherProcess {
  /// Bytes that a frontend gets of all its half-written responses. Beyond that they are written to
  /// their end, if there is time.
  private static var restBytesMax: Int { 48 << 20 }

  func giveBack(_ peer: FrontendPeer) {
    peer.isLeaving = true
    for place in Array(peer.clients.values) {
      guard let client = clients[Int(place)] else { continue }
      // The session waits for its client, who comes back through another process.
      if let session = client.session, session.client == client.number { session.client = -1 }
      if client.outgoing != nil { serve(client) } else { giveBack(client, peer) }
      guard let outgoing = client.outgoing else { continue }
      giveBackRest(client, outgoing, peer)
    }
  }

  /// Returns what is not begun.
  func giveBack(_ client: Client, _ peer: FrontendPeer) {
    guard !client.isIdle else { return }
    var unanswered = client.waiting.count
    if let fetch = client.fetch {
      withdraw(client, fetch)
      // The same request will come again, with the same epoch.
      if case .incremental(let session) = fetch.verdict { session.epoch = fetch.head.sessionEpoch }
      unanswered += 1
    }
    client.fetch = nil
    client.waiting.removeAll()
    tell(
      client.frontend,
      .returned(ReturnedSocket(connection: client.connection, unanswered: UInt32(unanswered))))
  }

  /// Returns a response that its client does not read fast enough, with the requests behind it.
  private func giveBackRest(_ client: Client, _ outgoing: Outgoing, _ peer: FrontendPeer) {
    var outgoing = outgoing
    guard outgoing.unsentCount <= min(ReturnedSocket.restMax, Self.restBytesMax - peer.restBytes)
    else { return }
    do throws(Errno) {
      guard let rest = try outgoing.takeRest(from: client.socket) else {
        return refuse(client, "a segment became shorter while it was sent")
      }
      peer.restBytes += rest.count
      counts.bytes += outgoing.sent
      let unanswered = client.waiting.count
      client.outgoing = nil
      client.fetch = nil
      client.waiting.removeAll()
      tell(
        client.frontend,
        .returned(
          ReturnedSocket(
            connection: client.connection, unanswered: UInt32(unanswered), sent: outgoing.sent,
            rest: rest)))
    } catch { refuse(client, "cannot read what is to be sent: \(error)") }
  }
}
