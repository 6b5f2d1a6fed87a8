// One batch through a codec: every pair of codecs, every kind of wrong record, bombs, and any bytes
// at all.
import Compression
import IPC
import Model
import Records
import Testing

@testable import Codec

private func batch(
  _ type: CompressionType, count: Int = 20, timestamp: Int64 = 1_000, keys: Bool = true,
  value: [UInt8] = [UInt8](repeating: 7, count: 100)
) throws -> [UInt8] {
  var builder = RecordBatchBuilder()
  for index in 0..<count {
    builder.append(
      timestamp: timestamp + Int64(index), key: keys || index % 2 == 0 ? [UInt8(index)] : nil,
      value: value, headers: [RecordHeader(key: "h", value: nil)])
  }
  return try builder.build(compression: type) { try Compression.compress($0, as: type) }
}

/// A batch around any bytes, with the right checksum.
private func batch(_ type: CompressionType, payload: [UInt8], count: Int32) -> [UInt8] {
  var header = RecordBatchHeader(
    attributes: RecordBatchAttributes(compression: type), lastOffsetDelta: count - 1,
    baseTimestamp: 0, maxTimestamp: 0, recordCount: count)
  header.producerId = 5
  var bytes = [UInt8](repeating: 0, count: RecordBatchHeader.size + payload.count)
  bytes.withUnsafeMutableBytes { header.writeBatch(records: payload, to: $0) }
  return bytes
}

private func entry(_ bytes: [UInt8], _ change: (inout OpenEntry) -> Void = { _ in }) -> OpenEntry {
  var entry = OpenEntry(
    cookie: 9, offset: 0, length: UInt32(bytes.count), decompressedMax: 1 << 20,
    batchMax: 1 << 20)
  change(&entry)
  return entry
}

private func open(_ bytes: [UInt8], _ change: (inout OpenEntry) -> Void = { _ in }) throws
  -> OpenedEntry
{
  try bytes.withUnsafeBytes { try BatchOpener.open($0, entry(bytes, change)) }
}

/// The records of a batch that keeps its header.
private func records(_ bytes: [UInt8], _ payload: [UInt8]?, as type: CompressionType) throws
  -> [Record]
{
  try bytes.withUnsafeBytes { raw in
    let header = try #require(RecordBatchHeader(raw))
    let plain = try Compression.decompress(
      payload ?? Array(bytes[RecordBatchHeader.size...]), as: type, limit: 1 << 20)
    return try plain.withUnsafeBytes { try Record.all(of: header, payload: $0) }
  }
}

@Suite struct BatchOpenerTests {
  @Test(arguments: CompressionType.allCases, CompressionType.allCases)
  func everyPairKeepsTheRecords(source: CompressionType, target: CompressionType) throws {
    let bytes = try batch(source)
    let before = try records(bytes, nil, as: source)
    let answer = try open(bytes) { $0.target = target }
    #expect(answer.verdict == .sound)
    #expect(answer.cookie == 9)
    #expect(answer.maxTimestamp == 1_019)
    #expect(answer.records != nil)
    #expect(try records(bytes, answer.records, as: target) == before)
  }

  @Test func theLevelCounts() throws {
    var value: [UInt8] = []
    // Words whose order repeats from afar, which a higher level sees better.
    let words: [[UInt8]] = ["produce", "fetch", "offset", "epoch", "leader", "batch"].map {
      [UInt8]($0.utf8)
    }
    for index in 0..<3000 { value += words[(index &* index / 7 + index / 3) % words.count] }
    let bytes = try batch(.none, count: 3, value: value)
    for type in [CompressionType.gzip, .lz4, .zstd] {
      let levels = Compression.levels(of: type)
      let low = try open(bytes) {
        $0.target = type
        $0.level = Int32(max(1, levels.lowerBound))
      }
      let high = try open(bytes) {
        $0.target = type
        $0.level = Int32(type == .zstd ? 12 : levels.upperBound)
      }
      #expect(low.records?.count ?? 0 > high.records?.count ?? .max, "\(type)")
    }
  }

  @Test(arguments: CompressionType.allCases) func checkingKeepsTheBytes(type: CompressionType)
    throws
  {
    let answer = try open(try batch(type))
    #expect(answer.verdict == .sound)
    #expect(answer.records == nil)
    #expect(answer.maxTimestamp == 1_019)
  }

