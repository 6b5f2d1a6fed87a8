// A frontend that is connected, and the clients that it has lent.

import IPC
import Service

final class FrontendPeer {
  let instance: UInt32
  let channel: LoopChannel<FetcherToFrontend, FrontendToFetcher, FetcherProcess>
  /// Places of its clients, by the frontend's numbers of their connections.
  var clients: [UInt64: Int32] = [:]

  init(
    instance: UInt32,
    channel: LoopChannel<FetcherToFrontend, FrontendToFetcher, FetcherProcess>
  ) {
    self.instance = instance
    self.channel = channel
  }
}
