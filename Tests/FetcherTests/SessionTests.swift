// Fetch sessions: their state machine, their eviction, and what their responses leave out.
import IPC
import KafkaProtocol
import Linux
import Model
import Testing

@testable import Fetcher

struct FetchPartitionsTests {
  private func target(_ partition: Int32, offset: Int64 = 0) -> FetchTarget {
    FetchTarget(
      topic: 0, partition: partition, fetchOffset: offset, maxBytes: 100, currentLeaderEpoch: -1,
      lastFetchedEpoch: -1)
  }

  private func order(_ partitions: FetchPartitions) -> [Int32] {
    partitions.order.map { partitions.targets[Int($0)].partition }
  }

  @Test func orderIsKeptAndChanged() {
    let partitions = FetchPartitions(usesTopicIds: false)
    let topic = FetchTopic(id: .zero, name: "t")
    #expect(partitions.place(of: topic) == 0)
    #expect(partitions.place(of: topic) == 0)
    for number in 0..<4 as Range<Int32> { partitions.put(target(number)) }
    #expect(order(partitions) == [0, 1, 2, 3])
    partitions.moveToEnd(1)
    #expect(order(partitions) == [0, 2, 3, 1])
    partitions.moveToEnd(1)
    partitions.moveToEnd(0)
    #expect(order(partitions) == [2, 3, 1, 0])
    partitions.put(target(3, offset: 9))
    #expect(order(partitions) == [2, 3, 1, 0])
    #expect(partitions.targets[Int(partitions.order[1])].fetchOffset == 9)
    partitions.remove(topic, partition: 2)
    partitions.remove(topic, partition: 7)
    partitions.remove(FetchTopic(id: .zero, name: "u"), partition: 3)
    #expect(order(partitions) == [3, 1, 0])
    partitions.put(target(5))
    #expect(order(partitions) == [3, 1, 0, 5])
    for number in [0, 1, 3, 5] as [Int32] { partitions.remove(topic, partition: number) }
    #expect(partitions.isEmpty)
    #expect(order(partitions).isEmpty)
    partitions.put(target(8))
    #expect(order(partitions) == [8])
  }

  @Test func manyComeAndGo() {
    for usesTopicIds in [false, true] {
      let partitions = FetchPartitions(usesTopicIds: usesTopicIds)
      func topic(_ number: Int) -> FetchTopic {
        FetchTopic(id: UUID128(high: 1, low: UInt64(number)), name: "t\(number)")
      }
      for number in 0..<500 {
        let place = partitions.place(of: topic(number))
        for partition in 0..<3 as Range<Int32> {
          partitions.put(
            FetchTarget(
              topic: place, partition: partition, fetchOffset: 0, maxBytes: 1,
              currentLeaderEpoch: -1, lastFetchedEpoch: -1))
        }
        #expect(partitions.count == (min(number, 20) + 1) * 3)
        for partition in 0..<3 as Range<Int32> where number >= 20 {
          partitions.remove(topic(number - 20), partition: partition)
        }
      }
      // What was forgotten leaves nothing behind.
      #expect(partitions.topics.count <= 22)
      #expect(partitions.targets.count <= 66)
      #expect(partitions.order.count == partitions.count)
    }
  }

  @Test func negativeSizesAreNone() {
    let target = FetchTarget(
      topic: 0, partition: 0, fetchOffset: 0, maxBytes: -5, currentLeaderEpoch: -1,
      lastFetchedEpoch: -1)
    #expect(target.maxBytes == 0)
  }
}

/// The sessions as a reference: expectations cannot change a value.
private final class Sessions {
  private var sessions: FetchSessions

  init(capacity: Int, instance: UInt32) {
    sessions = FetchSessions(capacity: capacity, instance: instance)
  }

  var count: Int { sessions.count }
  var evictions: UInt64 { sessions.evictions }
  var partitionCount: Int { sessions.partitionCount }

  func session(_ id: Int32) -> FetchSession? { sessions.session(id) }

