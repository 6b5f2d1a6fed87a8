// What a producer may send: one case for each rule, then noise.

import Model
import Records
import Testing

@Suite struct RecordBatchValidatorTests {
  private static let nowMs: Int64 = 1_700_000_100_000
  private static let rules = ProduceRules(produceVersion: 9, maxMessageBytes: 1_048_588)
  private static let partition = TopicPartition(topic: "t", partition: 3)

  private static func batch(
    _ change: (inout RecordBatchBuilder) -> Void = { _ in }, records: Int = 3
  ) -> [UInt8] {
    var builder = RecordBatchBuilder()
    for i in 0..<records {
      builder.append(timestamp: nowMs - 10 + Int64(i), key: [1], value: [UInt8(i)])
    }
    change(&builder)
    return builder.build()
  }

  /// Changes bytes behind the checksum's back and then corrects the checksum.
  private static func patched(_ batch: [UInt8], _ change: (inout [UInt8]) -> Void) -> [UInt8] {
    var bytes = batch
    change(&bytes)
    let crc = bytes.withUnsafeBytes { RecordBatchHeader.checksum(ofBatch: $0) }
    withUnsafeBytes(of: crc.bigEndian) { bytes.replaceSubrange(17..<21, with: $0) }
    return bytes
  }

  private static func rejection(
    _ bytes: [UInt8], _ rules: ProduceRules = rules
  ) -> RecordBatchRejection? {
    let result = bytes.withUnsafeBytes {
      RecordBatchValidator.validate($0, rules: rules, nowMs: nowMs)
    }
    if case .failure(let rejection) = result { return rejection }
    return nil
  }

  @Test(arguments: ClientBatches.all)
  func batchesOfRealClientsPass(_ sample: ClientBatch) {
    #expect(Self.rejection(sample.bytes) == nil)
  }

  @Test func theHeaderIsHandedOut() throws {
    let bytes = Self.batch { $0.setProducer(id: 9, epoch: 1, baseSequence: 0) }
    let result = (bytes + [1, 2, 3]).withUnsafeBytes {
      RecordBatchValidator.validate($0, rules: Self.rules, nowMs: Self.nowMs)
    }
    let header = try result.get()
    #expect(header.sizeInBytes == bytes.count)
    #expect(header.producerId == 9)
    #expect(header.recordCount == 3)
  }

  /// sarama 1.22 leaves the greatest timestamp unset; others may claim any.
  @Test(arguments: [-1, nowMs + 5, nowMs - 10] as [Int64])
  func theGreatestTimestampIsThatOfTheRecords(_ claimed: Int64) throws {
    let right = Self.batch()
    var bytes = Self.patched(right) { bytes in
      withUnsafeBytes(of: claimed.bigEndian) { bytes.replaceSubrange(35..<43, with: $0) }
    }
    let header = try bytes.withUnsafeBytes {
      RecordBatchValidator.validate($0, rules: Self.rules, nowMs: Self.nowMs)
    }.get()
    #expect(header.maxTimestamp == Self.nowMs - 8)
    bytes.withUnsafeMutableBytes {
      RecordBatchHeader.assignMaxTimestamp(header.maxTimestamp, in: $0)
    }
    #expect(bytes == right)
  }

  struct Case: CustomTestStringConvertible {
    let name: String
    let bytes: [UInt8]
    let expected: RecordBatchRejection
    let code: ErrorCode
    var testDescription: String { name }
  }

