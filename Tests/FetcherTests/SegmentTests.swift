// Positions in segments: by index, by walking, by hint; and the cache of segments.
import IPC
import Linux
import Model
import Testing

@testable import Fetcher

struct SegmentSearchTests {
  private func check(_ segment: TestSegment, _ cached: CachedSegment, _ what: String) throws {
    let search = SegmentSearch()
    var offset = segment.baseOffset
    while offset < segment.nextOffset {
      let expected = segment.batches.first { $0.lastOffset >= offset }
      let found = try search.batch(cached, holding: offset, end: segment.size)
      #expect(found?.position == expected?.position, "\(what) offset \(offset)")
      #expect(found?.baseOffset == expected?.baseOffset)
      offset += 1
    }
    #expect(try search.batch(cached, holding: segment.nextOffset, end: segment.size) == nil)
  }

  @Test(arguments: [
    [Int](repeating: 100, count: 300), [Int](repeating: 5000, count: 60),
    [70_000, 61, 61, 9000, 4096, 4097, 61, 300_000, 100], [61],
  ])
  func everyOffsetIsFound(sizes: [Int]) throws {
    let directory = try TemporaryDirectory()
    let segment = try TestSegment(directory, baseOffset: 1000)
    try segment.append(sizes, records: 3)
    try check(segment, try segment.cached(), "indexed")
    try check(segment, try segment.cached(index: false), "walked")
    try segment.padIndex()
    try check(segment, try segment.cached(), "padded")
  }

  /// Compaction leaves holes between batches and at the end.
  @Test func holesAreSteppedOver() throws {
    let directory = try TemporaryDirectory()
    let segment = try TestSegment(directory, baseOffset: 10)
    try segment.append([100])
    try segment.append([100], records: 2, skipping: 7)
    try check(segment, try segment.cached(), "holes")
  }

  @Test(arguments: [[Int](repeating: 100, count: 300), [Int](repeating: 5000, count: 60)])
  func boundariesAreBatches(sizes: [Int]) throws {
    let directory = try TemporaryDirectory()
    let segment = try TestSegment(directory, baseOffset: 0)
    try segment.append(sizes)
    let search = SegmentSearch()
    for cached in [try segment.cached(), try segment.cached(index: false)] {
      for start in [0, 7] {
        let from = segment.batches[start].position
        for size in stride(from: 0, through: 40_000, by: 533) {
          let limit = from + Int64(size)
          let (position, next) = try search.boundary(
            cached, from: from, limit: limit, end: segment.size)
          let expected =
            segment.batches.last { $0.position <= limit && $0.position >= from }?.position ?? from
          let atEnd = segment.size <= limit
          #expect(position == (atEnd ? segment.size : expected), "\(start) \(size)")
          #expect(next?.position == (atEnd ? nil : position))
        }
      }
    }
  }

  @Test func whatIsNoBatchIsNoticed() throws {
    let directory = try TemporaryDirectory()
    let file = try File.open(directory.path + "/x", [.readWrite, .create])
    try File.writeAll([UInt8](repeating: 0, count: 500), to: file)
    let segment = try TestSegment(directory, baseOffset: 0)
    let cached = CachedSegment(
      number: 1, segment.description(), log: SharedDescriptor(file), index: nil)
    #expect(throws: SegmentFault.self) {
      try SegmentSearch().batch(cached, holding: 1, end: 500)
    }
  }

  /// Without an index the way may be too long; the logwriter's answer shortens it.
  @Test func aLongWayIsNotWalked() throws {
    let directory = try TemporaryDirectory()
    let segment = try TestSegment(directory, baseOffset: 0)
    try segment.append([Int](repeating: 5000, count: 600))
    let cached = try segment.cached(index: false)
    let search = SegmentSearch()
    #expect(throws: SegmentFault.self) {
      try search.batch(cached, holding: 599, end: segment.size)
    }
    cached.addFloor(offset: 500, position: segment.batches[480].position)
    cached.addFloor(offset: 100, position: segment.batches[90].position)
    #expect(
      try search.batch(cached, holding: 599, end: segment.size)?.position
        == segment.batches[599].position)
    #expect(cached.floor(99) == 0)
    #expect(cached.floor(100) == segment.batches[90].position)
  }
}

struct SegmentCacheTests {
  private func entry(_ segmentBaseOffset: Int64, generation: UInt32 = 1) -> ScoreboardEntry {
    ScoreboardEntry(
      generation: generation, logStartOffset: 0, logEndOffset: 1000, highWatermark: 1000,
      lastStableOffset: 1000, leaderEpoch: 0, isOffline: false,
      segmentBaseOffset: segmentBaseOffset, segmentPosition: 77)
  }

