// What a connection has received and not begun to serve: at most one run of bytes in the slab, whose
// last byte is the last one received in its chunk. A connection without such bytes holds no memory.
//
// Whole frames are served where they lie. Part of a frame stays where it is when the frame is large
// and fits behind it, else it is copied once into a chunk of the frame's own size. Clients that send
// large frames are asked for a whole number of frames as large as the last one, so that usually
// nothing is left over at a chunk's end. What a client merely announces is not set aside: a frame
// larger than any it has sent before gets memory as its bytes come, doubling.

import IPC

struct ReceiveBuffer {
  /// Frames from this size on stay where they are received, bytes.
  static let largeFrame = 16 << 10
  /// Memory is not taken on the mere expectation of a frame larger than this, bytes.
  static let expectedMax = 4 << 20
  /// What a frame gets at once from a client that has not sent one as large before, bytes.
  static let announcedMax = 256 << 10
  /// The most that one call receives, so that no client keeps the others waiting, bytes.
  static let receiveMax = 256 << 10
  private static let smallReceiveMax = 64 << 10
  static let prefixSize = 4

  private(set) var chunk = ChunkPool.none
  /// Where the bytes begin in the slab, and how many there are.
  private(set) var start = 0
  private(set) var count = 0
  /// Size of the client's last large frame, prefix included; shrinks with each small one.
  private var expected = 0

  /// Where to receive next.
  struct Space: Equatable {
    let offset: Int
    let count: Int
  }

  enum Next: Equatable {
    /// A whole frame without its prefix.
    case frame(offset: Int, count: Int)
    /// More bytes are needed.
    case partial
    /// The prefix is no length that is served.
    case invalid(size: Int32)
  }

  var isEmpty: Bool { count == 0 }

  /// Room for the next bytes; nil when the slab is full.
  mutating func space(_ pool: inout ChunkPool) -> Space? {
    if chunk == ChunkPool.none {
      let wanted = expected > Self.expectedMax ? 0 : expected
      guard let taken = pool.take(room: max(wanted, ChunkPool.roomMin)) else { return nil }
      chunk = taken
      start = pool.tail(taken)
      count = 0
    }
    let limit = limit(room: pool.room(chunk), pool)
    return limit > 0 ? Space(offset: start + count, count: limit) : nil
  }

  private func limit(room: Int, _ pool: borrowing ChunkPool) -> Int {
    var needed = 0
    if count >= Self.prefixSize {
      needed = frameSize(pool) - count
    } else if count > 0 {
      return min(room, max(expected, ChunkPool.roomMin) - count)
    }
    if needed > room { return min(room, Self.receiveMax) }
    if expected > Self.expectedMax {
      return min(needed > 0 ? needed : min(room, ChunkPool.roomMin), Self.receiveMax)
    }
    if expected >= Self.largeFrame {
      return min(needed + (room - needed) / expected * expected, Self.receiveMax)
    }
    return needed > 0 ? min(needed, Self.receiveMax) : min(room, Self.smallReceiveMax)
  }

  /// `received` bytes have arrived in the space.
  mutating func received(_ received: Int, _ pool: inout ChunkPool) {
    pool.advance(chunk, by: received)
    count += received
  }

  /// The first frame of what is there.
  /// - Parameter sizeMax: `socket.request.max.bytes`.
  func next(sizeMax: Int, _ pool: borrowing ChunkPool) -> Next {
    guard count >= Self.prefixSize else { return .partial }
    let size = prefix(pool)
    guard size >= 0, Int(size) <= sizeMax else { return .invalid(size: size) }
    guard count - Self.prefixSize >= Int(size) else { return .partial }
    return .frame(offset: start + Self.prefixSize, count: Int(size))
  }

  /// The first frame is served, or kept alive by `ChunkPool.retainFrame`.
  mutating func consume(frameOf bytes: Int) {
    let whole = bytes + Self.prefixSize
    precondition(whole <= count, "more consumed than received")
    start += whole
    count -= whole
    expected = whole >= Self.largeFrame ? whole : expected / 2
  }

  /// After all frames that can be served now: gives the chunk back, or finds the rest its place.
  /// - Parameters:
  ///   - isWaiting: the first frame is whole and waits for its turn.
  ///   - grantsAll: the first frame gets all the memory that it announces.
  /// - Returns: how many bytes were copied; nil when there is no memory for the rest of a frame.
  mutating func settle(isWaiting: Bool, grantsAll: Bool = false, _ pool: inout ChunkPool) -> Int? {
    if count == 0 {
      discard(&pool)
      return 0
    }
    let wanted =
      isWaiting || count < Self.prefixSize
      ? count : max(count, grantsAll ? frameSize(pool) : granted(pool))
    let fits = start + wanted <= pool.end(chunk)
    if fits, staysInPlace(wanted, pool) { return 0 }
    guard let own = pool.takeNew(wanted) else { return fits ? 0 : nil }
    let offset = pool.tail(own)
    (pool.base + offset).copyMemory(from: pool.base + start, byteCount: count)
    pool.advance(own, by: count)
    pool.rewind(chunk, to: start)
    pool.putBack(chunk)
    chunk = own
    start = offset
    return count
  }

  /// Drops what is there and gives the memory back.
  mutating func discard(_ pool: inout ChunkPool) {
    if chunk != ChunkPool.none {
      pool.rewind(chunk, to: start)
      pool.putBack(chunk)
    }
    chunk = ChunkPool.none
    count = 0
  }

  private func staysInPlace(_ wanted: Int, _ pool: borrowing ChunkPool) -> Bool {
    if pool.capacity(chunk) <= 2 * max(wanted, BuddyAllocator.unitSize) { return true }
    return wanted >= Self.largeFrame && pool.freeBytes > pool.size / 2
  }

  /// The memory that the first frame may have now, bytes.
  private func granted(_ pool: borrowing ChunkPool) -> Int {
    let size = frameSize(pool)
    return size <= max(Self.announcedMax, expected)
      ? size : min(size, max(Self.announcedMax, 2 * count))
  }

  private func prefix(_ pool: borrowing ChunkPool) -> Int32 {
    Int32(
      bigEndian: UnsafeRawPointer(pool.base).loadUnaligned(fromByteOffset: start, as: Int32.self))
  }

  private func frameSize(_ pool: borrowing ChunkPool) -> Int {
    Int(prefix(pool)) + Self.prefixSize
  }
}
