// Records: what real clients wrote, round trips, and bytes that are no records.

import Compression
import Model
import Records
import Testing

@Suite struct RecordTests {
  private func decode(_ batch: [UInt8]) throws -> (RecordBatchHeader, [Record]) {
    let header = try #require(batch.withUnsafeBytes { RecordBatchHeader($0) })
    let compression = try #require(header.compression)
    let payload = try Compression.decompress(
      Array(batch.dropFirst(61)), as: compression, limit: 10_000_000)
    let records = try payload.withUnsafeBytes { try Record.all(of: header, payload: $0) }
    return (header, records)
  }

  @Test(arguments: ClientBatches.all)
  func batchesOfRealClients(_ sample: ClientBatch) throws {
    let (header, records) = try decode(sample.bytes)
    #expect(header.compression == sample.compression)
    #expect(header.sizeInBytes == sample.bytes.count)
    #expect(header.isPlausible)
    #expect(sample.bytes.withUnsafeBytes { header.checksumMatches($0) })
    #expect(records == ClientBatches.records)
    #expect(header.baseTimestamp == 1_700_000_000_000)
    #expect(header.maxTimestamp == 1_700_000_000_020)
    #expect(!header.hasProducerId)
  }

  /// Built from the same records, a batch equals the clients' byte for byte.
  @Test func buildsWhatClientsBuild() throws {
    var builder = RecordBatchBuilder()
    for record in ClientBatches.records {
      builder.append(
        timestamp: record.timestamp, key: record.key, value: record.value, headers: record.headers)
    }
    builder.header.partitionLeaderEpoch = 0
    let built = builder.build()
    let uncompressed = ClientBatches.all.filter { $0.compression == .none }
    #expect(uncompressed.count == 2)
    for sample in uncompressed {
      var expected = sample.bytes
      // The leader epoch is the log's: some clients send 0, others -1.
      expected.replaceSubrange(12..<16, with: [0, 0, 0, 0])
      #expect(built == expected, "\(sample)")
    }
  }