  private func insert(
    _ cache: inout SegmentCache, _ directory: TemporaryDirectory, slot: UInt32 = 0,
    generation: UInt32 = 1, base: Int64, next: Int64 = .max
  ) throws {
    let segment = try TestSegment(directory, baseOffset: base)
    try segment.append([100])
    cache.insert(
      segment.description(slot: slot, generation: generation, next: next),
      log: SharedDescriptor(try segment.openLog()), index: SharedDescriptor(try segment.openIndex())
    )
  }

  @Test func segmentsAreFoundByOffset() throws {
    let directory = try TemporaryDirectory()
    var cache = SegmentCache(descriptorsMax: 100)
    try insert(&cache, directory, base: 200)
    try insert(&cache, directory, base: 0, next: 100)
    func base(_ offset: Int64, _ entry: ScoreboardEntry) -> Int64? {
      cache.find(slot: 0, generation: entry.generation, offset: offset, entry)?.baseOffset
    }
    #expect(base(0, entry(200)) == 0)
    #expect(base(99, entry(200)) == 0)
    #expect(base(100, entry(200)) == nil)
    #expect(base(200, entry(200)) == 200)
    #expect(base(900, entry(200)) == 200)
    // The log has rolled on: what was the active segment has to be asked for again.
    #expect(base(200, entry(300)) == nil)
    try insert(&cache, directory, base: 200, next: 300)
    #expect(cache.segmentCount == 2)
    #expect(base(200, entry(300)) == 200)
    #expect(base(300, entry(300)) == nil)
    let closed = cache.find(slot: 0, generation: 1, offset: 200, entry(300))
    #expect(closed?.readableEnd(entry(300)) == 100)
    #expect(closed?.readableEnd(entry(200)) == 77)
  }

  @Test func anotherGenerationDropsAll() throws {
    let directory = try TemporaryDirectory()
    var cache = SegmentCache(descriptorsMax: 100)
    try insert(&cache, directory, base: 0)
    let other = cache.find(slot: 0, generation: 2, offset: 0, entry(0, generation: 2))
    #expect(other == nil)
    #expect(cache.segmentCount == 0)
    try insert(&cache, directory, base: 0)
    try insert(&cache, directory, generation: 2, base: 5)
    #expect(cache.segmentCount == 1)
    #expect(cache.descriptorCount == 2)
    cache.removeAll()
    #expect(cache.descriptorCount == 0)
  }

  @Test func theLongestUnusedGoFirst() throws {
    let directory = try TemporaryDirectory()
    var cache = SegmentCache(descriptorsMax: 40)
    for slot in 0..<20 as Range<UInt32> { try insert(&cache, directory, slot: slot, base: 0) }
    #expect(cache.descriptorCount == 40)
    for slot in 0..<5 as Range<UInt32> {
      let found = cache.find(slot: slot, generation: 1, offset: 0, entry(0))
      #expect(found != nil)
    }
    try insert(&cache, directory, slot: 99, base: 0)
    #expect(cache.descriptorCount <= 40)
    #expect(cache.segmentCount >= 14)
    for slot in [0, 1, 2, 3, 4, 99] as [UInt32] {
      let found = cache.find(slot: slot, generation: 1, offset: 0, entry(0))
      #expect(found != nil)
    }
    let gone = cache.find(slot: 5, generation: 1, offset: 0, entry(0))
    #expect(gone == nil)
  }
}

struct PartitionReaderTests {
  private let directory: TemporaryDirectory
  init() throws { directory = try TemporaryDirectory() }

  private func entry(_ segment: TestSegment, start: Int64 = 0) -> ScoreboardEntry {
    ScoreboardEntry(
      generation: 1, logStartOffset: start, logEndOffset: segment.nextOffset,
      highWatermark: segment.nextOffset, lastStableOffset: segment.nextOffset, leaderEpoch: 5,
      isOffline: false, segmentBaseOffset: segment.baseOffset, segmentPosition: segment.size)
  }

  private func target(_ offset: Int64, max: Int32 = .max, fetched: Int32 = -1) -> FetchTarget {
    FetchTarget(
      topic: 0, partition: 0, fetchOffset: offset, maxBytes: max, currentLeaderEpoch: -1,
      lastFetchedEpoch: fetched)
  }

