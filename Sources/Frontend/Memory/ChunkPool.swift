// The slab in use: chunks that clients' bytes are received into. A chunk is a block of the slab with
// a tail behind which nothing has been received, and a count of frames in it that are not answered.
//
// Who holds a chunk: nobody but its frames, the stack of open chunks (any connection may receive at
// its tail next), or one connection. It goes back to the allocator when nobody holds it and no frame
// refers to it. Chunks on the stack are used last in, first out, so that their pages stay warm.

import IPC
import Linux

/// Number of a chunk in its pool.
typealias ChunkIndex = Int32

struct ChunkPool: ~Copyable {
  /// Bytes of a chunk that several connections use, one after the other.
  static let chunkSize = 1 << 20
  /// With less room than this behind its tail a chunk is not used any more.
  static let roomMin = 4096
  /// Freed memory that stays resident, in bytes.
  static let warmBytes = 4 << 20
  /// Chunks on the stack.
  private static let openMax = 4
  /// Unit in which memory goes back to the kernel.
  private static let granule = 256 << 10

  static let none: ChunkIndex = -1

  let slab: Slab
  let base: UnsafeMutableRawPointer
  private var blocks: BuddyAllocator
  private var chunks: [Chunk] = []
  private var unused: [ChunkIndex] = []
  private var open: [ChunkIndex] = []
  private var granules: [Granule]
  /// Free granules behind the warm ones that may have resident pages.
  private var excess = 0
  /// Frames that are kept in all chunks.
  private(set) var keptFrames = 0

  private struct Chunk {
    var block: Block
    /// Where the next byte is received, an offset in the slab.
    var tail: Int
    var frames: Int32
    var isHeld: Bool
  }

  private struct Granule {
    var chunks: Int32 = 0
    /// It may have resident pages.
    var isTouched = false
    /// It has been used since `trim` looked at it.
    var isRecent = false
  }

  /// - Parameter size: of the slab in bytes, a power of two.
  init(size: Int) throws(Errno) {
    let memory = try Slab(size: size)
    guard let start = memory.bytes.baseAddress else { preconditionFailure("an empty slab") }
    base = start
    slab = memory
    blocks = BuddyAllocator(size: size)
    granules = [Granule](repeating: Granule(), count: max(size, Self.warmBytes) / Self.granule)
  }

  var size: Int { slab.size }
  var slabDescriptor: Int32 { slab.descriptor.rawValue }
  var freeBytes: Int { blocks.freeBytes }

  /// A chunk to receive into, held by the caller from now on: an open one with `room` behind its
  /// tail, or a new one. nil: the slab is full.
  mutating func take(room: Int) -> ChunkIndex? {
    if let position = open.lastIndex(where: { self.room($0) >= room }) {
      return open.remove(at: position)
    }
    return takeNew(max(room, Self.chunkSize)) ?? (room < Self.chunkSize ? takeNew(room) : nil)
  }

  /// A new chunk of at least `count` bytes, held by the caller.
  mutating func takeNew(_ count: Int) -> ChunkIndex? {
    guard let block = blocks.allocate(count) else { return nil }
    mark(block, by: 1)
    let chunk = Chunk(block: block, tail: block.offset, frames: 0, isHeld: true)
    if let index = unused.popLast() {
      chunks[Int(index)] = chunk
      return index
    }
    chunks.append(chunk)
    return ChunkIndex(chunks.count - 1)
  }

  /// Ends the caller's hold. What is left of the chunk is for others.
  mutating func putBack(_ index: ChunkIndex) {
    let chunk = chunks[Int(index)]
    precondition(chunk.isHeld, "a chunk that is not held")
    if chunk.frames == 0 { chunks[Int(index)].tail = chunk.block.offset }
    if chunk.block.count == Self.chunkSize, room(index) >= Self.roomMin {
      open.append(index)
      if open.count > Self.openMax { close(smallestOpen()) }
    } else {
      close(index)
    }
  }

  func tail(_ index: ChunkIndex) -> Int { chunks[Int(index)].tail }

  func end(_ index: ChunkIndex) -> Int {
    chunks[Int(index)].block.offset + chunks[Int(index)].block.count
  }

  func room(_ index: ChunkIndex) -> Int { end(index) - chunks[Int(index)].tail }

  func capacity(_ index: ChunkIndex) -> Int { chunks[Int(index)].block.count }

  mutating func advance(_ index: ChunkIndex, by count: Int) {
    chunks[Int(index)].tail += count
    precondition(room(index) >= 0, "received beyond a chunk")
  }

  /// Takes received bytes back that were the last ones: the caller moved them elsewhere.
  mutating func rewind(_ index: ChunkIndex, to offset: Int) {
    precondition(offset <= chunks[Int(index)].tail, "rewinding forwards")
    chunks[Int(index)].tail = offset
  }

  /// A frame in the chunk is kept until `releaseFrame`.
  mutating func retainFrame(_ index: ChunkIndex) {
    chunks[Int(index)].frames += 1
    keptFrames += 1
  }

  mutating func releaseFrame(_ index: ChunkIndex) {
    chunks[Int(index)].frames -= 1
    keptFrames -= 1
    if chunks[Int(index)].frames == 0 { becameIdle(index) }
  }

  /// Whether `trim` has something to do, now or later.
  var hasExcess: Bool { excess > 0 || open.contains { block($0).offset >= Self.warmBytes } }

  /// Gives memory back to the kernel that has not been used since the call before, except for
  /// `warmBytes` at the slab's beginning, where the next blocks are taken.
  mutating func trim() throws(Errno) {
    closeOpen()
    for index in Self.warmBytes / Self.granule..<granules.count
    where granules[index].isTouched && granules[index].chunks == 0 {
      if granules[index].isRecent {
        granules[index].isRecent = false
        continue
      }
      try slab.release(offset: index * Self.granule, count: Self.granule)
      granules[index].isTouched = false
      excess -= 1
    }
  }

  /// Nothing more is received into the chunks that are open.
  mutating func closeOpen() {
    while let index = open.popLast() { close(index) }
  }

  private func block(_ index: ChunkIndex) -> Block { chunks[Int(index)].block }

  private mutating func becameIdle(_ index: ChunkIndex) {
    if !chunks[Int(index)].isHeld {
      releaseIfIdle(index)
    } else if open.contains(index) {
      // Nothing in it is wanted any more: the next bytes go over the same pages.
      chunks[Int(index)].tail = chunks[Int(index)].block.offset
    }
  }

  private mutating func smallestOpen() -> ChunkIndex {
    var least = 0
    for position in open.indices where room(open[position]) < room(open[least]) { least = position }
    return open.remove(at: least)
  }

  private mutating func close(_ index: ChunkIndex) {
    chunks[Int(index)].isHeld = false
    releaseIfIdle(index)
  }

  private mutating func releaseIfIdle(_ index: ChunkIndex) {
    let chunk = chunks[Int(index)]
    if chunk.isHeld || chunk.frames > 0 { return }
    blocks.release(chunk.block)
    mark(chunk.block, by: -1)
    unused.append(index)
  }

  private mutating func mark(_ block: Block, by change: Int32) {
    let first = block.offset / Self.granule
    let last = (block.offset + block.count - 1) / Self.granule
    for index in first...last {
      let wasExcess = granules[index].isTouched && granules[index].chunks == 0
      granules[index].chunks += change
      granules[index].isTouched = true
      granules[index].isRecent = true
      if index < Self.warmBytes / Self.granule { continue }
      let isExcess = granules[index].chunks == 0
      excess += (isExcess ? 1 : 0) - (wasExcess ? 1 : 0)
    }
  }
}
