// Framing: every way in which a stream can arrive gives the same frames, and large ones are not moved.
import Testing

@testable import Frontend

/// A connection's buffer fed by hand: keeps every frame as produce requests do.
private struct Feeder: ~Copyable {
  var pool: ChunkPool
  var buffer = ReceiveBuffer()
  var frames: [[UInt8]] = []
  var kept: [ChunkIndex] = []
  var copied = 0

  init(size: Int = 16 << 20) throws { pool = try ChunkPool(size: size) }

  /// Offers bytes as a socket does: as many as there is space for.
  /// - Returns: how many were taken; 0 when there is no memory.
  mutating func offer(_ bytes: ArraySlice<UInt8>) -> Int {
    guard let space = buffer.space(&pool) else { return 0 }
    let count = min(space.count, bytes.count)
    bytes.prefix(count).withUnsafeBytes {
      (pool.base + space.offset).copyMemory(
        from: $0.baseAddress.unsafelyUnwrapped, byteCount: count)
    }
    buffer.received(count, &pool)
    while case .frame(let offset, let size) = buffer.next(sizeMax: 4 << 20, pool) {
      frames.append([UInt8](UnsafeRawBufferPointer(start: pool.base + offset, count: size)))
      kept.append(buffer.chunk)
      pool.retainFrame(buffer.chunk)
      buffer.consume(frameOf: size)
    }
    copied += buffer.settle(isWaiting: false, &pool) ?? 0
    return count
  }

  var used: Int { pool.size - pool.freeBytes }

  mutating func releaseAll() {
    for chunk in kept { pool.releaseFrame(chunk) }
    kept = []
  }
}

private func frame(_ body: [UInt8]) -> [UInt8] {
  withUnsafeBytes(of: UInt32(body.count).bigEndian) { [UInt8]($0) } + body
}

@Suite struct ReceiveBufferTests {
  @Test func everySplitGivesTheSameFrames() throws {
    let bodies: [[UInt8]] = [[], [1], [2, 3, 4], [UInt8](repeating: 5, count: 20)]
    let stream = bodies.flatMap(frame)
    for first in 0...stream.count {
      for second in first...stream.count {
        var feeder = try Feeder(size: 4 << 20)
        for piece in [stream[..<first], stream[first..<second], stream[second...]] {
          var rest = piece
          while !rest.isEmpty { rest = rest.dropFirst(feeder.offer(rest)) }
        }
        #expect(feeder.frames == bodies, "split at \(first) and \(second)")
      }
    }
  }

  @Test func randomStreamsInRandomPieces() throws {
    var seed = Seed()
    for _ in 0..<30 {
      var feeder = try Feeder()
      let sizes = (0..<40).map { _ in
        Int.random(in: 0...(1 << Int.random(in: 0...18, using: &seed)), using: &seed)
      }
      let bodies = sizes.map { seed.bytes($0) }
      let stream = bodies.flatMap(frame)
      var position = 0
      var checked = 0
      while position < stream.count {
        let piece = Int.random(in: 1...(1 << Int.random(in: 0...17, using: &seed)), using: &seed)
        position += feeder.offer(stream[position..<min(stream.count, position + piece)])
        if Int.random(in: 0..<8, using: &seed) == 0 { feeder.releaseAll() }
        // What was kept is never written over.
        checked = feeder.frames.count
      }
      let frames = feeder.frames
      #expect(frames == bodies, "\(seed)")
      #expect(checked == bodies.count)
      feeder.releaseAll()
      try feeder.pool.trim()
      let used = feeder.used
      #expect(used == 0, "\(seed)")
    }
  }

  @Test func largeFramesAreHardlyMoved() throws {
    for size in [64 << 10, 70_000, 300_000, 1_000_100] {
      var feeder = try Feeder(size: 64 << 20)
      let stream = (0..<40).flatMap { frame([UInt8](repeating: UInt8($0), count: size)) }
      var position = 0
      var seed = Seed()
      while position < stream.count {
        let piece = Int.random(in: 1...400_000, using: &seed)
        position += feeder.offer(stream[position..<min(stream.count, position + piece)])
        if feeder.kept.count > 5 { feeder.releaseAll() }
      }
      #expect(feeder.frames.count == 40)
      #expect(feeder.copied * 20 < stream.count, "\(size): \(feeder.copied) of \(stream.count)")
    }
  }

  @Test func lengthsOutsideOfTheLimitsAreSeen() throws {
    let cases: [(UInt32, ReceiveBuffer.Next)] = [
      (0xFFFF_FFFF, .invalid(size: -1)), (0x8000_0000, .invalid(size: .min)),
      (UInt32(4 << 20) + 1, .invalid(size: (4 << 20) + 1)), (UInt32(4 << 20), .partial),
    ]
    for (prefix, expected) in cases {
      var feeder = try Feeder()
      let bytes = withUnsafeBytes(of: prefix.bigEndian) { [UInt8]($0) }
      guard let space = feeder.buffer.space(&feeder.pool) else { throw TestFailure("no space") }
      (feeder.pool.base + space.offset).copyMemory(from: bytes, byteCount: 4)
      feeder.buffer.received(4, &feeder.pool)
      let next = feeder.buffer.next(sizeMax: 4 << 20, feeder.pool)
      #expect(next == expected, "\(prefix)")
    }
  }

  @Test func aFullSlabIsNoFailure() throws {
    var feeder = try Feeder(size: 4 << 20)
    let stream = (0..<6).flatMap { frame([UInt8](repeating: UInt8($0), count: 1_000_000)) }
    var position = 0
    var stalls = 0
    while position < stream.count {
      let taken = feeder.offer(stream[position...])
      position += taken
      if taken == 0 {
        stalls += 1
        feeder.releaseAll()
        feeder.copied += feeder.buffer.settle(isWaiting: false, &feeder.pool) ?? 0
      }
      try #require(stalls < 10)
    }
    #expect(stalls > 0)
    #expect(feeder.frames.map(\.first) == (0..<6).map { UInt8($0) })
  }

  @Test func halfAFrameHoldsLittleMemory() throws {
    var feeder = try Feeder()
    _ = feeder.offer(frame([UInt8](repeating: 1, count: 900))[..<100])
    #expect(feeder.copied == 100)
    try feeder.pool.trim()
    let used = feeder.used
    #expect(used == BuddyAllocator.unitSize)
  }
}

@Suite struct InvalidReceiveTests {
  @Test func otherProtocolsAreNamed() {
    let cases: [([UInt8], String)] = [
      (
        Array("GET / HTTP/1.1\r\n".utf8),
        "invalid receive (size = 1195725856 larger than 100): HTTP request"
      ),
      (
        [0x16, 0x03, 0x01, 0x02, 0x00],
        "invalid receive (size = 369295618 larger than 100): TLS handshake on a plaintext listener"
      ),
      (Array("SSH-2.0".utf8), "invalid receive (size = 1397966893 larger than 100): SSH"),
      ([0xFF, 0xFF, 0xFF, 0xFF], "invalid receive (size = -1)"),
    ]
    for (bytes, text) in cases {
      let size = bytes[0..<4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      let why = bytes.withUnsafeBytes {
        InvalidReceive(size: Int32(bitPattern: size), sizeMax: 100, bytes: $0)
      }
      #expect(why.description == text)
    }
  }
}
