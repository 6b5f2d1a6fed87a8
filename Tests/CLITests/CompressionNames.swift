// Codecs by their names, for tests that go through all of them.

import Compression
import Model

enum CompressionNames {
  static let all = CompressionType.allCases.map(\.name)

  static func type(_ name: String) -> CompressionType { CompressionType(name: name) ?? .none }

  static func compress(_ bytes: [UInt8], _ type: CompressionType) throws -> [UInt8] {
    try Compression.compress(bytes, as: type)
  }
}
