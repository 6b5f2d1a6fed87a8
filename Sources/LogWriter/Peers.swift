// The siblings that are connected now, one object each. What a sibling brought (slab, wait board)
// lives as long as its connection.

import IPC
import Linux
import Service

final class FrontendPeer {
  let channel: LoopChannel<LogWriterToFrontend, FrontendToLogWriter, LogWriter>
  let instance: UInt32
  var slab: SlabView?
  /// Answers of this round, in the order of the entries.
  var answers: [AppendedEntry] = []

  init(
    _ channel: LoopChannel<LogWriterToFrontend, FrontendToLogWriter, LogWriter>, instance: UInt32
  ) {
    self.channel = channel
    self.instance = instance
  }
}

final class FetcherPeer {
  let channel: LoopChannel<LogWriterToFetcher, FetcherToLogWriter, LogWriter>
  let instance: UInt32
  var waitBoard: WaitBoard?
  /// Marked slots that changed in this round.
  var advanced: [UInt32] = []

  init(_ channel: LoopChannel<LogWriterToFetcher, FetcherToLogWriter, LogWriter>, instance: UInt32)
  {
    self.channel = channel
    self.instance = instance
  }
}

final class CoordinatorPeer {
  let channel: LoopChannel<LogWriterToCoordinator, CoordinatorToLogWriter, LogWriter>

  init(_ channel: LoopChannel<LogWriterToCoordinator, CoordinatorToLogWriter, LogWriter>) {
    self.channel = channel
  }
}

final class CleanerPeer {
  let channel: LoopChannel<LogWriterToCleaner, CleanerToLogWriter, LogWriter>
  let instance: UInt32

  init(_ channel: LoopChannel<LogWriterToCleaner, CleanerToLogWriter, LogWriter>, instance: UInt32)
  {
    self.channel = channel
    self.instance = instance
  }
}

/// Peers of one kind by number. Numbers are not used again, so a late event finds nothing.
struct PeerTable<Peer: AnyObject> {
  private(set) var all: [Int: Peer] = [:]
  private var next = 0

  mutating func reserve() -> Int {
    next += 1
    return next
  }

  subscript(number: Int) -> Peer? {
    get { all[number] }
    set { all[number] = newValue }
  }
}
