// The scoreboard: what everybody may know of every partition, in a memfd that the logwriter writes
// and everyone else maps read-only.
//
//   page 0     magic u64, version u32, capacity u32, writer's random identity u64
//   then       `capacity` slots of 64 bytes:
//     0  sequence u32     odd while the writer is at it
//     4  generation u32   0: free; changes when the slot gets another partition
//     8  logStartOffset   i64
//    16  logEndOffset     i64
//    24  highWatermark    i64
//    32  lastStableOffset i64
//    40  leaderEpoch i32
//    44  u32: bit 0: offline; the rest: edition of the transaction indexes
//    48  segmentBaseOffset i64   segment that holds the high watermark
//    56  segmentPosition   i64   position of the high watermark in it, in bytes
//
// Each slot is a seqlock with one writer. A reader that meets an odd sequence again and again meets
// a writer that lost its core in between: it sleeps, so that the writer can go on. After about 10 ms
// the writer must have died: the reader gives up and treats the partition as not available.
//
// The memfd is sealed against writing before it leaves the logwriter: no reader can map it writable.

import Linux
import Model

/// One partition on the scoreboard.
public struct ScoreboardEntry: Equatable, Sendable {
  public var generation: UInt32
  public var logStartOffset: Int64
  public var logEndOffset: Int64
  public var highWatermark: Int64
  public var lastStableOffset: Int64
  public var leaderEpoch: Int32
  /// The partition is offline: KAFKA_STORAGE_ERROR for clients.
  public var isOffline: Bool
  /// The segment that holds the high watermark, and where in it, in bytes.
  public var segmentBaseOffset: Int64
  public var segmentPosition: Int64
  /// Changes whenever a transaction index of the partition has grown; 0: there is none. 31 bits.
  public var abortedTransactionsEdition: UInt32

  public init(
    generation: UInt32, logStartOffset: Int64, logEndOffset: Int64, highWatermark: Int64,
    lastStableOffset: Int64, leaderEpoch: Int32, isOffline: Bool, segmentBaseOffset: Int64,
    segmentPosition: Int64, abortedTransactionsEdition: UInt32 = 0
  ) {
    self.generation = generation
    self.logStartOffset = logStartOffset
    self.logEndOffset = logEndOffset
    self.highWatermark = highWatermark
    self.lastStableOffset = lastStableOffset
    self.leaderEpoch = leaderEpoch
    self.isOffline = isOffline
    self.segmentBaseOffset = segmentBaseOffset
    self.segmentPosition = segmentPosition
    self.abortedTransactionsEdition = abortedTransactionsEdition
  }
}

public enum ScoreboardLayout {
  /// Partitions that one broker can hold.
  public static let capacity = 1 << 17
  public static let byteCount = headerSize + capacity * slotSize
  static let headerSize = 4096
  static let slotSize = 64
  static let magic: UInt64 = 0x4452_414F_4245_4353
  static let version: UInt32 = 2

  static func offset(of slot: UInt32) -> Int { headerSize + Int(slot) * slotSize }
}

/// The logwriter's side.
public struct ScoreboardWriter: ~Copyable {
  /// The memfd, to be handed to readers.
  public let descriptor: OwnedFD
  private let mapping: Mapping

  public init() throws(Errno) {
    let file = try MemoryFile.unsealed(name: "sluice-scoreboard", size: ScoreboardLayout.byteCount)
    let memory = try Mapping(file, count: ScoreboardLayout.byteCount, writable: true)
    let header = memory.mutableBytes
    header.storeBytes(of: ScoreboardLayout.version, toByteOffset: 8, as: UInt32.self)
    header.storeBytes(of: UInt32(ScoreboardLayout.capacity), toByteOffset: 12, as: UInt32.self)
    header.storeBytes(of: UInt64.random(in: 1 ... .max), toByteOffset: 16, as: UInt64.self)
    header.storeBytes(of: ScoreboardLayout.magic, toByteOffset: 0, as: UInt64.self)
    try MemoryFile.seal(file, .sizeAndWrites)
    descriptor = file
    mapping = memory
  }

