// All sessions of this fetcher, at most as many as configured. As in Kafka (FetchSessionCache): when
// there is no room, a session that was not used for two minutes goes; if there is none, the smallest
// of those that live longer than that, provided the new one is not smaller still; else there is no
// new session, and the client sends full requests.
//
// Ids carry the number of this fetcher, so that a session of another one is never taken for ours: the
// client is told FETCH_SESSION_ID_NOT_FOUND and begins anew.

import Model

/// How a request stands to sessions.
enum SessionVerdict {
  /// All partitions are in the request; no session is wanted.
  case sessionless
  /// All partitions are in the request; a session is to be made of them.
  case wantsSession
  /// The request goes on with a session. Its changes are to be taken over.
  case incremental(FetchSession)
  case refused(ErrorCode)
}

struct FetchSessions {
  /// Sessions that there may be; those over it go as new ones come.
  var capacity: Int
  private let instance: UInt32
  private var sessions: [Int32: FetchSession] = [:]
  private(set) var evictions: UInt64 = 0

  /// Partitions of all sessions together.
  private(set) var partitionCount = 0

  static let evictionNs: UInt64 = 120_000_000_000
  /// Most partitions that all sessions together may have: a bound for memory.
  static let partitionsMax = 1 << 20

  init(capacity: Int, instance: UInt32) {
    self.capacity = capacity
    self.instance = instance
  }

  var count: Int { sessions.count }

  func session(_ id: Int32) -> FetchSession? { sessions[id] }

  /// Judges a request. A full one closes the session that it names.
  mutating func judge(_ head: FetchHead) -> SessionVerdict {
    if head.isFull {
      if head.sessionId != 0 { remove(head.sessionId) }
      return head.sessionEpoch == 0 ? .wantsSession : .sessionless
    }
    guard let session = sessions[head.sessionId] else { return .refused(.fetchSessionIdNotFound) }
    guard session.epoch == head.sessionEpoch else { return .refused(.invalidFetchSessionEpoch) }
    guard session.partitions.usesTopicIds == head.usesTopicIds else {
      return .refused(.fetchSessionTopicIdError)
    }
    return .incremental(session)
  }

  /// Moves a session on, after the changes of a request were taken over.
  /// - Returns: false when nothing is left in it, or more than can be kept: it is closed.
  mutating func proceed(_ session: FetchSession, client: Int32, nowNs: UInt64) -> Bool {
    count(session)
    if session.partitions.isEmpty || !isKeepable(session.partitions, more: 0) {
      remove(session.id)
      return false
    }
    session.lastUsedNs = nowNs
    session.client = client
    session.epoch = FetchSession.epoch(after: session.epoch)
    return true
  }

  /// Makes a session of the partitions of a full request, if there is room.
  mutating func create(_ partitions: FetchPartitions, client: Int32, nowNs: UInt64)
    -> FetchSession?
  {
    guard isKeepable(partitions, more: partitions.count) else { return nil }
    guard sessions.count < capacity || evict(for: partitions.count, nowNs) else { return nil }
    let session = FetchSession(id: newId(), partitions: partitions, client: client, nowNs: nowNs)
    sessions[session.id] = session
    count(session)
    return session
  }

  mutating func remove(_ id: Int32) {
    guard let session = sessions.removeValue(forKey: id) else { return }
    partitionCount -= session.countedPartitions
  }

  private mutating func count(_ session: FetchSession) {
    partitionCount += session.partitions.count - session.countedPartitions
    session.countedPartitions = session.partitions.count
  }

  private func isKeepable(_ partitions: FetchPartitions, more: Int) -> Bool {
    !partitions.hasOverlongName && partitionCount + more <= Self.partitionsMax
      && partitions.count <= FetchRequestReading.partitionsMax
  }

  private mutating func evict(for size: Int, _ nowNs: UInt64) -> Bool {
    guard let stalest = sessions.values.min(by: { $0.lastUsedNs < $1.lastUsedNs }) else {
      return false
    }
    var victim: FetchSession?
    if nowNs - min(nowNs, stalest.lastUsedNs) > Self.evictionNs {
      victim = stalest
    } else {
      victim = sessions.values
        .filter { nowNs - min(nowNs, $0.createdNs) > Self.evictionNs }
        .min { ($0.partitions.count, $0.id) < ($1.partitions.count, $1.id) }
      if let smallest = victim, size < smallest.partitions.count { victim = nil }
    }
    guard let victim else { return false }
    remove(victim.id)
    evictions += 1
    return true
  }

  /// 8 bits of the fetcher's number, 23 bits at random.
  private func newId() -> Int32 {
    while true {
      let id = Int32(instance & 0xFF) << 23 | Int32.random(in: 1..<(1 << 23))
      if sessions[id] == nil { return id }
    }
  }
}
