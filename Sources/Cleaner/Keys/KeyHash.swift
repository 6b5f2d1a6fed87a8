// Keys stand in the map as hashes of 128 bits: two keys with one hash would be taken for one, and a
// record would be lost. SipHash-2-4 with a secret of this process (Aumasson and Bernstein, 2012, and
// its 128-bit variant) makes that unlikely beyond all practice, and leaves nobody who chooses keys a
// way to make it happen.

import Glibc

/// 128 bits of hash.
struct KeyHash: Equatable {
  var low: UInt64
  var high: UInt64
}

/// The hash function with its secret.
struct KeyHasher {
  private let key0: UInt64
  private let key1: UInt64

  /// With a random secret.
  init() { self.init(key0: .random(in: .min ... .max), key1: .random(in: .min ... .max)) }

  init(key0: UInt64, key1: UInt64) {
    self.key0 = key0
    self.key1 = key1
  }

  func hash(_ bytes: UnsafeRawBufferPointer) -> KeyHash {
    var state = State(key0, key1)
    let count = bytes.count
    let whole = count & ~7
    var position = 0
    while position < whole {
      state.take(
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)))
      position += 8
    }
    var last = UInt64(truncatingIfNeeded: count) << 56
    var shift: UInt64 = 0
    while position < count {
      last |= UInt64(bytes[position]) << shift
      shift += 8
      position += 1
    }
    state.take(last)
    return state.finish()
  }

  private struct State {
    var v0: UInt64
    var v1: UInt64
    var v2: UInt64
    var v3: UInt64

    @inline(__always)
    init(_ key0: UInt64, _ key1: UInt64) {
      v0 = key0 ^ 0x736f_6d65_7073_6575
      v1 = key1 ^ 0x646f_7261_6e64_6f6d ^ 0xee
      v2 = key0 ^ 0x6c79_6765_6e65_7261
      v3 = key1 ^ 0x7465_6462_7974_6573
    }

    @inline(__always)
    private mutating func round() {
      v0 = v0 &+ v1
      v2 = v2 &+ v3
      v1 = (v1 << 13 | v1 >> 51) ^ v0
      v3 = (v3 << 16 | v3 >> 48) ^ v2
      v0 = v0 << 32 | v0 >> 32
      v2 = v2 &+ v1
      v0 = v0 &+ v3
      v1 = (v1 << 17 | v1 >> 47) ^ v2
      v3 = (v3 << 21 | v3 >> 43) ^ v0
      v2 = v2 << 32 | v2 >> 32
    }

    @inline(__always)
    mutating func take(_ word: UInt64) {
      v3 ^= word
      round()
      round()
      v0 ^= word
    }

    @inline(__always)
    mutating func finish() -> KeyHash {
      v2 ^= 0xee
      for _ in 0..<4 { round() }
      let low = v0 ^ v1 ^ v2 ^ v3
      v1 ^= 0xdd
      for _ in 0..<4 { round() }
      return KeyHash(low: low, high: v0 ^ v1 ^ v2 ^ v3)
    }
  }
}