  /// Publishes an entry. Slots are below `ScoreboardLayout.capacity`.
  public borrowing func publish(_ slot: UInt32, _ entry: ScoreboardEntry) {
    precondition(slot < ScoreboardLayout.capacity, "no such slot")
    guard let base = mapping.mutableBytes.baseAddress else { return }
    let p = base + ScoreboardLayout.offset(of: slot)
    let sequence = SharedWord.load32(p)
    SharedWord.store32(p, sequence &+ 1)
    SharedWord.fenceRelease()
    let flags = entry.abortedTransactionsEdition << 1 | (entry.isOffline ? 1 : 0)
    SharedWord.store32(p + 4, entry.generation)
    SharedWord.storeRelaxed64(p + 8, UInt64(bitPattern: entry.logStartOffset))
    SharedWord.storeRelaxed64(p + 16, UInt64(bitPattern: entry.logEndOffset))
    SharedWord.storeRelaxed64(p + 24, UInt64(bitPattern: entry.highWatermark))
    SharedWord.storeRelaxed64(p + 32, UInt64(bitPattern: entry.lastStableOffset))
    SharedWord.storeRelaxed64(
      p + 40, UInt64(UInt32(bitPattern: entry.leaderEpoch)) | UInt64(flags) << 32)
    SharedWord.storeRelaxed64(p + 48, UInt64(bitPattern: entry.segmentBaseOffset))
    SharedWord.storeRelaxed64(p + 56, UInt64(bitPattern: entry.segmentPosition))
    SharedWord.store32(p, sequence &+ 2)
  }
}

/// Everybody else's side.
public struct ScoreboardReader: ~Copyable {
  /// Looks at a slot before the reader gives its core up, and at all.
  private static let attemptsWithoutSleep = 1000
  private static let attemptsMax = attemptsWithoutSleep + 100

  private let mapping: Mapping
  /// Changes when a new logwriter made a new scoreboard.
  public let identity: UInt64

  /// Maps a scoreboard that came from the logwriter.
  public init(_ descriptor: borrowing OwnedFD) throws(MessageError) {
    guard MemoryFile.isSealed(descriptor, .sizeAndWrites),
      let status = try? File.status(descriptor),
      status.size == Int64(ScoreboardLayout.byteCount)
    else { throw MessageError("a scoreboard has another size or no seals") }
    let memory: Mapping
    do {
      memory = try Mapping(descriptor, count: ScoreboardLayout.byteCount, writable: false)
    } catch { throw MessageError("a scoreboard cannot be mapped: \(error)") }
    guard memory.bytes.load(as: UInt64.self) == ScoreboardLayout.magic,
      memory.bytes.load(fromByteOffset: 8, as: UInt32.self) == ScoreboardLayout.version
    else { throw MessageError("a scoreboard has another format") }
    identity = memory.bytes.load(fromByteOffset: 16, as: UInt64.self)
    mapping = memory
  }

  /// The entry in `slot` if it still is of `generation`; nil when the slot was given up, does not
  /// exist, or its writer died while writing.
  public borrowing func entry(_ slot: UInt32, generation: UInt32) -> ScoreboardEntry? {
    guard slot < ScoreboardLayout.capacity, let base = mapping.bytes.baseAddress else { return nil }
    let p = base + ScoreboardLayout.offset(of: slot)
    for attempt in 0..<Self.attemptsMax {
      let before = SharedWord.load32(p)
      if before & 1 == 1 {
        if attempt >= Self.attemptsWithoutSleep { Clock.sleep(microseconds: 100) }
        continue
      }
      let state = SharedWord.relaxed64(p + 40)
      let entry = ScoreboardEntry(
        generation: SharedWord.load32(p + 4),
        logStartOffset: Int64(bitPattern: SharedWord.relaxed64(p + 8)),
        logEndOffset: Int64(bitPattern: SharedWord.relaxed64(p + 16)),
        highWatermark: Int64(bitPattern: SharedWord.relaxed64(p + 24)),
        lastStableOffset: Int64(bitPattern: SharedWord.relaxed64(p + 32)),
        leaderEpoch: Int32(bitPattern: UInt32(truncatingIfNeeded: state)),
        isOffline: state >> 32 & 1 == 1,
        segmentBaseOffset: Int64(bitPattern: SharedWord.relaxed64(p + 48)),
        segmentPosition: Int64(bitPattern: SharedWord.relaxed64(p + 56)),
        abortedTransactionsEdition: UInt32(truncatingIfNeeded: state >> 33))
      SharedWord.fenceAcquire()
      if SharedWord.load32(p) == before { return entry.generation == generation ? entry : nil }
    }
    return nil
  }
}
