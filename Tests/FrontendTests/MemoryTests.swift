// The slab's allocator and its chunks against a model, with random use.
import Testing

@testable import Frontend

@Suite struct BuddyAllocatorTests {
  @Test func ordersFitTheirSizes() {
    let cases: [(Int, Int)] = [
      (0, 0), (1, 0), (4096, 0), (4097, 1), (8192, 1), (8193, 2), (1 << 20, 8), ((1 << 20) + 1, 9),
    ]
    for (count, order) in cases { #expect(BuddyAllocator.order(for: count) == order, "\(count)") }
  }

  @Test func blocksNeverOverlapAndAllComeBack() {
    var seed = Seed()
    let size = 1 << 22
    var blocks = BuddyAllocator(size: size)
    var used: [Block] = []
    var owner = [Int](repeating: 0, count: blocks.unitCount)
    for step in 1...20_000 {
      if Bool.random(using: &seed) || used.isEmpty {
        let count = Int.random(in: 1...(1 << Int.random(in: 8...21, using: &seed)), using: &seed)
        guard let block = blocks.allocate(count) else { continue }
        #expect(block.count >= count && block.count < 2 * max(count, 4096), "\(seed)")
        #expect(block.offset % block.count == 0, "\(seed)")
        for unit in block.unit..<block.unit + (1 << block.order) {
          #expect(owner[unit] == 0, "\(seed) step \(step)")
          owner[unit] = step
        }
        used.append(block)
      } else {
        let block = used.remove(at: Int.random(in: 0..<used.count, using: &seed))
        for unit in block.unit..<block.unit + (1 << block.order) { owner[unit] = 0 }
        blocks.release(block)
      }
      if step % 500 == 0 {
        let free = owner.count { $0 == 0 } * BuddyAllocator.unitSize
        #expect(blocks.freeBytes == free, "\(seed)")
      }
    }
    for block in used { blocks.release(block) }
    let whole = blocks.allocate(size)
    #expect(whole?.count == size, "\(seed): everything merged again")
  }

  @Test func aFullSlabSaysSo() {
    var blocks = BuddyAllocator(size: 1 << 20)
    let first = blocks.allocate(1 << 19)
    let second = blocks.allocate(1 << 19)
    #expect(first != nil && second != nil)
    let more = [blocks.allocate(1), blocks.allocate(1 << 21)]
    #expect(more == [nil, nil])
    if let first { blocks.release(first) }
    let again = blocks.allocate(1 << 19)
    #expect(again == first, "the same pages again")
  }
}

/// The pool cannot be copied into an `#expect`; its numbers can.
private func expect<Value: Equatable>(_ value: Value, is expected: Value) {
  #expect(value == expected)
}

private func take(_ pool: inout ChunkPool) throws -> ChunkIndex {
  guard let chunk = pool.take(room: 4096) else { throw TestFailure("the slab is full") }
  return chunk
}

@Suite struct ChunkPoolTests {
  @Test func aChunkWithoutFramesIsUsedFromItsStartAgain() throws {
    var pool = try ChunkPool(size: 16 << 20)
    let chunk = try take(&pool)
    let start = pool.tail(chunk)
    pool.advance(chunk, by: 10_000)
    pool.retainFrame(chunk)
    pool.putBack(chunk)
    let again = try take(&pool)
    #expect(again == chunk)
    expect(pool.tail(chunk), is: start + 10_000)
    pool.putBack(chunk)
    pool.releaseFrame(chunk)
    let third = try take(&pool)
    #expect(third == chunk)
    expect(pool.tail(chunk), is: start)
  }

  @Test func aFullChunkGoesBackWithItsLastFrame() throws {
    var pool = try ChunkPool(size: 16 << 20)
    let chunk = try take(&pool)
    pool.advance(chunk, by: pool.room(chunk))
    pool.retainFrame(chunk)
    pool.putBack(chunk)
    expect(pool.freeBytes, is: pool.size - ChunkPool.chunkSize)
    pool.releaseFrame(chunk)
    expect(pool.freeBytes, is: pool.size)
  }

  @Test func memoryGoesBackToTheKernel() throws {
    var pool = try ChunkPool(size: 64 << 20)
    var chunks: [ChunkIndex] = []
    for _ in 0..<32 {
      guard let chunk = pool.takeNew(ChunkPool.chunkSize) else { throw TestFailure("full") }
      (pool.base + pool.tail(chunk)).initializeMemory(
        as: UInt8.self, repeating: 7, count: ChunkPool.chunkSize)
      chunks.append(chunk)
    }
    expect(pool.hasExcess, is: false)
    for chunk in chunks { pool.putBack(chunk) }
    expect(pool.hasExcess, is: true)
    // Once to see that it is not used, once to give it back.
    try pool.trim()
    try pool.trim()
    expect(pool.hasExcess, is: false)
    let bytes = UnsafeRawPointer(pool.base)
    #expect(bytes.load(fromByteOffset: 0, as: UInt8.self) == 7, "warm")
    #expect(bytes.load(fromByteOffset: 30 << 20, as: UInt8.self) == 0, "given back")
  }
}
