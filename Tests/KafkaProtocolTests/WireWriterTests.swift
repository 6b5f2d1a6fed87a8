// What encoders refuse and how frames, gaps and tagged fields are laid out.
import KafkaProtocol
import Testing

@Suite struct WireWriterTests {
  private func rule<M: WireMessage>(_ message: M, version: Int16) -> WireError.Rule? {
    do {
      _ = try message.encoded(version: version)
      return nil
    } catch { return error.rule }
  }

  @Test func fieldsThatAVersionLacks() {
    // Not ignorable: refused unless it has the default.
    #expect(rule(JoinGroupRequest(groupInstanceId: "i"), version: 4) == .fieldNotInVersion)
    #expect(rule(JoinGroupRequest(groupInstanceId: nil), version: 4) == nil)
    #expect(rule(JoinGroupRequest(groupInstanceId: "i"), version: 5) == nil)
    // Ignorable: dropped.
    #expect(rule(JoinGroupRequest(rebalanceTimeoutMs: 5), version: 0) == nil)
    // Tagged.
    let replica = FetchRequest.ReplicaState(replicaId: 3)
    #expect(rule(FetchRequest(replicaState: replica), version: 14) == .fieldNotInVersion)
    #expect(rule(FetchRequest(replicaState: replica), version: 15) == nil)
    // Null.
    #expect(rule(MetadataRequest(topics: nil), version: 0) == .nullNotInVersion)
    #expect(rule(MetadataRequest(topics: nil), version: 1) == nil)
  }

  @Test func unknownTaggedFieldsAreKeptInOrder() throws {
    var request = FetchRequest(clusterId: "c", replicaState: .init(replicaId: 1))
    request.unknownTaggedFields = [TaggedField(tag: 7, data: [1, 2])]
    let bytes = try request.encoded(version: 18)
    #expect(Array(bytes.suffix(4)) == [7, 2, 1, 2])
    let decoded = try FetchRequest(decoding: bytes, version: 18)
    #expect(decoded.unknownTaggedFields.map(\.tag) == [7])
    #expect(decoded.clusterId == "c")
    #expect(rule(request, version: 11) == .fieldNotInVersion)

    request.unknownTaggedFields = [TaggedField(tag: 1, data: [])]
    #expect(rule(request, version: 18) == .tagOrder)
    request.replicaState = .init()
    #expect(rule(request, version: 18) == nil)
  }

  @Test func stringsHaveAMaximum() {
    let longest = String(repeating: "x", count: 32_767)
    #expect(rule(HeartbeatRequest(groupId: longest), version: 4) == nil)
    #expect(rule(HeartbeatRequest(groupId: longest + "x"), version: 4) == .stringTooLong)
    #expect(rule(HeartbeatRequest(groupId: longest + "x"), version: 0) == .stringTooLong)
  }

  @Test func gapsLieWhereTheRecordsBelong() throws {
    func response(_ records: [RecordsField?]) -> FetchResponse {
      let partitions = records.enumerated().map {
        FetchResponse.PartitionData(partitionIndex: Int32($0.offset), records: $0.element)
      }
      return FetchResponse(responses: [.init(topic: "t", partitions: partitions)])
    }
    for version in FetchResponse.validVersions {
      var inline = WireWriter()
      try inline.writeResponse(
        response([.inline([1, 2, 3]), nil, .inline([]), .inline([4])]), version: version,
        correlationId: 1)
      var gapped = WireWriter()
      try gapped.writeResponse(
        response([
          .external(count: 3), nil, .external(count: 0), .slice(WireSlice(offset: 3, count: 1)),
        ]),
        version: version, correlationId: 1)
      #expect(gapped.gaps.map(\.count) == [3, 1])
      #expect(gapped.count == inline.count)
      var filled = gapped.bytes
      for (gap, bytes) in zip(gapped.gaps, [[1, 2, 3], [4]] as [[UInt8]]).reversed() {
        filled.insert(contentsOf: bytes, at: gap.position)
      }
      #expect(filled == inline.bytes)
    }
  }

  @Test func aCancelledFrameLeavesNothing() throws {
    var writer = WireWriter()
    try writer.writeResponse(HeartbeatResponse(), version: 0, correlationId: 1)
    writer.writeGap(count: 9)
    let before = writer
    let mark = writer.beginResponse(to: .fetch, version: 4, correlationId: 2)
    writer.writeGap(count: 5)
    writer.writeInt64(0)
    writer.cancelFrame(mark)
    #expect(writer.bytes == before.bytes)
    #expect(writer.gaps == before.gaps)
    #expect(writer.count == before.count)
  }

  @Test func responseHeaders() {
    #expect(ApiKey.apiVersions.responseHeaderVersion(4) == 0)
    #expect(ApiKey.metadata.responseHeaderVersion(8) == 0)
    #expect(ApiKey.metadata.responseHeaderVersion(9) == 1)
    #expect(ApiKey.saslHandshake.responseHeaderVersion(1) == 0)
    #expect(ApiKey.produce.advertisedVersions == 0...13)
    #expect(ApiKey.produce.validVersions == 3...13)
  }

  @Test func recordsOfInternalTopics() throws {
    let key = OffsetCommitKey(group: "g", topic: "t", partition: 2)
    let bytes = try key.encodedKey()
    #expect(bytes == [0, 1, 0, 1, 0x67, 0, 1, 0x74, 0, 0, 0, 2])
    #expect(try OffsetCommitKey(decodingKey: bytes)?.partition == 2)
    #expect(try GroupMetadataKey(decodingKey: bytes) == nil)
    let value = OffsetCommitValue(offset: 5, metadata: "m", commitTimestamp: 7)
    let encoded = try value.encodedVersioned(3)
    #expect(encoded.prefix(2) == [0, 3])
    #expect(try OffsetCommitValue(decodingVersioned: encoded).offset == 5)
  }
}