  @Test(arguments: CompressionType.allCases.filter { $0 != .none })
  func garbageIsRefused(type: CompressionType) throws {
    var garbage = [UInt8](repeating: 0xAB, count: 200)
    #expect(try open(batch(type, payload: garbage, count: 1000)).verdict == .corrupt)
    garbage = []
    #expect(try open(batch(type, payload: garbage, count: 1)).verdict != .sound)
    // A stream that is right around bytes that are no records.
    let inside = try Compression.compress([UInt8](repeating: 0xFF, count: 300), as: type)
    #expect(try open(batch(type, payload: inside, count: 2)).verdict == .malformedRecord)
  }

  @Test func aWrongCountIsRefused() throws {
    let bytes = try batch(.lz4, count: 10)
    let payload = Array(bytes[RecordBatchHeader.size...])
    let fewer = try open(batch(.lz4, payload: payload, count: 9))
    #expect(fewer.verdict == .malformedRecord)
    #expect(fewer.detail == 9)
    let more = try open(batch(.lz4, payload: payload, count: 1_000_000_000))
    #expect(more.verdict == .malformedRecord)
    #expect(more.detail == 10)
  }

  @Test(arguments: CompressionType.allCases.filter { $0 != .none })
  func bombsAreRefused(type: CompressionType) throws {
    let zeros = try Compression.compress([UInt8](repeating: 0, count: 2 << 20), as: type)
    let answer = try open(batch(type, payload: zeros, count: 1))
    #expect(answer.verdict == .decompressedTooLarge)
    #expect(answer.detail == 1 << 20)
  }

  @Test func aBatchThatGrowsTooLargeIsRefused() throws {
    let bytes = try batch(.zstd)
    let answer = try open(bytes) {
      $0.target = CompressionType.none
      $0.batchMax = 500
    }
    #expect(answer.verdict == .recompressedTooLarge)
    #expect(answer.detail > 500)
    #expect(answer.records == nil)
  }

  @Test func recordsWithoutKeyAreNamed() throws {
    let bytes = try batch(.gzip, count: 6, keys: false)
    #expect(try open(bytes).verdict == .sound)
    let answer = try open(bytes) { $0.requiresKeys = true }
    #expect(answer.verdict == .noKey)
    #expect(answer.faults == [1, 3, 5])
  }

  @Test func timestampsOutOfRangeAreNamed() throws {
    let answer = try open(try batch(.snappy, count: 5)) {
      $0.timestampMin = 1_001
      $0.timestampMax = 1_002
    }
    #expect(answer.verdict == .timestamp)
    #expect(answer.faults == [0, 3, 4])
    #expect(answer.detail == 1_000)
    let none = try open(try batch(.snappy, count: 1, timestamp: -1)) { $0.timestampMin = 5 }
    #expect(none.verdict == .sound)
    #expect(none.maxTimestamp == -1)
  }

  /// What an old producer may send: Kafka numbers such records anew.
  @Test func wrongOffsetDeltasAreCorrected() throws {
    let right = try batch(.none, count: 200)
    var payload = Array(right[RecordBatchHeader.size...])
    // The delta of the first record: behind length (2 bytes), attributes and timestamp delta.
    #expect(payload[4] == 0)
    payload[4] = 6
    let bytes = batch(.lz4, payload: try Compression.compress(payload, as: .lz4), count: 200)
    let answer = try open(bytes)
    #expect(answer.verdict == .sound)
    #expect(answer.records != nil)
    let found = try records(bytes, answer.records, as: .lz4)
    #expect(found.map(\.offset) == (0..<200).map { Int64($0) })
    #expect(found.map(\.value) == (try records(right, nil, as: .none)).map(\.value))
  }

  @Test func anEntryThatIsNoBatchIsNonsense() throws {
    let bytes = try batch(.zstd)
    #expect(throws: MessageError.self) { try open(Array(bytes.dropLast())) }
    #expect(throws: MessageError.self) { try open([1, 2, 3]) }
    var unknown = bytes
    unknown[22] |= 7
    #expect(throws: MessageError.self) { try open(unknown) }
  }

  @Test func changedBytesNeverTrap() throws {
    var random = SystemRandomNumberGenerator()
    let seed = random.next()
    var state = seed
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    for type in CompressionType.allCases {
      let good = try batch(type)
      for _ in 0..<400 {
        var bytes = good
        for _ in 0...next(4) {
          let place = RecordBatchHeader.size + next(bytes.count - RecordBatchHeader.size)
          bytes[place] = UInt8(next(256))
        }
        let answer = try open(bytes) {
          $0.target = CompressionType(rawValue: UInt8(next(5)))
          $0.requiresKeys = true
        }
        #expect(answer.verdict == .sound || answer.records == nil, "seed \(seed)")
      }
    }
  }
}
