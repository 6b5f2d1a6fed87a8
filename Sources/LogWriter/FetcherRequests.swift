// What fetchers ask: segments. And how a segment is handed over, to fetchers and the coordinator.

import IPC
import Linux
import Logging
import Model
import Service
import Storage

extension LogWriter {
  func fetcherReady(_ number: Int, _ readiness: Readiness) {
    guard let peer = fetchers[number] else { return }
    do {
      try peer.channel.ready(readiness) { message, descriptors throws(MessageError) in
        switch message {
        case .attachWaitBoard: try attachWaitBoard(&descriptors, peer)
        case .openSegment(let query):
          guard peer.waitBoard != nil else {
            throw MessageError("openSegment before attachWaitBoard")
          }
          hand(query, to: peer)
        }
      }
    } catch {
      context.log.event(
        .siblingLost, "fetcher \(peer.instance) is gone: \(error.reason)",
        metadata: ["@sibling": "fetcher", "@siblingInstance": "\(peer.instance)"])
      peer.channel.close()
      fetchers[number] = nil
    }
  }

  private func attachWaitBoard(_ descriptors: inout DescriptorList, _ peer: FetcherPeer)
    throws(MessageError)
  {
    guard peer.waitBoard == nil else { throw MessageError("a second wait board") }
    guard let file = descriptors.take() else { throw MessageError("a board without descriptor") }
    peer.waitBoard = try WaitBoard(received: file)
    do throws(ChannelError) {
      try peer.channel.send(.scoreboard, descriptors: [store.scoreboard.descriptor.rawValue])
    } catch { peer.channel.abort() }
  }

  private func hand(_ query: SegmentQuery, to peer: FetcherPeer) {
    do throws(ChannelError) {
      switch openSegment(query) {
      case .handle(let handle):
        let description = handle.description(query)
        try peer.channel.send(.segment(description), descriptors: handle.descriptors)
      case .refused(let error):
        try peer.channel.send(.segmentUnavailable(SegmentRefusal(query, error)))
      }
    } catch { peer.channel.abort() }
  }

  enum OpenedSegment: ~Copyable {
    case handle(SegmentHandle)
    case refused(ErrorCode)
  }

  func openSegment(_ query: SegmentQuery) -> OpenedSegment {
    guard let log = store.log(slot: query.slot, generation: query.generation) else {
      return .refused(.unknownTopicOrPartition)
    }
    if log.isOffline { return .refused(.kafkaStorageError) }
    do throws(StorageError) {
      guard let handle = try log.openSegment(at: query.offset) else {
        return .refused(.offsetOutOfRange)
      }
      segmentsOpened += 1
      return .handle(handle)
    } catch {
      store.tell(.partitionUnreadable, log.partition, "cannot open a segment: \(error)")
      return .refused(.kafkaStorageError)
    }
  }
}

extension SegmentHandle {
  func description(_ query: SegmentQuery) -> SegmentDescription {
    SegmentDescription(
      token: query.token, slot: query.slot, generation: query.generation,
      baseOffset: segment.baseOffset, nextBaseOffset: nextBaseOffset, size: segment.size,
      startPosition: startPosition, carriesIndex: index != nil,
      transactions: SegmentTransactions(
        carriesIndex: transactionIndex != nil, nextBaseOffset: transactions.nextBaseOffset,
        lastStableOffset: transactions.lastStableOffset, edition: transactions.edition))
  }

  /// Borrowed for sending.
  var descriptors: [Int32] {
    var descriptors = [log.rawValue]
    switch index {
    case .some(let index): descriptors.append(index.rawValue)
    case .none: break
    }
    switch transactionIndex {
    case .some(let index): descriptors.append(index.rawValue)
    case .none: break
    }
    return descriptors
  }
}

extension SegmentRefusal {
  init(_ query: SegmentQuery, _ error: ErrorCode) {
    self.init(token: query.token, slot: query.slot, generation: query.generation, error: error)
  }
}
