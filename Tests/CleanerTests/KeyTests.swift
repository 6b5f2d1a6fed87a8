// The hash against its authors' test vectors, and the map against a dictionary.

import Foundation
import Testing

@testable import Cleaner

struct KeyTests {
  /// SipHash-2-4-128 with key 00 01 … 0f of the inputs 00, 00 01, …: first words of the reference
  /// implementation's vectors.
  @Test(arguments: [
    (0, "a3817f04ba25a8e66df67214c7550293"), (1, "da87c1d86b99af44347659119b22fc45"),
    (8, "3b62a9ba6258f5610f83e264f31497b4"), (15, "5493e99933b0a8117e08ec0f97cfc3d9"),
    (16, "6ee2a4ca67b054bbfd3315bf85230577"),
  ])
  func hash(_ count: Int, _ expected: String) {
    let hasher = KeyHasher(key0: 0x0706_0504_0302_0100, key1: 0x0f0e_0d0c_0b0a_0908)
    let input = (0..<count).map { UInt8($0) }
    let hash = input.withUnsafeBytes { hasher.hash($0) }
    let bytes = [hash.low, hash.high].flatMap { word in
      (0..<8).map { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) }
    }
    #expect(bytes.map { String(format: "%02x", $0) }.joined() == expected)
  }

  @Test func holdsTheLastOffsetOfEachKey() throws {
    let map = try #require(OffsetMap(bytesMax: 24 * 1000, loadFactor: 0.9, recordsMax: 10_000))
    #expect(map.countMax == 900)
    var expected: [String: Int64] = [:]
    let seed = UInt64.random(in: .min ... .max)
    var random = SeededGenerator(seed: seed)
    for offset in 0..<5_000 as Range<Int64> {
      let key = "key-\(Int.random(in: 0..<880, using: &random))"
      withBytes(key) { map.put(map.hash($0), offset) }
      expected[key] = offset
    }
    #expect(map.count == expected.count, "seed \(seed)")
    for (key, offset) in expected {
      #expect(withBytes(key) { map.offset(of: map.hash($0)) } == offset, "seed \(seed)")
    }
    #expect(withBytes("another") { map.offset(of: map.hash($0)) } == -1)
    #expect(!map.isFull)
  }

  @Test func isFullAtItsLoadFactor() throws {
    let map = try #require(OffsetMap(bytesMax: 24 * 10, loadFactor: 0.5, recordsMax: .max))
    for number in 0..<5 as Range<Int64> {
      #expect(!map.isFull)
      withBytes("\(number)") { map.put(map.hash($0), number) }
    }
    #expect(map.isFull)
    #expect(withBytes("3") { map.offset(of: map.hash($0)) } == 3)
  }

  @Test func takesNoMoreMemoryThanRecordsCanCome() throws {
    let few = try #require(OffsetMap(bytesMax: 1 << 30, loadFactor: 0.9, recordsMax: 90))
    #expect(few.byteCount <= 102 * OffsetMap.entrySize)
    #expect(few.countMax >= 90)
  }

  private func withBytes<R>(_ text: String, _ body: (UnsafeRawBufferPointer) -> R) -> R {
    Array(text.utf8).withUnsafeBytes { body($0) }
  }
}
