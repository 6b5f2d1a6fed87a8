import Testing

@testable import CLI

@Suite struct PartitionerTests {
  /// The vectors of Kafka's own test (UtilsTest.testMurmur2).
  @Test(arguments: [
    ("21", Int32(-973_932_308)),
    ("foobar", -790_332_482),
    ("a-little-bit-long-string", -985_981_536),
    ("a-little-bit-longer-string", -1_486_304_829),
    ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
    ("abc", 479_470_107),
  ])
  func murmur2(text: String, hash: Int32) {
    #expect(Partitioner.murmur2(Array(text.utf8)) == UInt32(bitPattern: hash))
  }

  @Test func aPartitionIsNeverNegative() {
    for length in 0..<64 {
      let key = [UInt8](repeating: 0xA5, count: length)
      #expect((0..<7).contains(Partitioner.partition(key: key, count: 7)))
    }
    // toPositive masks the sign: "21" hashes to a negative number.
    #expect(Partitioner.partition(key: Array("21".utf8), count: 1000) == 340)
  }
}

@Suite struct RangeAssignorTests {
  @Test(arguments: [
    (1, 0, [0]), (1, 5, [5]), (2, 5, [3, 2]), (3, 5, [2, 2, 1]), (3, 3, [1, 1, 1]),
    (4, 3, [1, 1, 1, 0]), (3, 10, [4, 3, 3]),
  ])
  func sharesEvenly(members: Int, partitions: Int, shares: [Int]) {
    let names = (0..<members).map { "m\($0)" }
    let assigned = RangeAssignor.assign(
      Dictionary(uniqueKeysWithValues: names.map { ($0, ["t"]) }),
      ["t": (0..<Int32(partitions)).reversed()])
    let owned = names.map { assigned[$0]?["t"] ?? [] }
    #expect(owned.map(\.count) == shares)
    #expect(owned.flatMap { $0 } == Array(0..<Int32(partitions)))
  }

  @Test func onlySubscribersGetATopic() {
    let assigned = RangeAssignor.assign(
      ["a": ["x"], "b": ["x", "y"], "c": []], ["x": [0, 1, 2], "y": [0, 1], "z": [0]])
    #expect(assigned == ["a": ["x": [0, 1]], "b": ["x": [2], "y": [0, 1]], "c": [:]])
  }
}
