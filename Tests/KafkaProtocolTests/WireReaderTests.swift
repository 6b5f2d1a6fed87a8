// The primitives at their edges: each case is bytes and what reading them gives.
import KafkaProtocol
import Model
import Testing

@Suite struct WireReaderTests {
  /// The rule that `read` breaks on `bytes`, or nil if it breaks none.
  private func rule(
    _ bytes: [UInt8], _ read: (inout WireReader) throws(WireError) -> Void
  ) -> WireError.Rule? {
    var reader = WireReader(bytes.span.bytes)
    do {
      try read(&reader)
      try reader.finish()
      return nil
    } catch { return error.rule }
  }

  @Test(
    arguments: [
      ([], .truncated),
      ([0x00], nil),
      ([0x80, 0x01], nil),
      ([0x80], .truncated),
      ([0xFF, 0xFF, 0xFF, 0xFF, 0x0F], nil),
      ([0xFF, 0xFF, 0xFF, 0xFF, 0x1F], .varintTooLong),
      ([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], .varintTooLong),
      ([0x00, 0x00], .trailingBytes),
    ] as [([UInt8], WireError.Rule?)])
  func varints(bytes: [UInt8], expected: WireError.Rule?) {
    #expect(
      rule(bytes) { reader throws(WireError) in _ = try reader.readUnsignedVarint("x") } == expected
    )
  }

  @Test func varintValues() throws {
    for value in [0, 1, 127, 128, 300, 16_383, 16_384, UInt32(Int32.max), .max] {
      var writer = WireWriter()
      writer.writeUnsignedVarint(value)
      var reader = WireReader(writer.bytes.span.bytes)
      #expect(try reader.readUnsignedVarint("x") == value)
      #expect(reader.remaining == 0)
    }
  }

  @Test(
    arguments: [
      (false, [0, 1, 0x61], nil),
      (false, [0, 2, 0x61], .truncated),
      (false, [0xFF, 0xFF], .unexpectedNull),
      (false, [0, 1, 0xFF], .invalidUTF8),
      (false, [0, 3, 0xED, 0xA0, 0x80], .invalidUTF8),
      (true, [2, 0x61], nil),
      (true, [1], nil),
      (true, [0], .unexpectedNull),
      (true, [3, 0x61], .truncated),
      (true, [0x80, 0x80, 0x02, 0x61], .truncated),
      (true, [0x81, 0x80, 0x02, 0x61], .stringTooLong),
      (true, [0xFF, 0xFF, 0xFF, 0xFF, 0x0F], .stringTooLong),
    ] as [(Bool, [UInt8], WireError.Rule?)])
  func strings(compact: Bool, bytes: [UInt8], expected: WireError.Rule?) {
    let copied = rule(bytes) { reader throws(WireError) in
      _ = try reader.readString(compact: compact, "x")
    }
    let inPlace = rule(bytes) { reader throws(WireError) in
      _ = try reader.readStringSlice(compact: compact, "x")
    }
    #expect(copied == expected)
    #expect(inPlace == expected)
  }

  @Test(
    arguments: [
      (false, 4, [0, 0, 0, 1], .countExceedsBytes),
      (false, 1, [0x7F, 0xFF, 0xFF, 0xFF, 9], .countExceedsBytes),
      (false, 1, [0x80, 0, 0, 0], .unexpectedNull),
      (true, 1, [0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 9], .countExceedsBytes),
      (true, 2, [2, 9], .countExceedsBytes),
      (true, 1, [1], nil),
      (true, 1, [0], .unexpectedNull),
    ] as [(Bool, Int, [UInt8], WireError.Rule?)])
  func arrayCounts(compact: Bool, size: Int, bytes: [UInt8], expected: WireError.Rule?) {
    let rule = rule(bytes) { reader throws(WireError) in
      _ = try reader.readArrayCount(compact: compact, minimumElementSize: size, "x")
    }
    #expect(rule == expected)
  }

  @Test(
    arguments: [
      ([0], nil),
      ([1, 5, 2, 0xAA, 0xBB], nil),
      ([2, 1, 0, 2, 1, 9], nil),
      ([1, 5, 3, 0xAA, 0xBB], .truncated),
      ([2, 2, 0, 1, 0], .tagOrder),
      ([2, 1, 0, 1, 0], .tagOrder),
      ([2, 1, 0], .countExceedsBytes),
      ([0xFF, 0xFF, 0xFF, 0xFF, 0x0F], .countExceedsBytes),
    ] as [([UInt8], WireError.Rule?)])
  func taggedFields(bytes: [UInt8], expected: WireError.Rule?) {
    let kept = rule(bytes) { reader throws(WireError) in _ = try reader.readTaggedFields() }
    let skipped = rule(bytes) { reader throws(WireError) in try reader.skipTaggedFields() }
    #expect(kept == expected)
    #expect(skipped == expected)
  }

  /// A known tagged field must take exactly the bytes that it announces.
  @Test(arguments: [(UInt8(3), WireError.Rule.truncated), (5, .tagSize), (4, nil)])
  func sizeOfAKnownTag(size: UInt8, expected: WireError.Rule?) throws {
    let topic = CreateTopicsResponse(topics: [
      .init(name: "t", topicConfigErrorCode: .invalidConfig)
    ])
    var bytes = try topic.encoded(version: 5)
    // The topic ends with one tagged field: count, tag, size, two bytes; then the response's tags.
    let position = bytes.count - 4
    #expect(Array(bytes[(position - 2)...]) == [1, 0, 2, 0, 40, 0])
    bytes[position] = size - 2
    if size == 5 { bytes.insert(0, at: position + 3) }
    let error: WireError?
    do {
      _ = try CreateTopicsResponse(decoding: bytes, version: 5)
      error = nil
    } catch let caught { error = caught }
    #expect(error?.rule == expected)
  }

  @Test func errorsNameFieldAndPlace() throws {
    let bytes = try MetadataRequest(topics: [.init(name: "topic")]).encoded(version: 4)
    let error = #expect(throws: WireError.self) {
      try MetadataRequest(decoding: Array(bytes.dropLast(3)), version: 4)
    }
    #expect("\(try #require(error))" == "name: truncated at byte 6")
  }

  @Test func recordsAreNotCopied() throws {
    let records: [UInt8] = Array(0..<100)
    let request = ProduceRequest(
      topicData: [.init(name: "t", partitionData: [.init(index: 1, records: .inline(records))])])
    let bytes = try request.encoded(version: 8)
    let decoded = try ProduceRequest(decoding: bytes, version: 8)
    let slice = try #require(decoded.topicData[0].partitionData[0].records?.decoded)
    #expect(Array(bytes[slice.range]) == records)
  }
}