  func create(_ partitions: FetchPartitions, client: Int32, nowNs: UInt64) -> FetchSession? {
    sessions.create(partitions, client: client, nowNs: nowNs)
  }

  func proceed(_ session: FetchSession, client: Int32, nowNs: UInt64) -> Bool {
    sessions.proceed(session, client: client, nowNs: nowNs)
  }

  func verdict(_ head: FetchHead) -> String {
    switch sessions.judge(head) {
    case .sessionless: "sessionless"
    case .wantsSession: "wants"
    case .incremental: "incremental"
    case .refused(let error): "\(error)"
    }
  }
}

struct FetchSessionsTests {
  private func partitions(_ count: Int32, ids: Bool = false) -> FetchPartitions {
    let partitions = FetchPartitions(usesTopicIds: ids)
    let place = partitions.place(of: FetchTopic(id: .zero, name: "t"))
    for number in 0..<count {
      partitions.put(
        FetchTarget(
          topic: place, partition: number, fetchOffset: 0, maxBytes: 1, currentLeaderEpoch: -1,
          lastFetchedEpoch: -1))
    }
    return partitions
  }

  private func head(_ sessionId: Int32, _ epoch: Int32, version: Int16 = 12) -> FetchHead {
    var head = FetchHead()
    head.version = version
    head.sessionId = sessionId
    head.sessionEpoch = epoch
    return head
  }