  /// Random segments and limits: what is found is whole batches, from the one that holds the offset
  /// on, within the limits, and at least one when one is promised.
  @Test func findingsAreWholeBatches() throws {
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<30 {
      let segment = try TestSegment(directory, baseOffset: 0)
      let sizes = (0..<Int.random(in: 1...80, using: &generator)).map { _ in
        Int.random(in: 61...9000, using: &generator)
      }
      try segment.append(sizes, records: 2)
      var reader = PartitionReader(descriptorsMax: 10)
      reader.cache.insert(
        segment.description(), log: SharedDescriptor(try segment.openLog()),
        index: SharedDescriptor(try segment.openIndex()))
      for _ in 0..<100 {
        let offset = Int64.random(in: 0..<segment.nextOffset, using: &generator)
        let max = Int.random(in: 0...40_000, using: &generator)
        let oneBatch = Bool.random(using: &generator)
        let found = reader.look(
          target(offset), slot: 0, entry(segment), readCommitted: false,
          ReadLimit(bytes: max, oneBatch: oneBatch))
        let first = try #require(segment.batches.first { $0.lastOffset >= offset })
        let boundaries = Set(segment.batches.map(\.position) + [segment.size])
        #expect(found.error == .none)
        guard found.count > 0 else {
          #expect(!oneBatch && max < first.size, "sizes \(sizes) offset \(offset) max \(max)")
          continue
        }
        #expect(found.position == first.position)
        #expect(boundaries.contains(found.position + Int64(found.count)))
        #expect(found.count <= max || oneBatch && found.count == first.size)
      }
    }
  }

  /// A consumer that goes on where it stopped gets every byte once.
  @Test(arguments: [100, 3000, 70_000])
  func followingALog(size: Int) throws {
    let segment = try TestSegment(directory, baseOffset: 0)
    try segment.append([Int](repeating: size, count: 200))
    var reader = PartitionReader(descriptorsMax: 10)
    reader.cache.insert(
      segment.description(), log: SharedDescriptor(try segment.openLog()), index: nil)
    var offset: Int64 = 0
    var position: Int64 = 0
    while offset < segment.nextOffset {
      let found = reader.look(
        target(offset, max: 1 << 17), slot: 0, entry(segment), readCommitted: false,
        ReadLimit(bytes: 1 << 20))
      #expect(found.position == position)
      #expect(found.count > 0)
      if found.count == 0 { break }
      position += Int64(found.count)
      offset = segment.batches.first { $0.position == position }?.baseOffset ?? segment.nextOffset
    }
    #expect(position == segment.size)
  }

  @Test func epochsOfFollowersAreChecked() throws {
    let segment = try TestSegment(directory, baseOffset: 0)
    try segment.append([100, 100])
    var reader = PartitionReader(descriptorsMax: 10)
    reader.cache.insert(
      segment.description(), log: SharedDescriptor(try segment.openLog()), index: nil)
    func look(_ offset: Int64, _ epoch: Int32, start: Int64 = 0) -> FoundRecords {
      reader.look(
        target(offset, fetched: epoch), slot: 0, entry(segment, start: start),
        readCommitted: false, ReadLimit(bytes: 1000))
    }
    #expect(look(1, 5).count == 100)
    #expect(look(1, 4).count == 100)
    #expect(look(1, 6).error == .offsetOutOfRange)
    #expect(look(0, 5, start: 1).error == .offsetOutOfRange)
    let diverging = look(9, 5)
    #expect(diverging.error == .none)
    #expect(diverging.divergingEpoch?.endOffset == 2)
    #expect(diverging.endsWaiting)
  }

  /// What compaction emptied is skipped: the records after it are in the next segment.
  @Test func anEmptyEndOfASegment() throws {
    let first = try TestSegment(directory, baseOffset: 0)
    try first.append([100, 100])
    let second = try TestSegment(directory, baseOffset: 10)
    try second.append([300])
    var reader = PartitionReader(descriptorsMax: 10)
    reader.cache.insert(
      first.description(next: 10), log: SharedDescriptor(try first.openLog()), index: nil)
    let opening = reader.look(
      target(5), slot: 0, entry(second), readCommitted: false, ReadLimit(bytes: 1000))
    #expect(opening.state == .opening)
    #expect(opening.wantedOffset == 10)
    reader.cache.insert(
      second.description(), log: SharedDescriptor(try second.openLog()), index: nil)
    let found = reader.look(
      target(5), slot: 0, entry(second), readCommitted: false, ReadLimit(bytes: 1000))
    #expect(found.segment?.baseOffset == 10)
    #expect(found.count == 300)
  }
}
