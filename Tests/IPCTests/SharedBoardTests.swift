// The scoreboard and the wait board under a writer and a reader at the same time.
import Dispatch
import Glibc
import Linux
import Model
import Testing

@testable import IPC

/// Shared by the threads of one test; the fields synchronise themselves, being shared memory.
private final class Boards: @unchecked Sendable {
  let writer: ScoreboardWriter
  let reader: ScoreboardReader
  let waiting: WaitBoard
  let taker: WaitBoard
  let words: Mapping

  init() throws {
    writer = try ScoreboardWriter()
    reader = try ScoreboardReader(writer.descriptor)
    waiting = try WaitBoard()
    taker = try WaitBoard(received: try waiting.descriptor.duplicate())
    words = try Mapping(
      try MemoryFile.shared(name: "words", size: 4096), count: 4096, writable: true)
  }

  func word(_ index: Int) -> UnsafeMutableRawPointer {
    words.mutableBytes.baseAddress.unsafelyUnwrapped + index * 64
  }
}

private func entry(_ number: Int64, generation: UInt32 = 1) -> ScoreboardEntry {
  ScoreboardEntry(
    generation: generation, logStartOffset: number, logEndOffset: number &+ 1,
    highWatermark: number &+ 2, lastStableOffset: number &+ 3,
    leaderEpoch: Int32(truncatingIfNeeded: number), isOffline: number % 2 == 0,
    segmentBaseOffset: number &+ 4, segmentPosition: number &+ 5,
    abortedTransactionsEdition: UInt32(truncatingIfNeeded: number) >> 1)
}

struct ScoreboardTests {
  @Test func entriesComeBack() throws {
    let writer = try ScoreboardWriter()
    let reader = try ScoreboardReader(writer.descriptor)
    #expect(reader.identity != 0)
    let last = UInt32(ScoreboardLayout.capacity - 1)
    for slot in [0, 1, last] {
      #expect(reader.entry(slot, generation: 1) == nil)
      for number in [Int64(0), -1, .max, .min, 77] {
        writer.publish(slot, entry(number))
        #expect(reader.entry(slot, generation: 1) == entry(number))
      }
    }
    #expect(reader.entry(2, generation: 1) == nil)
  }

  @Test func anotherGenerationAndAnotherSlotAreNoEntry() throws {
    let writer = try ScoreboardWriter()
    let reader = try ScoreboardReader(writer.descriptor)
    writer.publish(5, entry(1, generation: 7))
    #expect(reader.entry(5, generation: 6) == nil)
    #expect(reader.entry(5, generation: 8) == nil)
    #expect(reader.entry(UInt32(ScoreboardLayout.capacity), generation: 7) == nil)
    #expect(reader.entry(.max, generation: 7) == nil)
  }

  @Test func onlyTheMakerCanWrite() throws {
    let writer = try ScoreboardWriter()
    let reader = try ScoreboardReader(writer.descriptor)
    #expect(throws: Errno.self) {
      _ = try Mapping(writer.descriptor, count: 4096, writable: true)
    }
    #expect(throws: Errno.self) { try File.writeAll([1], to: writer.descriptor) }
    writer.publish(1, entry(3))
    #expect(reader.entry(1, generation: 1) == entry(3))
  }

  @Test func otherMemoryIsNoScoreboard() throws {
    func rule(_ file: consuming OwnedFD) -> String {
      do throws(MessageError) {
        _ = try ScoreboardReader(file)
        return ""
      } catch { return error.rule }
    }
    let wrong = "a scoreboard has another size or no seals"
    #expect(rule(try MemoryFile.shared(name: "x", size: 4096)) == wrong)
    #expect(rule(try MemoryFile.shared(name: "x", size: ScoreboardLayout.byteCount)) == wrong)
    let zeros = try MemoryFile.unsealed(name: "x", size: ScoreboardLayout.byteCount)
    try MemoryFile.seal(zeros, .sizeAndWrites)
    #expect(rule(zeros) == "a scoreboard has another format")
  }

  @Test func aReaderNeverSeesHalfAnEntry() throws {
    let boards = try Boards()
    let rounds: Int64 = 200_000
    boards.writer.publish(0, entry(0))
    nonisolated(unsafe) var torn = 0
    nonisolated(unsafe) var backwards = 0
    DispatchQueue.concurrentPerform(iterations: 2) { side in
      if side == 0 {
        for number in 1...rounds { boards.writer.publish(0, entry(number)) }
      } else {
        var last: Int64 = 0
        while last < rounds {
          guard let seen = boards.reader.entry(0, generation: 1) else { continue }
          if seen != entry(seen.logStartOffset) { torn += 1 }
          if seen.logStartOffset < last { backwards += 1 }
          last = seen.logStartOffset
        }
      }
    }
    #expect(torn == 0)
    #expect(backwards == 0)
  }

  /// What a logwriter leaves that is killed between the two stores of the sequence.
  @Test func aWriterThatDiedMidWriteIsNoEntry() throws {
    let file = try MemoryFile.unsealed(name: "x", size: ScoreboardLayout.byteCount)
    let memory = try Mapping(file, count: ScoreboardLayout.byteCount, writable: true)
    let bytes = memory.mutableBytes
    bytes.storeBytes(of: ScoreboardLayout.magic, toByteOffset: 0, as: UInt64.self)
    bytes.storeBytes(of: ScoreboardLayout.version, toByteOffset: 8, as: UInt32.self)
    let offset = ScoreboardLayout.offset(of: 3)
    bytes.storeBytes(of: 1, toByteOffset: offset, as: UInt32.self)
    bytes.storeBytes(of: 1, toByteOffset: offset + 4, as: UInt32.self)
    try MemoryFile.seal(file, .sizeAndWrites)
    let reader = try ScoreboardReader(file)
    #expect(reader.entry(3, generation: 1) == nil)
    bytes.storeBytes(of: 2, toByteOffset: offset, as: UInt32.self)
    #expect(reader.entry(3, generation: 1) != nil)
  }
}

