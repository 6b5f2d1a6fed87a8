// The codecs: round trips, what real clients wrote, and bytes that nobody should write.

import Compression
import Model
import Testing

@Suite struct CompressionTests {
  static let codecs: [CompressionType] = [.gzip, .snappy, .lz4, .zstd]
  private static let limit = 64 * 1_024 * 1_024

  private static func inputs(_ seed: inout Seed) -> [[UInt8]] {
    let text = Array(String(repeating: "sluice keeps Kafka's log. ", count: 9_000).utf8)
    return [[], [7], text, [UInt8](repeating: 0, count: 1_000_000)]
      + [100, 32_767, 32_768, 32_769, 65_536, 300_001].map { seed.bytes($0) }
  }

  @Test(arguments: CompressionType.allCases)
  func roundTrip(_ type: CompressionType) throws {
    var seed = Seed()
    for input in Self.inputs(&seed) {
      let compressed = try Compression.compress(input, as: type)
      let back = try Compression.decompress(compressed, as: type, limit: Self.limit)
      #expect(back == input, "\(input.count) bytes, \(seed)")
    }
  }

  @Test(arguments: codecs)
  func everyLevel(_ type: CompressionType) throws {
    let input = Array(String(repeating: "level ", count: 5_000).utf8)
    let levels = Compression.levels(of: type)
    for level in [levels.lowerBound, max(levels.lowerBound, 1), levels.upperBound]
    where levels.contains(level) {
      let compressed = try Compression.compress(input, as: type, level: level)
      #expect(try Compression.decompress(compressed, as: type, limit: Self.limit) == input)
    }
    for level in [levels.lowerBound - 1, levels.upperBound + 1] {
      #expect(throws: CompressionError.level(type, level)) {
        try Compression.compress(input, as: type, level: level)
      }
    }
  }

  /// A limit of exactly the output's length is enough, one byte less is not.
  @Test(arguments: CompressionType.allCases)
  func limitIsExact(_ type: CompressionType) throws {
    var seed = Seed()
    for input in Self.inputs(&seed) where !input.isEmpty {
      let compressed = try Compression.compress(input, as: type)
      let back = try Compression.decompress(compressed, as: type, limit: input.count)
      #expect(back == input, "\(seed)")
      #expect(throws: CompressionError.tooLarge(type, limit: input.count - 1)) {
        try Compression.decompress(compressed, as: type, limit: input.count - 1)
      }
    }
  }

  /// 16 MiB of zeros in a few kilobytes are refused at 1 MiB.
  @Test(arguments: codecs)
  func bombsAreRefused(_ type: CompressionType) throws {
    let bomb = try Compression.compress(
      [UInt8](repeating: 0, count: 16 * 1_024 * 1_024), as: type)
    #expect(bomb.count < 1_024 * 1_024)
    #expect(throws: CompressionError.tooLarge(type, limit: 1_048_576)) {
      try Compression.decompress(bomb, as: type, limit: 1_048_576)
    }
  }

  @Test func snappyThatClaimsMoreThanItCanHoldIsRefused() {
    // A length of 4 GiB - 1, then hardly anything.
    let claim: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0x00]
    #expect(throws: CompressionError.corrupt(.snappy)) {
      try Compression.decompress(claim, as: .snappy, limit: Int(UInt32.max))
    }
  }

  @Test(arguments: codecs)
  func everyTruncationIsAnError(_ type: CompressionType) throws {
    var seed = Seed()
    let compressed = try Compression.compress(
      Array("truncate me ".utf8) + seed.bytes(300), as: type)
    for count in 0..<compressed.count {
      // snappy-java's framing has no end: cut between chunks it is a shorter stream.
      if type == .snappy, count == 16 { continue }
      let cut = Array(compressed.prefix(count))
      #expect(throws: CompressionError.self, "\(count) bytes, \(seed)") {
        try Compression.decompress(cut, as: type, limit: Self.limit)
      }
    }
  }

  /// Any change gives bytes within the limit or an error.
  @Test(arguments: codecs)
  func corruptInputNeverTraps(_ type: CompressionType) throws {
    var seed = Seed()
    let text = Array(String(repeating: "corrupt me, please. ", count: 40).utf8)
    let compressed = try Compression.compress(text + seed.bytes(200), as: type)
    for _ in 0..<3_000 {
      var bytes = compressed
      for _ in 0...seed.int(in: 0...3) {
        bytes[seed.int(in: 0...(bytes.count - 1))] = UInt8(seed.int(in: 0...255))
      }
      if seed.int(in: 0...3) == 0 { bytes = Array(bytes.prefix(seed.int(in: 0...bytes.count))) }
      let result = Result { try Compression.decompress(bytes, as: type, limit: 10_000) }
      if case .success(let output) = result { #expect(output.count <= 10_000, "\(seed)") }
    }
    for _ in 0..<1_000 {
      let noise = seed.bytes(seed.int(in: 0...100))
      let result = Result { try Compression.decompress(noise, as: type, limit: 10_000) }
      if case .success(let output) = result { #expect(output.count <= 10_000, "\(seed)") }
    }
  }

  @Test func membersAndFramesThatFollowEachOtherAreOneStream() throws {
    for type in [CompressionType.gzip, .snappy, .zstd] {
      let stream = try Compression.compress([1, 2, 3], as: type)
      let twice = try Compression.decompress(stream + stream, as: type, limit: 100)
      #expect(twice == [1, 2, 3, 1, 2, 3], "\(type)")
    }
  }

  @Test func snappyJavaIsRead() throws {
    let expected = (0..<20).map { "value \($0) " }.joined()
    let bytes = try Compression.decompress(ClientBatches.snappyJava, as: .snappy, limit: 1_000)
    #expect(bytes == Array(expected.utf8))
    let ours = try Compression.compress(bytes, as: .snappy)
    #expect(ours.prefix(16) == ClientBatches.snappyJava.prefix(16))
  }

  @Test func errorsSayWhatIsWrong() {
    #expect(
      CompressionError.tooLarge(.zstd, limit: 9).description
        == "the zstd data decompresses to more than 9 bytes")
    #expect(
      CompressionError.level(.gzip, 12).description
        == "gzip has no compression level 12; 1...9 are there")
  }
}
