// Every message in every version: random values survive, every truncation is refused, and no
// mutation does anything worse than being refused.
import KafkaProtocol
import Testing

@testable import WireGen

@Suite struct RoundTripTests {
  let seed = UInt64.random(in: 0...UInt64.max)

  @Test func everyMessageHasADefinitionAndBack() throws {
    let definitions = try Support.definitions()
    let names = Support.allMessages.map { "\($0.messageName)" }
    #expect(Set(names) == Set(definitions.keys))
    #expect(Set(names).count == names.count)
  }

  @Test func randomValuesSurvive() throws {
    try Support.forEachVersion { type, message, version in
      for round in 0..<24 {
        let seed = seed &+ UInt64(round)
        let bytes = RandomEncoder.encode(message, version: version, seed: seed)
        let context = Comment("\(message.name) v\(version), seed \(seed)")
        let again = try? Support.roundTrip(type, bytes, version: Int16(version))
        try #require(again == bytes, context)
      }
    }
  }

  @Test func everyTruncationIsRefused() throws {
    try Support.forEachVersion { type, message, version in
      for round in 0..<2 {
        let seed = seed &+ UInt64(round)
        let bytes = RandomEncoder.encode(message, version: version, seed: seed)
        for count in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 300)) {
          let prefix = Array(bytes[..<count])
          let again = try? Support.roundTrip(type, prefix, version: Int16(version))
          try #require(
            again == nil, "\(message.name) v\(version), seed \(seed), \(count) of \(bytes.count)")
        }
      }
    }
  }

  /// What still decodes after a mutation can be encoded, and then decodes to the same.
  @Test func mutationsAreRefusedOrUnderstood() throws {
    try Support.forEachVersion { type, message, version in
      for round in 0..<12 {
        let seed = seed &+ UInt64(round)
        var random = SeededGenerator(seed: seed)
        var bytes = RandomEncoder.encode(message, version: version, seed: seed)
        guard !bytes.isEmpty else { continue }
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          let position = Int.random(in: 0..<bytes.count, using: &random)
          bytes[position] =
            [0, 0x7F, 0x80, 0xFF, UInt8.random(in: 0...255, using: &random)][
              Int.random(in: 0..<5, using: &random)]
        }
        let context = Comment("\(message.name) v\(version), seed \(seed)")
        guard (try? decodes(type, bytes, version)) == true else { continue }
        let once = try Support.roundTrip(type, bytes, version: Int16(version))
        let twice = try Support.roundTrip(type, once, version: Int16(version))
        try #require(once == twice, context)
      }
    }
  }

  private func decodes<M: WireMessage>(
    _ type: M.Type, _ bytes: [UInt8], _ version: Int
  ) throws -> Bool {
    _ = try M(decoding: bytes, version: Int16(version))
    return true
  }

  @Test func versionsOutsideTheRangeAreRefused() throws {
    for type in Support.allMessages {
      for version in [type.validVersions.lowerBound - 1, type.validVersions.upperBound + 1] {
        let error = #expect(throws: WireError.self) {
          try Support.roundTrip(type, [UInt8](repeating: 0, count: 64), version: version)
        }
        #expect(error?.rule == .unsupportedVersion)
      }
    }
  }
}