  @Test func theLifeOfASession() throws {
    let sessions = Sessions(capacity: 10, instance: 3)
    #expect(sessions.verdict(head(0, 0)) == "wants")
    #expect(sessions.verdict(head(0, -1)) == "sessionless")
    #expect(sessions.verdict(head(5, 1)) == "FETCH_SESSION_ID_NOT_FOUND")
    let session = try #require(sessions.create(partitions(2), client: 0, nowNs: 0))
    #expect(session.id >> 23 == 3)
    for (epoch, expected) in [
      (Int32(1), "incremental"), (2, "INVALID_FETCH_SESSION_EPOCH"),
      (.max, "INVALID_FETCH_SESSION_EPOCH"), (-2, "INVALID_FETCH_SESSION_EPOCH"),
    ] {
      #expect(sessions.verdict(head(session.id, epoch)) == expected)
    }
    #expect(
      sessions.verdict(head(session.id, 1, version: 13)) == "FETCH_SESSION_TOPIC_ID_ERROR")
    #expect(sessions.proceed(session, client: 0, nowNs: 1))
    #expect(sessions.verdict(head(session.id, 1)) == "INVALID_FETCH_SESSION_EPOCH")
    #expect(sessions.verdict(head(session.id, 2)) == "incremental")
    session.epoch = .max
    #expect(sessions.proceed(session, client: 0, nowNs: 1))
    #expect(session.epoch == 1)
    // A full request closes the session that it names, whether it wants a new one or none.
    #expect(sessions.verdict(head(session.id, 0)) == "wants")
    #expect(sessions.count == 0)
    let other = try #require(sessions.create(partitions(1, ids: true), client: 0, nowNs: 0))
    #expect(sessions.verdict(head(other.id, 1)) == "FETCH_SESSION_TOPIC_ID_ERROR")
    #expect(sessions.verdict(head(other.id, -1)) == "sessionless")
    #expect(sessions.count == 0)
  }

  @Test func aSessionWithoutPartitionsEnds() throws {
    let sessions = Sessions(capacity: 10, instance: 1)
    let session = try #require(sessions.create(partitions(1), client: 0, nowNs: 0))
    session.partitions.remove(FetchTopic(id: .zero, name: "t"), partition: 0)
    #expect(!sessions.proceed(session, client: 0, nowNs: 1))
    #expect(sessions.count == 0)
  }

  @Test func whoIsEvicted() throws {
    let minute: UInt64 = 60_000_000_000
    let sessions = Sessions(capacity: 2, instance: 1)
    let small = try #require(sessions.create(partitions(1), client: 0, nowNs: 0))
    let large = try #require(sessions.create(partitions(9), client: 0, nowNs: 0))
    // Both are young.
    #expect(sessions.create(partitions(100), client: 0, nowNs: minute) == nil)
    // Both are old but in use: the smaller one goes for a larger one.
    #expect(sessions.proceed(small, client: 0, nowNs: 3 * minute))
    #expect(sessions.proceed(large, client: 0, nowNs: 3 * minute))
    let next = try #require(sessions.create(partitions(5), client: 0, nowNs: 3 * minute))
    #expect(sessions.session(small.id) == nil)
    // The new one is protected, and the old large one is more than what asks.
    #expect(sessions.create(partitions(8), client: 0, nowNs: 4 * minute) == nil)
    // What was not used for two minutes goes whatever its size, the longest unused first.
    #expect(sessions.proceed(next, client: 0, nowNs: 5 * minute))
    #expect(sessions.create(partitions(1), client: 0, nowNs: 6 * minute) != nil)
    #expect(sessions.session(large.id) == nil)
    #expect(sessions.evictions == 2)
    let none = Sessions(capacity: 0, instance: 1)
    #expect(none.create(partitions(1), client: 0, nowNs: 0) == nil)
  }

  @Test func whatIsTooMuchIsNotKept() throws {
    let sessions = Sessions(capacity: 1000, instance: 1)
    let long = partitions(1)
    let place = long.place(of: FetchTopic(id: .zero, name: String(repeating: "x", count: 250)))
    #expect(place == 1)
    #expect(sessions.create(long, client: 0, nowNs: 0) == nil)
    // Sessions that grow are counted, too.
    let growing = partitions(1)
    let session = try #require(sessions.create(growing, client: 0, nowNs: 0))
    for number in 0..<10 as Range<Int32> {
      growing.put(
        FetchTarget(
          topic: 0, partition: number, fetchOffset: 0, maxBytes: 1, currentLeaderEpoch: -1,
          lastFetchedEpoch: -1))
    }
    #expect(sessions.proceed(session, client: 0, nowNs: 0))
    #expect(sessions.partitionCount == 10)
    let most = Int32(FetchRequestReading.partitionsMax)
    let half = partitions(most / 2)
    for _ in 0..<15 { #expect(sessions.create(half, client: 0, nowNs: 0) != nil) }
    #expect(sessions.create(half, client: 0, nowNs: 0) == nil)
    #expect(sessions.create(partitions(100), client: 0, nowNs: 0) != nil)
    #expect(sessions.partitionCount == 15 * Int(most) / 2 + 110)
  }

  @Test func idsOfFetchersDiffer() throws {
    let one = Sessions(capacity: 500, instance: 1)
    let two = Sessions(capacity: 500, instance: 2)
    for _ in 0..<500 {
      let session = try #require(one.create(partitions(1), client: 0, nowNs: 0))
      #expect(two.session(session.id) == nil)
      #expect(session.id > 0)
      _ = two.create(partitions(1), client: 0, nowNs: 0)
    }
  }
}

struct ResponseSelectionTests {
  private func fetch(_ verdict: SessionVerdict, _ partitions: FetchPartitions) -> ActiveFetch {
    ActiveFetch(FetchHead(), partitions, verdict, fetchMaxBytes: 100, nowNs: 0)
  }

