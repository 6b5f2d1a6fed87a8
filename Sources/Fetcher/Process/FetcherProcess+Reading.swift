// Clients whose records are not in memory wait for a helper thread that reads them, and nobody else
// does. See ColdReads.swift.

import Linux
import Logging
import Service

extension FetcherProcess {
  /// Has what the response needs next read from the disk.
  func readForResponse(_ client: Client, _ piece: FilePiece) throws(Errno) {
    guard let fetch = client.fetch else { preconditionFailure("a response to no request") }
    try coldReads.begin(piece, for: client, fetch, isForResponse: true, watch: watchReads)
    fetch.isReadingResponse = true
  }

  /// Has what a look needs read from the disk: the client looks again afterwards.
  /// - Returns: false when that is impossible.
  func readForLook(_ client: Client, _ fetch: ActiveFetch, _ piece: FilePiece) -> Bool {
    do throws(Errno) {
      try coldReads.begin(piece, for: client, fetch, isForResponse: false, watch: watchReads)
    } catch {
      log.debug("no helper thread to read segments with: \(error)")
      return false
    }
    fetch.reading += 1
    return true
  }

  private func watchReads(_ descriptor: Int32) throws(Errno) {
    _ = try loop.watch(descriptor, .readable, .coldReads)
  }

  /// A read has ended. Its client may be gone, or have gone on without it when its time was up.
  /// - Parameter error: an errno value, or 0. Of a response, who sends it meets the error.
  func readEnded(_ read: ColdReads.Read, error: Int32) {
    guard let client = clients[Int(read.client)], client.fetch === read.fetch else { return }
    let fetch = read.fetch
    if read.isForResponse {
      fetch.isReadingResponse = false
      client.outgoing?.warmed()
      serve(client)
    } else if fetch.reading > 0 {
      fetch.reading -= 1
      if error != 0 { fetch.hasReadError = true }
      if fetch.reading == 0 { serve(client) }
    }
  }
}
