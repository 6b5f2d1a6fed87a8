// Random input that can be had again: a failing test prints its seed.

/// SplitMix64. `RECORDS_TEST_SEED=<number>` in the environment repeats a run.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

struct Seed: CustomStringConvertible {
  let value: UInt64
  var generator: SplitMix

  init(_ fixed: UInt64? = nil) {
    let given = Environment.seed
    value = fixed ?? given ?? UInt64.random(in: 0...UInt64.max)
    generator = SplitMix(state: value)
  }

  var description: String { "RECORDS_TEST_SEED=\(value)" }

  mutating func int(in range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &generator) }

  mutating func bytes(_ count: Int) -> [UInt8] {
    var words = [UInt64](repeating: 0, count: count / 8 + 1)
    for i in words.indices { words[i] = generator.next() }
    return words.withUnsafeBytes { Array($0.prefix(count)) }
  }
}
