// Aborted transactions for read_committed readers: found in an index, gathered from several segments,
// and learnt of when the index of an active segment comes or grows.
import Glibc
import IPC
import KafkaProtocol
import Linux
import Model
import Testing

@testable import Fetcher

/// Entries as a log has them: markers ascend, and so does the last stable offset.
private func transactions(_ count: Int, from base: Int64 = 0, spread: Int64 = 30)
  -> [AbortedTransaction]
{
  var stable = base
  return (0..<count).map { number in
    let last = base + Int64(number + 1) * 10
    let first = max(base, last - Int64.random(in: 1...spread))
    stable = max(stable, min(last + 1, Int64.random(in: (last - spread)...(last + 1))))
    return AbortedTransaction(
      producerId: Int64(number), firstOffset: first, lastOffset: last, lastStableOffset: stable)
  }
}

struct AbortedSearchTests {
  private func found(_ segment: TestSegment, _ offsets: Range<Int64>) throws -> (
    [AbortedTransaction], Bool
  ) {
    var all: [AbortedTransaction] = []
    let isComplete = try SegmentSearch().aborted(
      SharedDescriptor(try segment.openTransactions()), segmentBase: segment.baseOffset,
      overlapping: offsets
    ) { all.append($0) }
    return (all, isComplete)
  }

  /// As Kafka's search, which goes through all entries from the first.
  @Test(arguments: [1, 2, 239, 240, 241, 242, 1_000, 5_000])
  func whatOverlapsIsFound(count: Int) throws {
    let directory = try TemporaryDirectory()
    let segment = try TestSegment(directory, baseOffset: 100)
    try segment.abort(transactions(count, from: 100), tail: [0, 0, 9])
    let end = 100 + Int64(count) * 10
    for _ in 0..<300 {
      let from = Int64.random(in: 90...(end + 5))
      let offsets = from..<(from + Int64.random(in: 1...200))
      var expected: [AbortedTransaction] = []
      var isComplete = false
      for entry in segment.aborted where !isComplete {
        if entry.lastOffset >= offsets.lowerBound, entry.firstOffset < offsets.upperBound {
          expected.append(entry)
        }
        isComplete = entry.lastStableOffset >= offsets.upperBound
      }
      let (all, ended) = try found(segment, offsets)
      #expect(all == expected, "\(offsets)")
      #expect(ended == isComplete)
    }
  }

  @Test func whatIsNoEntryIsNoticed() throws {
    let good = AbortedTransaction(
      producerId: 1, firstOffset: 12, lastOffset: 14, lastStableOffset: 15)
    var wrong: [[UInt8]] = [TestSegment.entry(good), [UInt8](repeating: 0, count: 34)]
    wrong[0][1] = 1
    for (first, last, stable) in [(14, 14, 15), (2, 4, 5), (12, 14, 16)] as [(Int64, Int64, Int64)]
    {
      wrong.append(
        TestSegment.entry(
          AbortedTransaction(
            producerId: 1, firstOffset: first, lastOffset: last, lastStableOffset: stable)))
    }
    for entry in wrong {
      let directory = try TemporaryDirectory()
      let segment = try TestSegment(directory, baseOffset: 10)
      try segment.abort([good], tail: entry)
      #expect(throws: SegmentFault.self) { try found(segment, 10..<20) }
    }
  }
}

@Suite(.serialized) struct TransactionTests {
  /// Segments of ten batches each; the last one is active.
  private func family(_ segmentCount: Int, descriptors: Int = 4096) throws -> (
    Family, [TestSegment]
  ) {
    let family = try Family(descriptors: descriptors)
    var segments: [TestSegment] = []
    for number in 0..<segmentCount {
      let segment = try TestSegment(family.directory, baseOffset: Int64(number) * 10)
      try segment.append([Int](repeating: 100, count: 10))
      segments.append(segment)
    }
    return (family, segments)
  }

  private func begin(_ family: Family, _ segments: [TestSegment]) throws {
    family.edition = UInt32(segments.reduce(0) { $0 + $1.aborted.count })
    try family.publish(slot: 0, segments[segments.count - 1])
    try family.publish([image()])
    try family.waitReady()
  }

  private func aborted(_ response: TestResponse) -> [[Int64]]? {
    response.partitions[0].abortedTransactions?.map { [$0.producerId, $0.firstOffset] }
  }

