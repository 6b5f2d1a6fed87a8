// Frontends: taking requests and sockets, telling what was served. A frontend that is gone takes its
// clients along.

import IPC
import Linux
import Logging
import Service

extension FetcherProcess {
  /// A frontend has greeted.
  func admit(_ hello: Hello, _ socket: consuming OwnedFD) {
    let number = frontends.firstIndex { $0 == nil } ?? frontends.count
    do throws(Errno) {
      let channel = try LoopChannel<FetcherToFrontend, FrontendToFetcher, FetcherProcess>(
        socket, loop: loop, source: .frontend(number))
      let peer = FrontendPeer(instance: hello.instance, channel: channel)
      if number == frontends.count { frontends.append(peer) } else { frontends[number] = peer }
    } catch { log.event(.systemTrouble, "cannot watch a frontend: \(error)") }
    if isStopping { tell(number, .draining) }
  }

  func frontendReady(_ number: Int, _ readiness: Readiness) {
    guard let peer = frontends[number] else { return }
    do {
      try peer.channel.ready(readiness) { message, descriptors throws(MessageError) in
        try heard(message, &descriptors, from: number)
      }
    } catch .channel(.closed) {
      lose(number)
    } catch {
      log.event(
        .siblingDropped, "gave up frontend \(peer.instance): \(error)",
        metadata: ["@sibling": "frontend", "@siblingInstance": "\(peer.instance)"])
      lose(number)
    }
  }

  /// Sends a message. A frontend that cannot be told any more is aborted: its end comes as an event.
  func tell(_ number: Int, _ message: FetcherToFrontend) {
    guard let peer = frontends[number] else { return }
    do throws(ChannelError) { try peer.channel.send(message) } catch { peer.channel.abort() }
  }

  private func heard(
    _ message: FrontendToFetcher, _ descriptors: inout DescriptorList, from number: Int
  ) throws(MessageError) {
    guard let peer = frontends[number] else { return }
    switch message {
    case .fetch(let fetch):
      if let socket = descriptors.take() {
        guard peer.clients[fetch.connection] == nil else {
          throw MessageError("a second socket for connection \(fetch.connection)")
        }
        guard counts.clients < settings.clientsMax else {
          return tell(
            number,
            .refused(
              connection: fetch.connection,
              reason: "the fetcher has as many connections as it can have"))
        }
        lend(fetch, socket, by: peer, number)
      }
      // A connection that was refused is not known any more, while its requests still come in.
      guard let place = peer.clients[fetch.connection], let client = clients[Int(place)] else {
        return
      }
      client.waiting.append(fetch.frame)
      if client.fetch == nil { serve(client) }
    case .forget(let connection):
      if let place = peer.clients[connection], let client = clients[Int(place)] { forget(client) }
    case .giveBack: giveBack(peer)
    }
  }

  private func lend(
    _ fetch: LentFetch, _ socket: consuming OwnedFD, by peer: FrontendPeer, _ frontend: Int
  ) {
    let number = freeClients.popLast() ?? Int32(clients.count)
    let client = Client(
      number: number, frontend: frontend, connection: fetch.connection, peer: fetch.peer,
      socket: socket)
    if Int(number) == clients.count {
      clients.append(client)
    } else {
      clients[Int(number)] = client
    }
    peer.clients[fetch.connection] = number
    counts.clients += 1
  }

  /// Tells the frontend to close a client's connection, and forgets it.
  func refuse(_ client: Client, _ reason: String) {
    // The frontend tells of it, with the client's name.
    log.debug("refusing a client: \(reason)", metadata: ["peer": "\(client.peer)"])
    counts.refused += 1
    tell(client.frontend, .refused(connection: client.connection, reason: reason))
    forget(client)
  }

  /// Lets go of a client's socket, its request and its session.
  func forget(_ client: Client) {
    if let fetch = client.fetch { withdraw(client, fetch) }
    client.fetch = nil
    client.outgoing = nil
    client.waiting.removeAll()
    if let watch = client.watch {
      client.watch = nil
      do { try loop.unwatch(watch) } catch { preconditionFailure("unwatch: \(error)") }
    }
    if let session = client.session, session.client == client.number {
      sessions.remove(session.id)
    }
    client.session = nil
    frontends[client.frontend]?.clients[client.connection] = nil
    clients[Int(client.number)] = nil
    freeClients.append(client.number)
    counts.clients -= 1
  }

  private func lose(_ number: Int) {
    guard let peer = frontends[number] else { return }
    peer.channel.close()
    for place in Array(peer.clients.values) {
      if let client = clients[Int(place)] { forget(client) }
    }
    frontends[number] = nil
  }
}
