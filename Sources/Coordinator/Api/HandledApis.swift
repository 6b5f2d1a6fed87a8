// The APIs that the coordinator serves, in one place: key, versions and handler. What frontends
// announce in ApiVersions for these keys has to agree with it.

import IPC
import KafkaProtocol
import Logging

struct HandledApi: Sendable {
  let key: ApiKey
  let versions: ClosedRange<Int16>
  /// Decodes the body in a frame and begins to handle it.
  let handle:
    @Sendable (_ frame: [UInt8], _ head: RequestHead, RequestContext, Broker) throws(WireError) ->
      Void

  /// Served in the versions that Kafka 4.1 announces.
  static func api<Request: WireRequest>(
    _ handler: @escaping @Sendable (Request, RequestContext, Broker) -> Void
  ) -> HandledApi {
    HandledApi(
      key: Request.apiKey, versions: Request.apiKey.advertisedVersions ?? Request.validVersions
    ) { frame, head, context, broker throws(WireError) in
      handler(try decode(frame, head), context, broker)
    }
  }

  private static func decode<Request: WireRequest>(
    _ frame: [UInt8], _ head: RequestHead
  ) throws(WireError) -> Request {
    var reader = WireReader(frame.span.bytes, from: head.bodyOffset)
    // What follows is ignored, as Kafka does: librdkafka's Metadata requests end in a byte too many.
    return try Request(reading: &reader, version: head.apiVersion)
  }
}

enum HandledApis {
  static let all: [HandledApi] = [
    .api(ListOffsetsApi.handle),
    .api(MetadataApi.handle),
    .api(OffsetCommitApi.handle),
    .api(OffsetFetchApi.handle),
    .api(FindCoordinatorApi.handle),
    .api(JoinGroupApi.handle),
    .api(HeartbeatApi.handle),
    .api(LeaveGroupApi.handle),
    .api(SyncGroupApi.handle),
    .api(DescribeGroupsApi.handle),
    .api(ListGroupsApi.handle),
    .api(CreateTopicsApi.handle),
    .api(DeleteTopicsApi.handle),
    .api(DeleteRecordsApi.handle),
    .api(InitProducerIdApi.handle),
    .api(DescribeConfigsApi.handle),
    .api(AlterConfigsApi.handle),
    .api(DescribeLogDirsApi.handle),
    .api(CreatePartitionsApi.handle),
    .api(DeleteGroupsApi.handle),
    .api(IncrementalAlterConfigsApi.handle),
    .api(OffsetDeleteApi.handle),
    .api(DescribeClusterApi.handle),
    .api(ListConfigResourcesApi.handle),
    .api(DescribeTopicPartitionsApi.handle),
  ]

  private static let byKey: [ApiKey: HandledApi] = Dictionary(
    uniqueKeysWithValues: all.map { ($0.key, $0) })

  /// Handles one request from a frontend. A frame that is no request of ours is refused: the
  /// frontend only passes on what it announces, so the client has broken the protocol.
  static func handle(_ request: ClientRequest, channel: UInt64, _ broker: Broker) {
    broker.requestCount += 1
    let frame = request.frame
    var reply = Reply(
      channel: channel, connection: request.connection, request: request.request,
      apiKey: .apiVersions, apiVersion: 0, correlationId: 0)
    do throws(WireError) {
      let head = try RequestHead(readingFrame: frame.span.bytes)
      reply.apiKey = head.apiKey
      reply.apiVersion = head.apiVersion
      reply.correlationId = head.correlationId
      guard let api = byKey[head.apiKey], api.versions.contains(head.apiVersion) else {
        return broker.replies.refuse(
          reply, "\(head.apiKey) version \(head.apiVersion) is not served")
      }
      let context = RequestContext(
        reply: reply, clientId: head.clientId?.string(in: frame.span.bytes) ?? "",
        listener: request.listener, peer: request.peer, localHost: request.localHost,
        localPort: request.localPort, principal: request.principal)
      try api.handle(frame, head, context, broker)
    } catch {
      broker.replies.refuse(reply, "\(reply.apiKey) version \(reply.apiVersion): \(error)")
    }
  }
}
