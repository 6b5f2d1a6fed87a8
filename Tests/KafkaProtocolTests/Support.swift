// What the tests of this module share: where the definitions are, a seeded generator of random
// numbers, and generic access to all generated messages.
import KafkaProtocol

@testable import WireGen

enum Support {
  /// The root of the package.
  static let root = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    .dropLast(3).joined(separator: "/")

  /// All definitions by the name of their message.
  static func definitions() throws -> [String: Message] {
    let generator = try Generator(directory: root + "/protocol")
    return Dictionary(uniqueKeysWithValues: generator.messages.map { ($0.name, $0) })
  }

  static var allMessages: [any WireMessage.Type] {
    AllMessages.requests + AllMessages.responses + AllMessages.recordKeys
      + AllMessages.recordValues + AllMessages.data
  }

  /// Every message with every one of its versions.
  static func forEachVersion(
    _ body: (any WireMessage.Type, Message, Int) throws -> Void
  ) throws {
    let definitions = try definitions()
    for type in allMessages {
      guard let message = definitions["\(type.messageName)"] else { continue }
      for version in message.versions.low...message.versions.high {
        try body(type, message, version)
      }
    }
  }

  /// Decodes all of `bytes` and encodes the value again, filling the gaps of records from `bytes`.
  static func roundTrip<M: WireMessage>(
    _ type: M.Type, _ bytes: [UInt8], version: Int16
  ) throws(WireError) -> [UInt8] {
    let value = try M(decoding: bytes, version: version)
    var writer = WireWriter()
    try value.write(to: &writer, version: version)
    return filled(writer, from: bytes)
  }

  /// What a receiver sees of `writer` when its gaps are filled from `source`.
  static func filled(_ writer: WireWriter, from source: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    var position = 0
    for gap in writer.gaps {
      result += writer.bytes[position..<gap.position]
      if let place = gap.source { result += source[place.range] }
      position = gap.position
    }
    return result + writer.bytes[position...]
  }
}

/// SplitMix64: the same seed gives the same test.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
    return value ^ (value >> 31)
  }

  /// True once in `n` times.
  mutating func oneIn(_ n: Int) -> Bool { Int.random(in: 0..<n, using: &self) == 0 }
}
