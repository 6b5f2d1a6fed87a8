// Frames and heads: what the frontend reads of every request, and how frames are put together.
import KafkaProtocol
import Testing

@Suite struct RequestHeadTests {
  @Test(arguments: [(ApiKey.metadata, Int16(8)), (.metadata, 12), (.apiVersions, 3), (.produce, 9)])
  func headOfARequestFrame(key: ApiKey, version: Int16) throws {
    var writer = WireWriter()
    let mark = try writer.beginRequest(key, version: version, correlationId: 7, clientId: "rdkafka")
    let bodyStart = writer.count - 4
    writer.writeInt32(42)
    writer.endFrame(mark)
    let frame = Array(writer.bytes[4...])
    #expect(Array(writer.bytes[..<4]) == [0, 0, 0, UInt8(frame.count)])
    let head = try RequestHead(readingFrame: frame.span.bytes)
    #expect(head.apiKey == key)
    #expect(head.apiVersion == version)
    #expect(head.correlationId == 7)
    #expect(head.clientId?.string(in: frame.span.bytes) == "rdkafka")
    #expect(head.bodyOffset == bodyStart)
    #expect(head.isSupported)
  }

  @Test func unknownApiKeyIsNamed() {
    let frame: [UInt8] = [0x7F, 0xFF, 0, 0, 0, 0, 0, 1, 0xFF, 0xFF]
    let error = #expect(throws: WireError.self) { try RequestHead(readingFrame: frame.span.bytes) }
    #expect(error?.rule == .unknownApiKey)
  }

  @Test func frameLengthCountsGaps() throws {
    var writer = WireWriter()
    let partition = FetchResponse.PartitionData(
      partitionIndex: 3, highWatermark: 10, records: .external(count: 1000))
    let response = FetchResponse(
      responses: [.init(topic: "t", partitions: [partition])])
    try writer.writeResponse(response, version: 11, correlationId: 5)
    #expect(writer.gapBytes == 1000)
    #expect(writer.gaps == [WireGap(position: writer.bytes.count, count: 1000, source: nil)])
    let length = writer.bytes[..<4].reduce(0) { $0 << 8 | Int($1) }
    #expect(length == writer.bytes.count - 4 + 1000)
  }
}
