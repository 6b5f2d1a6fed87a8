// CRC-32C against the published vectors, and the fast path against the tables.

import CCRC32C
import Records
import Testing

@Suite struct CRC32CTests {
  private func checksum(_ bytes: [UInt8]) -> UInt32 {
    bytes.withUnsafeBytes { CRC32C.checksum($0) }
  }

  /// RFC 3720 appendix B.4, and the check value of the CRC catalogues.
  @Test func publishedVectors() {
    #expect(checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(checksum([UInt8](0..<32)) == 0x46DD_794E)
    #expect(checksum([UInt8](0..<32).reversed()) == 0x113F_DB5C)
    let iscsiRead: [UInt8] =
      [0x01, 0xC0] + [UInt8](repeating: 0, count: 14) + [0x14, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14]
      + [0, 0, 0, 0x18, 0x28] + [UInt8](repeating: 0, count: 7) + [2]
      + [UInt8](repeating: 0, count: 7)
    #expect(iscsiRead.count == 48)
    #expect(checksum(iscsiRead) == 0xD996_3A56)
    #expect(checksum(Array("123456789".utf8)) == 0xE306_9283)
    #expect(checksum([]) == 0)
  }

  @Test func everyLengthAndAlignmentEqualsTheTables() {
    var seed = Seed()
    let bytes = seed.bytes(13_000)
    bytes.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      var lengths = Array(0...2_100)
      // Around whole blocks of 4,080 bytes, where the lanes are longest.
      lengths += Array(4_070...4_300) + Array(8_150...8_400) + [12_240, 12_345]
      for alignment in 0..<8 {
        for length in lengths {
          let start = UInt32(truncatingIfNeeded: length &* 2_654_435_761)
          let fast = sluice_crc32c(start, base + alignment, length)
          let portable = sluice_crc32c_portable(start, base + alignment, length)
          if fast != portable { Issue.record("length \(length), alignment \(alignment), \(seed)") }
        }
      }
    }
  }

  @Test func continuingEqualsOnePass() {
    var seed = Seed()
    let bytes = seed.bytes(9_000)
    bytes.withUnsafeBytes { bytes in
      let whole = CRC32C.checksum(bytes)
      for _ in 0..<200 {
        var crc: UInt32 = 0
        var position = 0
        while position < bytes.count {
          let end = min(bytes.count, position + seed.int(in: 0...1_500))
          crc = CRC32C.checksum(
            UnsafeRawBufferPointer(rebasing: bytes[position..<end]), continuing: crc)
          position = end
        }
        #expect(crc == whole, "\(seed)")
      }
    }
  }

  @Test func replacingAPrefixEqualsReadingItAll() {
    var seed = Seed()
    for tail in [0, 1, 7, 8, 61, 1_000, 4_096, 100_003] {
      var bytes = seed.bytes(40 + tail)
      let before = checksum(bytes)
      let oldPrefix = checksum(Array(bytes.prefix(40)))
      for i in 0..<40 { bytes[i] = UInt8.random(in: 0...255, using: &seed.generator) }
      let newPrefix = checksum(Array(bytes.prefix(40)))
      let corrected = CRC32C.replacing(before, prefix: oldPrefix, by: newPrefix, followedBy: tail)
      #expect(corrected == checksum(bytes), "tail \(tail), \(seed)")
    }
  }
}
