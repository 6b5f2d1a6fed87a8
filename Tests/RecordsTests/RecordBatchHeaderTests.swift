// The 61 bytes: every field at its place, and what the log writes into them.

import Model
import Records
import Testing

@Suite struct RecordBatchHeaderTests {
  static let header: RecordBatchHeader = {
    var header = RecordBatchHeader(
      baseOffset: 0x0102_0304_0506_0708,
      attributes: RecordBatchAttributes(
        compression: .zstd, timestampType: .createTime, isTransactional: true),
      lastOffsetDelta: 0x2122_2324, baseTimestamp: 0x3132_3334_3536_3738,
      maxTimestamp: 0x4142_4344_4546_4748, recordCount: 0x7172_7374)
    header.batchLength = 0x1112_1314
    header.partitionLeaderEpoch = 0x1516_1718
    header.crc = 0x191A_1B1C
    header.producerId = 0x5152_5354_5556_5758
    header.producerEpoch = 0x5960
    header.baseSequence = 0x6162_6364
    return header
  }()

  static let bytes: [UInt8] =
    [1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 2]
    + [0x19, 0x1A, 0x1B, 0x1C, 0, 0b1_0100, 0x21, 0x22, 0x23, 0x24]
    + [0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38]
    + [0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48]
    + [0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x60]
    + [0x61, 0x62, 0x63, 0x64, 0x71, 0x72, 0x73, 0x74]

  @Test func everyFieldIsAtItsPlace() {
    var written = [UInt8](repeating: 0, count: 61)
    written.withUnsafeMutableBytes { Self.header.write(to: $0) }
    #expect(written == Self.bytes)
    #expect(Self.bytes.withUnsafeBytes { RecordBatchHeader($0) } == Self.header)
  }

  @Test func fewerBytesThanAHeaderGiveNothing() {
    for count in 0..<61 {
      let parsed = Array(Self.bytes.prefix(count)).withUnsafeBytes { RecordBatchHeader($0) }
      #expect(parsed == nil)
    }
  }

  @Test func derivedValues() {
    var header = RecordBatchHeader(
      baseOffset: 100, lastOffsetDelta: 9, baseTimestamp: 5, maxTimestamp: 7, recordCount: 10)
    header.batchLength = 49 + 200
    #expect(header.sizeInBytes == 261)
    #expect(header.recordsSizeInBytes == 200)
    #expect(header.lastOffset == 109)
    #expect(header.nextOffset == 110)
    #expect(!header.hasProducerId)
    #expect(header.lastSequence == -1)
    #expect(header.deleteHorizonMs == nil)
    header.attributes.hasDeleteHorizon = true
    #expect(header.deleteHorizonMs == 5)
    header.producerId = 0
    header.baseSequence = Int32.max - 3
    #expect(header.hasProducerId)
    #expect(header.lastSequence == 5)
  }

  @Test func nonsenseNeverTraps() {
    let ones = [UInt8](repeating: 0xFF, count: 61)
    let header = ones.withUnsafeBytes { RecordBatchHeader($0) }
    #expect(header?.isPlausible == false)
    #expect(header?.sizeInBytes == 11)
    #expect(header?.compression == nil)
    var extreme = RecordBatchHeader(
      baseOffset: .max, lastOffsetDelta: .max, baseTimestamp: 0, maxTimestamp: 0, recordCount: 1)
    #expect(!extreme.isPlausible)
    #expect(extreme.lastOffset < 0)
    extreme.batchLength = .max
    #expect(extreme.sizeInBytes == Int(Int32.max) + 12)
  }

  @Test(arguments: [
    (Int16(0), CompressionType?.some(.none)), (1, .gzip), (2, .snappy), (3, .lz4), (4, .zstd),
    (5, nil), (7, nil),
  ])
  func compressionBits(bits: Int16, expected: CompressionType?) {
    #expect(RecordBatchAttributes(rawValue: bits).compression == expected)
    #expect(RecordBatchAttributes(rawValue: bits | ~0b111).compression == expected)
  }

  @Test func flagsAreIndependent() {
    var attributes = RecordBatchAttributes()
    attributes.isControlBatch = true
    #expect(attributes.rawValue == 0x20)
    attributes.isTransactional = true
    attributes.hasDeleteHorizon = true
    attributes.timestampType = .logAppendTime
    #expect(attributes.rawValue == 0x78)
    attributes.isControlBatch = false
    attributes.timestampType = .createTime
    #expect(attributes.rawValue == 0x50)
  }

  @Test func appendingKeepsTheChecksum() throws {
    var seed = Seed()
    for count in [0, 1, 40, 5_000, 70_001] {
      var bytes = Self.bytes + seed.bytes(count)
      try bytes.withUnsafeMutableBytes { bytes in
        bytes.storeBytes(of: Int32(49 + count).bigEndian, toByteOffset: 8, as: Int32.self)
        let crc = RecordBatchHeader.checksum(ofBatch: UnsafeRawBufferPointer(bytes))
        bytes.storeBytes(of: crc.bigEndian, toByteOffset: 17, as: UInt32.self)
        let head = UnsafeMutableRawBufferPointer(rebasing: bytes[..<61])

        RecordBatchHeader.assign(baseOffset: 42, partitionLeaderEpoch: 7, in: head)
        let assigned = try #require(RecordBatchHeader(UnsafeRawBufferPointer(bytes)))
        #expect(assigned.baseOffset == 42)
        #expect(assigned.partitionLeaderEpoch == 7)
        #expect(assigned.checksumMatches(UnsafeRawBufferPointer(bytes)))

        RecordBatchHeader.assignLogAppendTime(1_700_000_000_000, in: head)
        let stamped = try #require(RecordBatchHeader(UnsafeRawBufferPointer(bytes)))
        #expect(stamped.isLogAppendTime)
        #expect(stamped.maxTimestamp == 1_700_000_000_000)
        #expect(stamped.isTransactional)
        #expect(stamped.checksumMatches(UnsafeRawBufferPointer(bytes)), "\(seed)")
      }
    }
  }
}