  static let framing: [Case] = {
    let good = batch()
    func patch(_ at: Int, _ values: UInt8...) -> [UInt8] {
      var bytes = good
      bytes.replaceSubrange(at..<(at + values.count), with: values)
      return bytes
    }
    return [
      Case(name: "empty", bytes: [], expected: .noBatch, code: .invalidRecord),
      Case(
        name: "truncated", bytes: good.dropLast(), expected: .noBatch, code: .invalidRecord),
      Case(
        name: "header alone", bytes: Array(good.prefix(61)), expected: .noBatch,
        code: .invalidRecord),
      Case(
        name: "two batches", bytes: good + good, expected: .severalBatches, code: .invalidRecord),
      Case(
        name: "length 2 GiB", bytes: patch(8, 0x7F, 0xFF, 0xFF, 0xFF), expected: .noBatch,
        code: .invalidRecord),
      Case(
        name: "negative length", bytes: patch(8, 0xFF, 0xFF, 0xFF, 0xFF),
        expected: .lengthTooSmall(-1), code: .corruptMessage),
      Case(
        name: "length 13", bytes: patch(8, 0, 0, 0, 13), expected: .lengthTooSmall(13),
        code: .corruptMessage),
      Case(
        name: "shorter than a header", bytes: Array(patch(8, 0, 0, 0, 40).prefix(52)),
        expected: .corrupt(storedCRC: 0), code: .corruptMessage),
      Case(
        name: "nonsense behind the batch",
        bytes: good + [UInt8](repeating: 0, count: 12), expected: .lengthTooSmall(0),
        code: .corruptMessage),
      Case(name: "magic 1", bytes: patch(16, 1), expected: .oldMagic(1), code: .invalidRecord),
      Case(name: "magic 0", bytes: patch(16, 0), expected: .oldMagic(0), code: .invalidRecord),
      Case(
        name: "magic 3", bytes: patch(16, 3), expected: .unknownMagic(3), code: .corruptMessage),
      Case(
        name: "magic -1", bytes: patch(16, 0xFF), expected: .unknownMagic(-1),
        code: .corruptMessage),
      Case(
        name: "base offset 1", bytes: patch(7, 1), expected: .baseOffsetNotZero(1),
        code: .invalidRecord),
      Case(
        name: "bad checksum", bytes: patch(17, 1, 2, 3, 4),
        expected: .corrupt(storedCRC: 0x0102_0304), code: .corruptMessage),
    ]
  }()

  static let fields: [Case] = {
    func patch(_ at: Int, _ values: UInt8...) -> [UInt8] {
      patched(batch()) { $0.replaceSubrange(at..<(at + values.count), with: values) }
    }
    return [
      Case(
        name: "codec 5", bytes: patch(22, 5), expected: .unknownCompression(5),
        code: .unsupportedCompressionType),
      Case(
        name: "lastOffsetDelta -1", bytes: patch(23, 0xFF, 0xFF, 0xFF, 0xFF),
        expected: .offsetRange(lastOffsetDelta: -1), code: .invalidRecord),
      Case(
        name: "count 0", bytes: patch(57, 0, 0, 0, 0), expected: .recordCount(0),
        code: .invalidRecord),
      Case(
        name: "count -1", bytes: patch(57, 0xFF, 0xFF, 0xFF, 0xFF), expected: .recordCount(-1),
        code: .invalidRecord),
      Case(
        name: "count 4 of 3", bytes: patch(57, 0, 0, 0, 4),
        expected: .inconsistentCount(lastOffsetDelta: 2, recordCount: 4), code: .invalidRecord),
      Case(
        name: "control batch", bytes: patch(22, 0x20), expected: .controlBatch,
        code: .invalidRecord),
      Case(
        name: "producer without sequence", bytes: patch(43, 0, 0, 0, 0, 0, 0, 0, 8),
        expected: .sequence(-1, producerId: 8), code: .invalidRecord),
      Case(
        name: "LogAppendTime", bytes: patch(22, 0x08), expected: .logAppendTime,
        code: .invalidTimestamp),
      Case(
        name: "one record more than there is",
        bytes: patched(batch()) {
          $0[26] = 3
          $0[60] = 4
        },
        expected: .record(.endsEarly, index: 3), code: .invalidRecord),
      Case(
        name: "one record less than there is",
        bytes: patched(batch()) {
          $0[26] = 1
          $0[60] = 2
        },
        expected: .record(.bytesLeft(9), index: 2), code: .invalidRecord),
      Case(
        name: "offset deltas 0, 1, 1", bytes: patched(batch()) { $0[61 + 9 + 9 + 3] = 2 },
        expected: .offsetDelta(1, index: 2), code: .invalidRecord),
    ]
  }()