struct WaitBoardTests {
  @Test func aMarkIsTakenOnce() throws {
    let board = try WaitBoard()
    let taker = try WaitBoard(received: try board.descriptor.duplicate())
    #expect(taker.takeMark(9) == false)
    board.mark(9)
    board.mark(9)
    #expect(taker.takeMark(8) == false)
    #expect(taker.takeMark(9) == true)
    #expect(taker.takeMark(9) == false)
  }

  @Test func otherMemoryIsNoBoard() throws {
    for size in [4096, WaitBoard.byteCount + 1] {
      #expect(throws: MessageError.self) {
        _ = try WaitBoard(received: try MemoryFile.shared(name: "x", size: size))
      }
    }
    #expect(throws: MessageError.self) {
      _ = try WaitBoard(received: try MemoryFile.unsealed(name: "x", size: WaitBoard.byteCount))
    }
  }

  /// The logwriter publishes one record at a time, as soon as the fetcher has seen the one before,
  /// so that every publication races with marking and looking again.
  @Test func noWakeUpIsLost() throws {
    let boards = try Boards()
    let rounds: Int64 = 20_000
    let wake = try UnixPipe()
    nonisolated(unsafe) var lost = 0
    nonisolated(unsafe) var parked = 0
    boards.writer.publish(0, entry(0))
    DispatchQueue.concurrentPerform(iterations: 2) { side in
      if side == 0 {
        for number in 1...rounds {
          while SharedWord.load32(boards.word(0)) < UInt32(number - 1) { sched_yield() }
          boards.writer.publish(0, entry(number))
          SharedWord.fence()
          if boards.taker.takeMark(0) { wake.signal() }
        }
      } else {
        for number in 1...rounds {
          func arrived() -> Bool {
            (boards.reader.entry(0, generation: 1)?.logStartOffset ?? -1) >= number
          }
          while !arrived() {
            boards.waiting.mark(0)
            if arrived() { break }
            parked += 1
            if !wake.wait(timeoutMs: 20_000) {
              lost += 1
              break
            }
          }
          SharedWord.store32(boards.word(0), UInt32(number))
        }
      }
    }
    #expect(lost == 0)
    #expect(parked > 0)
  }
}

/// A wake-up that a thread can wait for.
private struct UnixPipe {
  private let reading: Int32
  private let writing: Int32

  init() throws {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw Errno(errno, "pipe") }
    reading = ends[0]
    writing = ends[1]
  }

  func signal() {
    var byte: UInt8 = 1
    _ = write(writing, &byte, 1)
  }

  func wait(timeoutMs: Int32) -> Bool {
    var poll = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
    guard Glibc.poll(&poll, 1, timeoutMs) == 1 else { return false }
    var bytes = [UInt8](repeating: 0, count: 16)
    return read(reading, &bytes, 16) > 0
  }
}
