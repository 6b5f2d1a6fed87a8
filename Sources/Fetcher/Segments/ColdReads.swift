// Parts of segments that are on the disk and not in memory. sendfile(2) and pread(2) would wait for
// them, and with them every other client of this process; so a helper thread reads them into the page
// cache first, and the loop goes on with those whose records are in memory.
//
// Threads are started by the first cold read; a fetcher whose clients all read the end of the log has
// none. A client has at most one read for its response and, before it, as many as a request asks for
// segments. A file stays open until its read has ended, whoever else lets go of it; of a client only
// its number is kept, so that its socket closes when it leaves.

import Linux

final class ColdReads {
  /// Reads at a time: enough to keep a disk busy. Others wait their turn.
  private static let threadsMax = 4

  struct Read {
    /// Place in the process's table; by now it may be another client's, who has another fetch.
    let client: Int32
    let fetch: ActiveFetch
    let isForResponse: Bool
    fileprivate let file: SharedDescriptor
  }

  private var threads: HelperThreads?
  /// By token; a free place is nil.
  private var reads: [Read?] = []
  private var freeTokens: [UInt32] = []
  private(set) var begun: UInt64 = 0
  var underWay: Int { reads.count - freeTokens.count }

  /// Reads a part of a file into the page cache.
  /// - Parameter watch: called with the descriptor that tells of reads that are done, once.
  func begin(
    _ piece: FilePiece, for client: Client, _ fetch: ActiveFetch, isForResponse: Bool,
    watch: (Int32) throws(Errno) -> Void
  ) throws(Errno) {
    let threads = try started(watch)
    let token = freeTokens.popLast() ?? UInt32(reads.count)
    let read = Read(
      client: client.number, fetch: fetch, isForResponse: isForResponse, file: piece.log)
    if Int(token) == reads.count { reads.append(read) } else { reads[Int(token)] = read }
    begun += 1
    threads.begin(
      HelperCall(
        token: token, descriptor: piece.log.file.rawValue, operation: 0, offset: piece.position,
        count: piece.count))
  }

  /// - Parameter body: called with each read that has ended, and 0 or an errno value.
  func takeDone(_ body: (Read, Int32) -> Void) {
    threads?.takeDone { token, error in
      guard let read = reads[Int(token)] else { preconditionFailure("a read that never began") }
      reads[Int(token)] = nil
      freeTokens.append(token)
      body(read, error)
    }
  }

  private func started(_ watch: (Int32) throws(Errno) -> Void) throws(Errno) -> HelperThreads {
    if let threads { return threads }
    let made = try HelperThreads(countMax: Self.threadsMax) { call in
      File.fillCache(call.descriptor, at: call.offset, count: call.count)
    }
    try watch(made.descriptor)
    threads = made
    return made
  }
}