  @Test(arguments: framing + fields)
  func refused(_ sample: Case) {
    let rejection = Self.rejection(sample.bytes)
    #expect(rejection == sample.expected)
    #expect(rejection?.errorCode == sample.code)
    #expect(rejection?.message(for: Self.partition).hasSuffix("in topic partition t-3.") == true)
  }

  @Test func sizeLimit() {
    let bytes = Self.batch()
    var rules = Self.rules
    rules.maxMessageBytes = bytes.count
    #expect(Self.rejection(bytes, rules) == nil)
    rules.maxMessageBytes -= 1
    let rejection = Self.rejection(bytes, rules)
    #expect(rejection == .tooLarge(size: bytes.count, limit: bytes.count - 1))
    #expect(rejection?.errorCode == .messageTooLarge)
  }

  @Test func zstdNeedsVersionSeven() throws {
    let zstd = try #require(ClientBatches.all.first { $0.compression == .zstd }).bytes
    var rules = Self.rules
    rules.produceVersion = 7
    #expect(Self.rejection(zstd, rules) == nil)
    rules.produceVersion = 6
    #expect(Self.rejection(zstd, rules)?.errorCode == .unsupportedCompressionType)
  }

  @Test func compactedTopicsNeedKeys() {
    var rules = Self.rules
    rules.requiresKeys = true
    #expect(Self.rejection(Self.batch(), rules) == nil)
    let bytes = Self.batch { $0.append(timestamp: Self.nowMs, key: nil, value: [1]) }
    #expect(Self.rejection(bytes, rules) == .noKey(index: 3))
    #expect(Self.rejection(bytes) == nil)
    rules.checksRecords = false
    #expect(Self.rejection(bytes, rules) == nil)
  }

  @Test func timestampBounds() {
    func batch(_ timestamps: Int64...) -> [UInt8] {
      var builder = RecordBatchBuilder()
      for timestamp in timestamps { builder.append(timestamp: timestamp, key: nil, value: nil) }
      return builder.build()
    }
    let now = Self.nowMs
    var rules = Self.rules
    #expect(Self.rejection(batch(now + 3_600_000), rules) == nil)
    #expect(
      Self.rejection(batch(now + 3_600_001), rules) == .timestamp(now + 3_600_001, index: nil))
    #expect(Self.rejection(batch(0, -1, Int64.min), rules) == nil)
    rules.timestampBeforeMaxMs = 1_000
    #expect(Self.rejection(batch(now - 1_000, -1, now), rules) == nil)
    // The batch's own two timestamps are fine, the record in the middle is not.
    let hidden = Self.rejection(batch(now, now - 1_001, now), rules)
    #expect(hidden == .timestamp(now - 1_001, index: 1))
    #expect(hidden?.errorCode == .invalidTimestamp)
    #expect(hidden?.recordIndex == 1)
    #expect(Self.rejection(batch(Int64.min), rules)?.errorCode == .invalidTimestamp)
    #expect(Self.rejection(batch(Int64.max), rules)?.errorCode == .invalidTimestamp)
    rules.timestampType = .logAppendTime
    #expect(Self.rejection(batch(now - 1_001), rules) == nil)
  }

  /// Any bytes are judged without a trap, and what passes holds to the rules.
  @Test func noise() {
    var seed = Seed()
    let samples = ClientBatches.all.map(\.bytes)
    for _ in 0..<20_000 {
      var bytes = samples[seed.int(in: 0...(samples.count - 1))]
      for _ in 0..<seed.int(in: 0...3) {
        bytes[seed.int(in: 0...(bytes.count - 1))] = UInt8(seed.int(in: 0...255))
      }
      if seed.int(in: 0...9) == 0 { bytes = Array(bytes.prefix(seed.int(in: 0...bytes.count))) }
      if seed.int(in: 0...1) == 0, bytes.count > 61 { bytes = Self.patched(bytes) { _ in } }
      let result = bytes.withUnsafeBytes {
        RecordBatchValidator.validate($0, rules: Self.rules, nowMs: Self.nowMs)
      }
      if case .success(let header) = result {
        #expect(header.sizeInBytes <= bytes.count, "\(seed)")
        #expect(header.recordCount == header.lastOffsetDelta + 1, "\(seed)")
      }
    }
  }
}