  /// Indexes of later segments are read until one shows that it is enough; segments without one are
  /// not asked for.
  @Test(arguments: [4, 11, 12, 18] as [Int16])
  func indexesOfLaterSegments(version: Int16) throws {
    let (family, segments) = try family(8)
    try segments[0].abort([
      .init(producerId: 1, firstOffset: 2, lastOffset: 4, lastStableOffset: 0),
      .init(producerId: 2, firstOffset: 1, lastOffset: 8, lastStableOffset: 0),
    ])
    try segments[3].abort([
      .init(producerId: 3, firstOffset: 3, lastOffset: 31, lastStableOffset: 0),
      .init(producerId: 4, firstOffset: 20, lastOffset: 32, lastStableOffset: 0),
    ])
    try segments[5].abort([
      .init(producerId: 5, firstOffset: 0, lastOffset: 51, lastStableOffset: 40)
    ])
    try segments[7].abort([
      .init(producerId: 6, firstOffset: 0, lastOffset: 75, lastStableOffset: 76)
    ])
    try begin(family, segments)
    let connection = try family.connect()
    let all = request([0], version: version, isolation: 1)
    try family.send(all, version: version, on: connection)
    for offset in [Int64(0), 30, 50] {
      #expect(try family.answerOpen(segments).offset == offset)
    }
    let response = try family.receive(version: version, on: connection)
    #expect(aborted(response) == [[1, 2], [2, 1], [3, 3], [5, 0]])
    #expect(response.records() == segments[0].bytes)
    // A part of it; the segments are known by now.
    let part = try family.fetch(
      request([5], version: version, partitionMaxBytes: 250, isolation: 1), version: version,
      on: connection)
    #expect(part.records().count == 200)
    #expect(aborted(part) == [[2, 1], [3, 3], [5, 0]])
    let first = try family.fetch(
      request([0], version: version, partitionMaxBytes: 150, isolation: 1), version: version,
      on: connection)
    #expect(first.records().count == 100)
    #expect(aborted(first) == [[5, 0]])
    let uncommitted = try family.fetch(
      request([0], version: version), version: version, on: connection)
    #expect(aborted(uncommitted) == nil)
    #expect(try family.counter("segment_requests") == 3)
    try family.stop()
  }

