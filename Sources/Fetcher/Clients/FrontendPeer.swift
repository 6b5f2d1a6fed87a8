// A frontend that is connected, and the clients that it has lent.

import IPC
import Service

final class FrontendPeer {
  let instance: UInt32
  let channel: LoopChannel<FetcherToFrontend, FrontendToFetcher, FetcherProcess>
  /// Places of its clients, by the frontend's numbers of their connections.
  var clients: [UInt64: Int32] = [:]
  /// It wants all sockets back: no request is begun any more.
  var isLeaving = false
  /// Bytes of half-written responses that it has been given to send itself.
  var restBytes = 0

  init(
    instance: UInt32,
    channel: LoopChannel<FetcherToFrontend, FrontendToFetcher, FetcherProcess>
  ) {
    self.instance = instance
    self.channel = channel
  }
}
