// Records that are on the disk and not in memory: read by helper threads, while others are served.
import Glibc
import IPC
import KafkaProtocol
import Linux
import Testing

@testable import Fetcher

/// Drops a file from memory. Where the file system is memory itself, or something else is about to
/// write the file, that has no effect.
/// - Returns: whether the page at `offset` has gone.
private func drop(_ file: consuming OwnedFD, pageAt offset: Int64 = 0) throws -> Bool {
  try File.syncData(file)
  posix_fadvise(file.rawValue, 0, 0, POSIX_FADV_DONTNEED)
  return !isInMemory(file, pageAt: offset)
}

/// What mincore(2) says; asking by reading would begin to read ahead.
private func isInMemory(_ file: borrowing OwnedFD, pageAt offset: Int64) -> Bool {
  let page = mmap(nil, 4096, PROT_READ, MAP_SHARED, file.rawValue, off_t(offset / 4096 * 4096))
  defer { munmap(page, 4096) }
  var resident: UInt8 = 0
  #expect(mincore(page, 4096, &resident) == 0)
  return resident & 1 != 0
}

@Suite(.serialized) struct ColdReadTests {
  private func family(_ sizes: [Int]) throws -> (Family, TestSegment) {
    let family = try Family()
    let segment = try TestSegment(family.directory, baseOffset: 0)
    try segment.append(sizes)
    try family.publish(slot: 0, segment)
    try family.publish([image()])
    try family.waitReady()
    return (family, segment)
  }

  private func large(_ offset: Int64) -> FetchRequest {
    request(
      [offset], version: 12, maxWaitMs: 60_000, maxBytes: 50 << 20, partitionMaxBytes: 50 << 20)
  }

  /// Does something with cold files until a helper thread had to read. The kernel begins to read what
  /// is asked for without waiting, and a quick disk may be done by then: mostly it is not.
  /// - Parameter attempt: says whether the files were cold, and how many reads there were.
  private func untilRead(atLeast wanted: UInt64 = 1, _ attempt: () throws -> (Bool, UInt64)) throws
  {
    var coldOnes = 0
    for _ in 0..<40 {
      let (isCold, reads) = try attempt()
      if isCold { coldOnes += 1 }
      if reads >= wanted { return }
    }
    #expect(coldOnes == 0, "\(coldOnes) times nothing was in memory, and nothing had to be read")
  }

  /// The client sees the same bytes. Small records, too, which are otherwise read on the spot.
  @Test(arguments: [[100, 3_000_000, 300], [Int](repeating: 70_000, count: 300)], [true, false])
  func recordsThatAreNotInMemory(sizes: [Int], isFirst: Bool) throws {
    let (family, segment) = try family(sizes)
    let connection = try family.connect()
    try family.send(large(0), version: 12, on: connection)
    try family.answerOpen([segment])
    _ = try family.receive(version: 12, on: connection)
    let batch = try #require(isFirst ? segment.batches.first : segment.batches.last)
    try untilRead {
      let isCold = try drop(try segment.openLog(), pageAt: batch.position)
      let before = try family.counter("cold_reads")
      let response = try family.fetch(large(batch.baseOffset), version: 12, on: connection)
      #expect(response.records() == Array(segment.bytes[Int(batch.position)...]))
      return (isCold, try family.counter("cold_reads") - before)
    }
    try family.await("cold_reads_open", 0)
    try family.stop()
  }

  /// What is in memory needs no thread.
  @Test func recordsThatAreInMemory() throws {
    let (family, segment) = try family([Int](repeating: 70_000, count: 30))
    let connection = try family.connect()
    try family.send(large(0), version: 12, on: connection)
    try family.answerOpen([segment])
    #expect(try family.receive(version: 12, on: connection).records() == segment.bytes)
    #expect(try family.counter("cold_reads") == 0)
    try family.stop()
  }

  /// Indexes and headers of batches are looked up in what is in memory, too.
  @Test func aSearchThatWouldWait() throws {
    let (family, segment) = try family([Int](repeating: 70_000, count: 60))
    let connection = try family.connect()
    try family.send(large(0), version: 12, on: connection)
    try family.answerOpen([segment])
    _ = try family.receive(version: 12, on: connection)
    let batch = segment.batches[40]
    let wanted = Array(segment.bytes[Int(batch.position)..<(Int(batch.position) + batch.size)])
    // The block of the index, and what it leads to.
    try untilRead(atLeast: 2) {
      let isCold =
        try drop(try segment.openIndex()) && drop(try segment.openLog(), pageAt: batch.position)
      let before = try family.counter("cold_reads")
      let response = try family.fetch(
        request([batch.baseOffset], version: 12, maxWaitMs: 60_000, partitionMaxBytes: 1000),
        version: 12, on: connection)
      #expect(response.records() == wanted)
      return (isCold, try family.counter("cold_reads") - before)
    }
    try family.stop()
  }

  /// A search says what it needs and, once that has been read, goes on.
  @Test func aSearchSaysWhatItNeeds() throws {
    let directory = try TemporaryDirectory()
    let segment = try TestSegment(directory, baseOffset: 0)
    try segment.append([Int](repeating: 70_000, count: 60))
    let cached = try segment.cached()
    let search = SegmentSearch()
    try untilRead {
      let isCold = try drop(try segment.openIndex()) && drop(try segment.openLog())
      var found: BatchFrame?
      var needed: UInt64 = 0
      while found == nil, needed < 100 {
        do throws(SegmentFault) {
          found = try search.batch(cached, holding: 33, end: segment.size)
        } catch {
          guard case .cold = error else { throw error }
          let piece = try #require(search.takeColdPiece())
          #expect(search.takeColdPiece() == nil)
          needed += 1
          #expect(
            File.fillCache(piece.log.file.rawValue, at: piece.position, count: piece.count) == 0)
        }
      }
      #expect(found?.position == segment.batches[33].position)
      return (isCold, needed)
    }
  }

  /// Its place is another client's when the read ends.
  @Test func aClientThatLeavesMeanwhile() throws {
    let (family, segment) = try family([Int](repeating: 70_000, count: 60))
    let first = try family.connect()
    try family.send(large(0), version: 12, on: first)
    try family.answerOpen([segment])
    _ = try family.receive(version: 12, on: first)
    try family.frontend.send(.forget(connection: first.number))
    for _ in 0..<20 {
      _ = try drop(try segment.openLog())
      let leaving = try family.connect()
      try family.send(large(0), version: 12, on: leaving)
      try family.frontend.send(.forget(connection: leaving.number))
      let staying = try family.connect()
      try family.send(large(1), version: 12, on: staying)
      let frame = try staying.readFrame()
      let records = try TestResponse(frame, version: 12).records()
      #expect(records == Array(segment.bytes[70_000...]))
      try family.frontend.send(.forget(connection: staying.number))
    }
    try family.await("connections", 0)
    try family.await("cold_reads_open", 0)
    try family.stop()
  }
}
