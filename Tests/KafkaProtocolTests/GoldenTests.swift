// Bytes that other people's encoders made. Each file under Golden/ names a client and its version in
// its first line; the other lines are `request` or `response`, the API, its version, and the frame
// after its length. Requests were captured from the client at work; the responses were encoded by
// kafka-python and accepted by that client.
import Foundation
import KafkaProtocol
import Testing

@Suite struct GoldenTests {
  struct Frame {
    var file: String
    var isRequest: Bool
    var api: String
    var version: Int16
    var bytes: [UInt8]

    var comment: Comment { "\(file): \(isRequest ? "request" : "response") \(api) v\(version)" }
  }

  private func frames() throws -> [Frame] {
    let folder = Support.root + "/Tests/KafkaProtocolTests/Golden"
    let files = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
    return try files.flatMap { file in
      let text = try String(contentsOfFile: folder + "/" + file, encoding: .utf8)
      return try text.split(separator: "\n").dropFirst().map { line in
        let words = line.split(separator: " ")
        return Frame(
          file: file, isRequest: words[0] == "request", api: String(words[1]),
          version: try #require(Int16(words[2])), bytes: try #require(Self.bytes(words[3])))
      }
    }
  }

  private static func bytes(_ hex: Substring) -> [UInt8]? {
    var bytes: [UInt8] = []
    var rest = hex
    while !rest.isEmpty {
      guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
      bytes.append(byte)
      rest = rest.dropFirst(2)
    }
    return bytes
  }

  @Test func everyFrameIsUnderstoodAndReproduced() throws {
    let requests = Dictionary(
      uniqueKeysWithValues: AllMessages.requests.map { ("\($0.messageName)", $0) })
    let responses = Dictionary(
      uniqueKeysWithValues: AllMessages.responses.map { ("\($0.messageName)", $0) })
    let frames = try frames()
    #expect(frames.count > 150)
    for frame in frames {
      if let type = requests[frame.api + "Request"], frame.isRequest {
        try check(frame, type)
      } else if let type = responses[frame.api + "Response"], !frame.isRequest {
        try check(frame, type)
      } else {
        Issue.record(frame.comment)
      }
    }
  }

  private func check<M: WireRequest>(_ frame: Frame, _ type: M.Type) throws {
    let head = try RequestHead(readingFrame: frame.bytes.span.bytes)
    #expect(head.apiKey == M.apiKey, frame.comment)
    #expect(head.apiVersion == frame.version, frame.comment)
    #expect(head.isSupported, frame.comment)
    let body = Array(frame.bytes[head.bodyOffset...])
    let again = try Support.roundTrip(type, body, version: frame.version)
    #expect(again == body, frame.comment)
    var writer = WireWriter()
    let mark = try writer.beginRequest(
      head.apiKey, version: head.apiVersion, correlationId: head.correlationId,
      clientId: head.clientId?.string(in: frame.bytes.span.bytes))
    writer.writeRaw(body)
    writer.endFrame(mark)
    #expect(Array(writer.bytes.dropFirst(4)) == frame.bytes, frame.comment)
  }

  private func check<M: WireResponse>(_ frame: Frame, _ type: M.Type) throws {
    var header = WireReader(frame.bytes.span.bytes)
    _ = try ResponseHeader(
      reading: &header, version: M.apiKey.responseHeaderVersion(frame.version))
    let body = Array(frame.bytes[header.offset...])
    let again = try Support.roundTrip(type, body, version: frame.version)
    #expect(again == body, frame.comment)
  }

  /// The bytes that consumers put into JoinGroup and SyncGroup.
  @Test func consumerProtocolIsUnderstoodAndReproduced() throws {
    var subscriptions = 0
    var assigned = 0
    for frame in try frames()
    where frame.isRequest && ["JoinGroup", "SyncGroup"].contains(frame.api) {
      let head = try RequestHead(readingFrame: frame.bytes.span.bytes)
      let body = Array(frame.bytes[head.bodyOffset...])
      if frame.api == "JoinGroup" {
        let request = try JoinGroupRequest(decoding: body, version: frame.version)
        #expect(request.groupId == "golden-group", frame.comment)
        for offered in request.protocols {
          let subscription = try ConsumerProtocolSubscription(decodingVersioned: offered.metadata)
          #expect(subscription.topics == ["golden"], frame.comment)
          let version = Int16(offered.metadata[1])
          #expect(try subscription.encodedVersioned(version) == offered.metadata, frame.comment)
          subscriptions += 1
        }
      } else {
        let request = try SyncGroupRequest(decoding: body, version: frame.version)
        for member in request.assignments {
          let assignment = try ConsumerProtocolAssignment(decodingVersioned: member.assignment)
          #expect(try assignment.encodedVersioned(0) == member.assignment, frame.comment)
          assigned += assignment.assignedPartitions.filter { $0.topic == "golden" }.count
        }
      }
    }
    #expect(subscriptions >= 5)
    #expect(assigned >= 3)
  }

  /// The walker sees the records of every producer where the batch begins: magic 2, right length.
  @Test func recordsLieWhereTheWalkerSays() throws {
    var batches = 0
    for frame in try frames() where frame.isRequest && frame.api == "Produce" {
      let span = frame.bytes.span.bytes
      let head = try RequestHead(readingFrame: span)
      var walker = try ProduceRequestWalker(
        reading: WireReader(span, from: head.bodyOffset), version: head.apiVersion)
      while let item = try walker.next() {
        guard case .partitionProduceData(let partition) = item else { continue }
        let records = try #require(partition.records)
        var batch = WireReader(records.bytes(in: span))
        _ = try batch.readInt64("baseOffset")
        #expect(Int(try batch.readInt32("batchLength")) == batch.remaining, frame.comment)
        _ = try batch.readInt32("partitionLeaderEpoch")
        #expect(try batch.readInt8("magic") == 2, frame.comment)
        batches += 1
      }
    }
    #expect(batches >= 5)
  }
}
