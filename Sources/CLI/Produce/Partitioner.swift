// Which partition a record goes to, as Kafka's own clients decide: murmur2 of the key, masked to a
// positive number, modulo the partitions; without a key one partition a batch.

enum Partitioner {
  static func partition(key: [UInt8], count: Int) -> Int {
    Int(murmur2(key) & 0x7FFF_FFFF) % count
  }

  /// MurmurHash2, 32 bit, with the seed that Kafka's clients use (0x9747b28c).
  static func murmur2(_ data: [UInt8]) -> UInt32 {
    let m: UInt32 = 0x5bd1_e995
    var h: UInt32 = 0x9747_b28c ^ UInt32(truncatingIfNeeded: data.count)
    var index = 0
    while index + 4 <= data.count {
      var k =
        UInt32(data[index]) | UInt32(data[index + 1]) << 8 | UInt32(data[index + 2]) << 16
        | UInt32(data[index + 3]) << 24
      k = k &* m
      k ^= k >> 24
      k = k &* m
      h = h &* m
      h ^= k
      index += 4
    }
    let rest = data.count - index
    if rest >= 3 { h ^= UInt32(data[index + 2]) << 16 }
    if rest >= 2 { h ^= UInt32(data[index + 1]) << 8 }
    if rest >= 1 {
      h ^= UInt32(data[index])
      h = h &* m
    }
    h ^= h >> 13
    h = h &* m
    h ^= h >> 15
    return h
  }
}