  /// The index of the active segment is not there when the segment is opened, comes, and grows.
  @Test func theActiveSegmentsIndex() throws {
    let (family, segments) = try family(1)
    let segment = segments[0]
    try begin(family, segments)
    let connection = try family.connect()
    func fetch(from offset: Int64) throws {
      try family.send(
        request([offset], version: 12, maxWaitMs: 60_000, isolation: 1), version: 12,
        on: connection)
    }
    try fetch(from: 0)
    try family.answerOpen(segments)
    #expect(aborted(try family.receive(version: 12, on: connection)) == [])
    for round in 0..<5 {
      let offset = segment.nextOffset
      // It waits, and wakes when the transaction has ended.
      try fetch(from: offset)
      try family.await("parked", 1)
      try segment.append([100, 100, 80])
      try segment.abort([
        .init(
          producerId: 7, firstOffset: offset, lastOffset: offset + 2, lastStableOffset: offset + 3)
      ])
      family.edition += 1
      try family.publish(slot: 0, segment)
      if round == 0 { #expect(try family.answerOpen(segments).offset == offset) }
      #expect(aborted(try family.receive(version: 12, on: connection)) == [[7, offset]])
    }
    // What ends no transaction changes nothing.
    try fetch(from: segment.nextOffset)
    try family.await("parked", 1)
    try segment.append([100])
    try family.publish(slot: 0, segment)
    #expect(aborted(try family.receive(version: 12, on: connection)) == [])
    #expect(try family.counter("segment_requests") == 2)
    try family.stop()
  }

  /// A closed segment is asked for again when a transaction that began in it may have been aborted
  /// since, not when others were.
  @Test func aClosedSegmentIsAskedForAgainOnlyIfItMatters() throws {
    let (family, segments) = try family(3)
    try segments[0].abort([
      .init(producerId: 1, firstOffset: 0, lastOffset: 5, lastStableOffset: 6)
    ])
    family.edition = 1
    try family.publish(slot: 0, segments[2], stable: 8)
    try family.publish([image()])
    try family.waitReady()
    let connection = try family.connect()
    let committed = request([0], version: 12, isolation: 1)
    try family.send(committed, version: 12, on: connection)
    try family.answerOpen(segments)
    let early = try family.receive(version: 12, on: connection)
    #expect(early.records().count == 800)
    #expect(aborted(early) == [[1, 0]])
    // One more abort elsewhere, and nothing more is stable.
    try segments[2].abort([
      .init(producerId: 2, firstOffset: 22, lastOffset: 25, lastStableOffset: 8)
    ])
    family.edition = 2
    try family.publish(slot: 0, segments[2], stable: 8)
    #expect(aborted(try family.fetch(committed, version: 12, on: connection)) == [[1, 0]])
    #expect(try family.counter("segment_requests") == 1)
    // The one that began at 8 is aborted.
    try segments[2].abort([
      .init(producerId: 3, firstOffset: 8, lastOffset: 28, lastStableOffset: 29)
    ])
    family.edition = 3
    try family.publish(slot: 0, segments[2])
    try family.send(committed, version: 12, on: connection)
    #expect(try family.answerOpen(segments).offset == 0)
    #expect(try family.answerOpen(segments).offset == 20)
    let late = try family.receive(version: 12, on: connection)
    #expect(late.records().count == 1_000)
    #expect(aborted(late) == [[1, 0], [3, 8]])
    try family.stop()
  }

  /// Waits for a response, or for a question on the other descriptor.
  private func isAnswered(_ connection: TestConnection, or other: Int32) throws -> Bool {
    var polls = [connection.client.rawValue, other].map {
      pollfd(fd: $0, events: Int16(POLLIN), revents: 0)
    }
    guard Glibc.poll(&polls, 2, 20_000) > 0 else { throw TestFailure("nothing came") }
    return polls[0].revents != 0
  }

  /// More segments have to be looked at than there may be descriptors.
  @Test func oneSegmentAtATimeIsEnough() throws {
    let (family, segments) = try family(30, descriptors: 64)
    for (number, segment) in segments.enumerated() {
      try segment.abort([
        .init(
          producerId: Int64(number), firstOffset: 1, lastOffset: segment.baseOffset + 5,
          lastStableOffset: number == 29 ? 296 : 1)
      ])
    }
    try begin(family, segments)
    let connection = try family.connect()
    try family.send(
      request([0], version: 12, maxWaitMs: 60_000, isolation: 1), version: 12, on: connection)
    // What went out of the cache meanwhile is asked for again, but not for ever.
    var questions = 0
    while try !isAnswered(connection, or: family.logwriter.channel.descriptor) {
      try family.answerOpen(segments)
      questions += 1
      try #require(questions < 100)
    }
    let response = try family.receive(version: 12, on: connection)
    #expect(aborted(response)?.count == 30)
    #expect(response.records() == segments[0].bytes)
    try family.stop()
  }

  /// What takes the place of a segment may have other transactions.
  @Test func aReplacedSegmentIsAskedForAgain() throws {
    let (family, segments) = try family(4)
    try segments[0].abort([
      .init(producerId: 1, firstOffset: 0, lastOffset: 5, lastStableOffset: 0)
    ])
    try segments[2].abort([
      .init(producerId: 2, firstOffset: 1, lastOffset: 25, lastStableOffset: 26)
    ])
    try begin(family, segments)
    let connection = try family.connect()
    let committed = request([0], version: 12, isolation: 1)
    try family.send(committed, version: 12, on: connection)
    for _ in 0..<2 { try family.answerOpen(segments) }
    #expect(aborted(try family.receive(version: 12, on: connection)) == [[1, 0], [2, 1]])
    // The second and the third are one now, without its transaction.
    let merged = try TestSegment(family.directory, baseOffset: 10)
    try merged.append([100])
    try family.logwriter.send(
      .dropped([DroppedSegments(slot: 0, generation: 1, fromOffset: 10, toOffset: 21)]))
    try family.send(committed, version: 12, on: connection)
    #expect(try family.answerOpen([segments[0], merged, segments[3]]).offset == 20)
    #expect(aborted(try family.receive(version: 12, on: connection)) == [[1, 0]])
    try family.stop()
  }
}