  @Test func aSessionTellsWhatHasChanged() throws {
    let sessions = Sessions(capacity: 10, instance: 1)
    let partitions = FetchPartitions(usesTopicIds: false)
    let place = partitions.place(of: FetchTopic(id: .zero, name: "t"))
    for number in 0..<3 as Range<Int32> {
      partitions.put(
        FetchTarget(
          topic: place, partition: number, fetchOffset: 0, maxBytes: 1, currentLeaderEpoch: -1,
          lastFetchedEpoch: -1))
      partitions.targets[Int(number)].found.highWatermark = 5
      partitions.targets[Int(number)].found.logStartOffset = 0
    }
    var selected: [Int32] = []
    ResponseSelection.select(fetch(.wantsSession, partitions), into: &selected)
    #expect(selected == [0, 1, 2])
    let session = try #require(sessions.create(partitions, client: 0, nowNs: 0))
    let incremental = fetch(.incremental(session), partitions)
    func next() -> [Int32] {
      ResponseSelection.select(incremental, into: &selected)
      return selected
    }
    #expect(next() == [])
    partitions.targets[1].found.highWatermark = 6
    #expect(next() == [1])
    #expect(next() == [])
    partitions.targets[2].found.logStartOffset = 2
    #expect(next() == [2])
    partitions.targets[0].found.count = 10
    #expect(next() == [0])
    #expect(next() == [0])
    partitions.targets[0].found = FoundRecords(.kafkaStorageError)
    #expect(next() == [0])
    #expect(next() == [0])
    // When the error goes away, that is news.
    partitions.targets[0].found = FoundRecords()
    partitions.targets[0].found.highWatermark = 5
    partitions.targets[0].found.logStartOffset = 0
    #expect(next() == [0])
    #expect(next() == [])
  }
}

@Suite(.serialized) struct SessionServingTests {
  @Test(arguments: [7, 11, 12, 13, 17, 18] as [Int16])
  func aSessionOverTheWire(version: Int16) throws {
    let family = try Family()
    let segments = try (0..<3).map { _ in try TestSegment(family.directory, baseOffset: 0) }
    for (slot, segment) in segments.enumerated() {
      try segment.append([100])
      try family.publish(slot: UInt32(slot), segment)
    }
    try family.publish([image(slots: [0, 1, 2])])
    try family.waitReady()
    let connection = try family.connect()
    let full = try family.fetch(
      request([1, 1, 1], version: version, sessionEpoch: 0), version: version, on: connection)
    let id = full.message.sessionId
    #expect(id > 0)
    #expect(full.partitions.count == 3)
    #expect(try family.counter("sessions") == 1)

    // Nothing new: an empty response, when time is up.
    var incremental = request([], version: version, sessionId: id, sessionEpoch: 1)
    incremental.topics = []
    let empty = try family.fetch(incremental, version: version, on: connection)
    #expect(empty.message.errorCode == .none)
    #expect(empty.message.sessionId == id)
    #expect(empty.message.responses.isEmpty)

    // One partition has grown: it alone is told.
    try segments[1].append([100, 100])
    try family.publish(slot: 1, segments[1])
    incremental.sessionEpoch = 2
    try family.send(incremental, version: version, on: connection)
    try family.answerOpen([segments[1]])
    let grown = try family.receive(version: version, on: connection)
    #expect(grown.partitions.map(\.partitionIndex) == [1])
    #expect(grown.records().count == 200)

    // A wrong epoch and an unknown id.
    let wrong = try family.fetch(incremental, version: version, on: connection)
    #expect(wrong.message.errorCode == .invalidFetchSessionEpoch)
    #expect(wrong.message.sessionId == 0)
    incremental.sessionId = id ^ 1
    let unknown = try family.fetch(incremental, version: version, on: connection)
    #expect(unknown.message.errorCode == .fetchSessionIdNotFound)

    // The session goes on, and forgets two partitions.
    incremental.sessionId = id
    incremental.sessionEpoch = 3
    incremental.forgottenTopicsData = [
      .init(
        topic: version < 13 ? "t" : "", topicId: version < 13 ? .zero : topicId,
        partitions: [0, 1])
    ]
    let forgot = try family.fetch(incremental, version: version, on: connection)
    #expect(forgot.message.responses.isEmpty)
    // Its last one, too: that ends it.
    incremental.sessionEpoch = 4
    incremental.forgottenTopicsData[0].partitions = [2]
    let ended = try family.fetch(incremental, version: version, on: connection)
    #expect(ended.message.sessionId == 0)
    #expect(try family.counter("sessions") == 0)
    try family.stop()
  }