  @Test(arguments: CompressionType.allCases)
  func roundTripOfRandomBatches(_ type: CompressionType) throws {
    var seed = Seed()
    for _ in 0..<60 {
      let records = Self.randomRecords(&seed)
      var builder = RecordBatchBuilder(baseOffset: 1_000)
      builder.setProducer(id: 77, epoch: 3, baseSequence: 12, isTransactional: true)
      for record in records {
        builder.append(
          timestamp: record.timestamp, key: record.key, value: record.value,
          headers: record.headers)
      }
      let size = builder.sizeInBytes
      let batch = try builder.build(compression: type) { try Compression.compress($0, as: type) }
      if type == .none { #expect(batch.count == size) }
      let (header, decoded) = try decode(batch)
      #expect(decoded == records, "\(seed)")
      #expect(header.compression == type)
      #expect(header.producerId == 77 && header.producerEpoch == 3)
      #expect(header.baseSequence == 12 && header.isTransactional)
      #expect(header.nextOffset == 1_000 + Int64(records.count))
      #expect(header.maxTimestamp == records.map(\.timestamp).max())
      #expect(batch.withUnsafeBytes { header.checksumMatches($0) })
    }
  }

  static func randomRecords(_ seed: inout Seed) -> [Record] {
    let count = seed.int(in: 1...40)
    return (0..<count).map { i in
      func field() -> [UInt8]? {
        switch seed.int(in: 0...4) {
        case 0: nil
        case 1: []
        default: seed.bytes(seed.int(in: 0...200))
        }
      }
      let headers = (0..<max(0, seed.int(in: -3...4))).map { i in
        RecordHeader(key: i == 0 ? "" : "ключ-\(i)", value: field())
      }
      let time =
        seed.int(in: 0...9) == 0
        ? Int64.random(in: .min ... .max, using: &seed.generator)
        : 1_700_000_000_000 + Int64(seed.int(in: -5_000...5_000))
      return Record(
        offset: 1_000 + Int64(i), timestamp: time, key: field(), value: field(), headers: headers)
    }
  }

  @Test func logAppendTimeGivesEveryRecordTheBatchsTime() throws {
    var builder = RecordBatchBuilder()
    builder.append(timestamp: 5, key: nil, value: [1])
    builder.append(timestamp: 9, key: nil, value: [2])
    var batch = builder.build()
    batch.withUnsafeMutableBytes { RecordBatchHeader.assignLogAppendTime(1_234, in: $0) }
    #expect(try decode(batch).1.map(\.timestamp) == [1_234, 1_234])
  }

  @Test func malformedRecords() throws {
    // length 7: attributes, timestampDelta 0, offsetDelta 0, null key, value of 0 bytes, 0 headers
    let good: [UInt8] = [12, 0, 0, 0, 1, 0, 0]
    #expect(parse(good) == nil)
    let cases: [([UInt8], RecordFormatError)] = [
      ([], .endsEarly),
      ([0x80, 0x80, 0x80, 0x80, 0x80, 0], .varintTooLong),
      ([1, 0], .recordLength(-1)),
      (Array(good.prefix(5)), .endsEarly),
      ([10, 0, 0, 0, 1, 0, 0], .recordTooShort(5)),
      ([14, 0, 0, 0, 1, 0, 0, 0], .recordTooLong(7, read: 6)),
      ([12, 0, 0, 0, 20, 0, 0], .fieldTooLong(10)),
      ([12, 0, 0, 0, 1, 20, 0], .fieldTooLong(10)),
      ([12, 0, 0, 0, 1, 0, 1], .headerCount(-1)),
      ([12, 0, 0, 0, 1, 0, 2], .headerCount(1)),
      ([16, 0, 0, 0, 1, 0, 2, 1, 0], .headerKeyLength(-1)),
      ([16, 0, 0, 0, 1, 0, 2, 8, 0], .fieldTooLong(4)),
    ]
    for (bytes, expected) in cases { #expect(parse(bytes) == expected, "\(bytes)") }
  }

  private func parse(_ bytes: [UInt8]) -> RecordFormatError? {
    bytes.withUnsafeBytes { bytes in
      do throws(RecordFormatError) {
        _ = try RecordView(bytes)
        return nil
      } catch {
        return error
      }
    }
  }

  @Test func theCountOfTheHeaderIsBinding() throws {
    var builder = RecordBatchBuilder()
    builder.append(timestamp: 0, key: nil, value: [1])
    builder.append(timestamp: 0, key: nil, value: [2])
    var batch = builder.build()
    batch[60] = 1
    #expect(throws: RecordFormatError.bytesLeft(8)) { try decode(batch) }
    batch[60] = 3
    #expect(throws: RecordFormatError.endsEarly) { try decode(batch) }
    batch[57] = 0xFF
    #expect(throws: RecordFormatError.recordCount(-0xFFFFFD)) { try decode(batch) }
  }

  /// Any bytes give records or an error, and never more records than bytes.
  @Test func anyBytesNeverTrap() throws {
    var seed = Seed()
    let sample = try #require(ClientBatches.all.first).bytes
    for round in 0..<20_000 {
      var bytes = round % 4 == 0 ? seed.bytes(seed.int(in: 0...200)) : sample
      for _ in 0..<seed.int(in: 0...4) where !bytes.isEmpty {
        bytes[seed.int(in: 0...(bytes.count - 1))] = UInt8(seed.int(in: 0...255))
      }
      bytes.withUnsafeBytes { bytes in
        guard let header = RecordBatchHeader(bytes) else { return }
        let payload = UnsafeRawBufferPointer(rebasing: bytes[61...])
        let result = Result { try Record.all(of: header, payload: payload) }
        if case .success(let records) = result {
          #expect(records.count <= payload.count, "\(seed)")
        }
        var batches = RecordBatchIterator(bytes)
        do throws(RecordFormatError) { while try batches.next() != nil {} } catch { return }
        #expect(batches.position <= bytes.count, "\(seed)")
      }
    }
  }

  @Test func batchesInARunOfBytes() throws {
    let sample = try #require(ClientBatches.all.first).bytes
    let run = sample + sample + sample.prefix(100)
    run.withUnsafeBytes { run in
      var batches = RecordBatchIterator(run)
      var sizes: [Int] = []
      do throws(RecordFormatError) {
        while let (header, batch) = try batches.next() {
          #expect(header.checksumMatches(batch))
          sizes.append(batch.count)
        }
      } catch { Issue.record("\(error)") }
      #expect(sizes == [sample.count, sample.count])
      #expect(batches.position == 2 * sample.count)
    }
  }

  @Test(arguments: [true, false])
  func endTransactionMarkers(isCommit: Bool) throws {
    let marker = EndTransactionMarker(isCommit: isCommit, coordinatorEpoch: 9)
    let batch = marker.batch(baseOffset: 70, timestamp: 5, producerId: 44, producerEpoch: 2)
    let header = try #require(batch.withUnsafeBytes { RecordBatchHeader($0) })
    #expect(header.isControlBatch && header.isTransactional && header.baseSequence == -1)
    #expect(header.producerId == 44 && header.producerEpoch == 2 && header.baseOffset == 70)
    #expect(header.recordCount == 1)
    try batch.withUnsafeBytes { bytes in
      let payload = UnsafeRawBufferPointer(rebasing: bytes[61...])
      let read = try EndTransactionMarker(RecordView(payload))
      #expect(read == marker)
    }
    // A key of int16 version 0 and int16 type; a value of int16 version 0 and int32 epoch.
    let record = try #require(try decode(batch).1.first)
    #expect(record.key == [0, 0, 0, isCommit ? 1 : 0])
    #expect(record.value == [0, 0, 0, 0, 0, 9])
  }

  @Test func otherControlRecords() throws {
    func type(_ key: [UInt8]?) throws -> ControlRecordType {
      guard let key else { return try ControlRecordType(key: nil) }
      return try key.withUnsafeBytes { try ControlRecordType(key: $0) }
    }
    #expect(try type([0, 0, 0, 2]) == .other(2))
    #expect(try type([0, 1, 0, 1, 9]) == .commit)
    for key in [nil, [], [0, 0, 0], [0xFF, 0xFF, 0, 0]] as [[UInt8]?] {
      #expect(throws: RecordFormatError.controlRecord) { try type(key) }
    }
  }
}
