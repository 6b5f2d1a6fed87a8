// The right to write to one client's socket: with the frontend, or lent to a fetcher until it has
// answered every fetch it was given. A value: the loop performs what it answers.
//
// All bytes that ever went into the socket are accounted: the frontend's own and those that
// `served` reported. When a fetcher dies, the kernel's count of written bytes tells whether the
// open responses had been begun. A fetcher that gives a socket back says it itself.

import DequeModule
import IPC

struct Lending {
  /// The fetcher that serves this connection; it keeps the socket and the sessions.
  private(set) var fetcher: Int?
  /// That fetcher has got a duplicate of the socket.
  private var hasSocket = false
  /// Fetches without an answer, oldest first.
  private(set) var frames: Deque<[UInt8]> = []
  /// Fetchers in a row that died with a fetch of this connection.
  private var losses = 0
  /// Bytes that are known to have gone into the socket.
  private(set) var accountedBytes: UInt64 = 0

  /// Instance of the fetcher that may know sessions of this client, 0 when there is none: the first
  /// choice for its next fetch.
  var preferredInstance: UInt32 = 0

  /// Nobody else may write to the socket.
  var isLent: Bool { fetcher != nil && !frames.isEmpty }

  /// Fetches that no fetcher has: their fetcher died and there was no other one, or gave them back.
  var isStranded: Bool { fetcher == nil && !frames.isEmpty }

  /// The frontend itself has written.
  mutating func wrote(_ bytes: Int) { accountedBytes += UInt64(bytes) }

  /// Gives the connection to a fetcher. No fetch may be under way with another one.
  mutating func assign(_ fetcher: Int) {
    precondition(self.fetcher == nil, "a connection has one fetcher")
    self.fetcher = fetcher
    hasSocket = false
  }

  /// A fetch begins: it goes to `fetcher`.
  /// - Returns: whether the socket goes along.
  mutating func begin(_ frame: [UInt8]) -> Bool {
    frames.append(frame)
    return takeSocketTurn()
  }

  private mutating func takeSocketTurn() -> Bool {
    precondition(fetcher != nil, "a fetch without a fetcher")
    defer { hasSocket = true }
    return !hasSocket
  }

  /// The oldest fetch was answered.
  /// - Returns: the bytes of its frame; nil when none was under way: the fetcher is confused.
  mutating func served(_ bytes: UInt64) -> Int? {
    guard fetcher != nil, let frame = frames.popFirst() else { return nil }
    accountedBytes += bytes
    losses = 0
    return frame.count
  }

  /// The fetcher has given the socket back and writes no more.
  ///   If it has begun a response to the oldest fetch, the rest of that is ours to send.
  /// - Returns: the bytes of that fetch's frame, 0 if none was begun; nil when the fetcher is confused.
  mutating func returned(_ socket: ReturnedSocket) -> Int? {
    let isBegun = socket.sent > 0 || !socket.rest.isEmpty
    guard fetcher != nil, frames.count == Int(socket.unanswered) + (isBegun ? 1 : 0) else {
      return nil
    }
    fetcher = nil
    hasSocket = false
    guard isBegun, let frame = frames.popFirst() else { return 0 }
    accountedBytes += socket.sent
    return frame.count
  }

  /// Goes on with the bytes of a connection that came from another process.
  init(accountedBytes: UInt64 = 0, preferredInstance: UInt32 = 0) {
    self.accountedBytes = accountedBytes
    self.preferredInstance = preferredInstance
  }

  enum AfterLoss: Equatable {
    /// Nothing was under way.
    case nothing
    /// No response was begun: the open fetches go to another fetcher.
    case reassign
    /// The client has part of a response: close the connection.
    case torn
    /// Its fetches may be what fetchers die of: close the connection.
    case exhausted
  }

  /// The fetcher is gone.
  /// - Parameter writtenBytes: what the kernel says was written to the socket; nil: unknown.
  mutating func lost(writtenBytes: UInt64?, lossesMax: Int) -> AfterLoss {
    fetcher = nil
    hasSocket = false
    if frames.isEmpty { return writtenBytes ?? accountedBytes == accountedBytes ? .nothing : .torn }
    guard writtenBytes == accountedBytes else { return .torn }
    losses += 1
    return losses < lossesMax ? .reassign : .exhausted
  }

  /// Sends the open fetches again, to the fetcher that was just assigned.
  /// - Returns: the frames in order, and whether the socket goes along with the first.
  mutating func resume() -> [(frame: [UInt8], carriesSocket: Bool)] {
    frames.map { ($0, takeSocketTurn()) }
  }

  /// The fetcher is about to stop and has answered everything: another one is free to be assigned.
  /// - Returns: the fetcher that should forget the connection, if it knows it.
  mutating func leave() -> Int? {
    precondition(frames.isEmpty, "leaving a fetcher with fetches under way")
    defer {
      fetcher = nil
      hasSocket = false
    }
    return hasSocket ? fetcher : nil
  }

  /// The fetcher that must be told when the connection ends.
  var fetcherToTell: Int? { hasSocket ? fetcher : nil }
}