  /// With room for one batch at a time all partitions get their turn.
  @Test func partitionsTakeTurns() throws {
    let family = try Family()
    let count = 4
    let segments = try (0..<count).map { _ in try TestSegment(family.directory, baseOffset: 0) }
    for (slot, segment) in segments.enumerated() {
      try segment.append([1000, 1000, 1000])
      try family.publish(slot: UInt32(slot), segment)
    }
    try family.publish([image(slots: [0, 1, 2, 3])])
    try family.waitReady()
    let connection = try family.connect()
    try family.send(
      request([0, 0, 0, 0], version: 12, maxBytes: 1000, sessionEpoch: 0), version: 12,
      on: connection)
    for _ in 0..<count { try family.answerOpen(segments) }
    var served: [Int32] = []
    func note(_ response: TestResponse) {
      served += response.partitions.filter { $0.records?.isEmpty == false }.map(\.partitionIndex)
    }
    let first = try family.receive(version: 12, on: connection)
    note(first)
    for epoch in 1...7 as ClosedRange<Int32> {
      var next = request(
        [], version: 12, maxBytes: 1000, sessionId: first.message.sessionId, sessionEpoch: epoch)
      next.topics = []
      note(try family.fetch(next, version: 12, on: connection))
    }
    // The session was made by the first response, which moves nobody.
    #expect(served == [0, 0, 1, 2, 3, 0, 1, 2])
    try family.stop()
  }

  @Test func aTopicMadeAnewUnderItsName() throws {
    let family = try Family()
    let segment = try TestSegment(family.directory, baseOffset: 0)
    try segment.append([100])
    try family.publish(slot: 0, segment)
    try family.publish(slot: 1, segment)
    try family.publish([image()])
    try family.waitReady()
    let connection = try family.connect()
    let full = try family.fetch(
      request([1], version: 13, sessionEpoch: 0), version: 13, on: connection)
    let newId = UUID128(high: 7, low: 7)
    try family.publish([image(id: newId, slots: [1])], snapshot: false, removed: [topicId])
    // Answered behind the image: a request need not meet it otherwise.
    _ = try family.counter("sessions")
    var next = request([], version: 13, sessionId: full.message.sessionId, sessionEpoch: 1)
    next.topics = []
    let inconsistent = try family.fetch(next, version: 13, on: connection)
    #expect(inconsistent.partitions.map(\.errorCode) == [.inconsistentTopicId])
    try family.publish([], snapshot: false, removed: [newId])
    _ = try family.counter("sessions")
    next.sessionEpoch = 2
    let gone = try family.fetch(next, version: 13, on: connection)
    #expect(gone.partitions.map(\.errorCode) == [.unknownTopicOrPartition])
    let unknown = try family.fetch(request([1], version: 13), version: 13, on: connection)
    #expect(unknown.partitions.map(\.errorCode) == [.unknownTopicId])
    try family.stop()
  }

  /// The next request of a session ends the one that still waits, wherever that came from.
  @Test func aSessionUsedOnTwoConnections() throws {
    let family = try Family()
    let segment = try TestSegment(family.directory, baseOffset: 0)
    try segment.append([100])
    try family.publish(slot: 0, segment)
    try family.publish([image()])
    try family.waitReady()
    let one = try family.connect()
    let two = try family.connect()
    let full = try family.fetch(
      request([1], version: 12, sessionEpoch: 0), version: 12, on: one)
    var next = request(
      [], version: 12, maxWaitMs: 60_000, sessionId: full.message.sessionId, sessionEpoch: 1)
    next.topics = []
    try family.send(next, version: 12, on: one)
    try family.await("parked", 1)
    next.sessionEpoch = 2
    try family.send(next, version: 12, on: two)
    let interrupted = try family.receive(version: 12, on: one)
    #expect(interrupted.message.errorCode == .invalidFetchSessionEpoch)
    try segment.append([100])
    try family.await("parked", 1)
    try family.publish(slot: 0, segment)
    try family.answerOpen([segment])
    #expect(try family.receive(version: 12, on: two).records().count == 100)
    try family.stop()
  }
}
