// Random input that can be had again: a failing test prints its seed.

import Foundation

/// SplitMix64. `COORDINATOR_TEST_SEED=<number>` in the environment repeats a run.
struct Seed: RandomNumberGenerator, CustomStringConvertible {
  let value: UInt64
  private var state: UInt64

  init() {
    let given = ProcessInfo.processInfo.environment["COORDINATOR_TEST_SEED"].flatMap { UInt64($0) }
    value = given ?? UInt64.random(in: 0...UInt64.max)
    state = value
  }

  var description: String { "COORDINATOR_TEST_SEED=\(value)" }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func int(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self) }

  mutating func chance(_ percent: Int) -> Bool { int(1...100) <= percent }
}
