// Tells of requests that name a topic as no topic can be called, such as a path. The client has its
// error code; the log has the peer and the name.

import Logging
import Model
import Service

extension Broker {
  /// A client may send 32,767 bytes as a name.
  private static let illegalNameShownMax = 80
  private static let illegalNames = EventGroup(
    "illegalName", plural: "names that no topic can have")

  /// The first of `names` that breaks the rules is told of.
  func noteIllegalNames(in names: some Sequence<String>, _ context: RequestContext) {
    for name in names {
      guard let violation = TopicName.violation(of: name) else { continue }
      log.event(
        .clientRefused,
        "refused a topic name of \(context.peer): '\(name.prefix(Self.illegalNameShownMax))', \(violation.prefix(200))",
        metadata: [
          "peer": "\(context.peer)", "clientId": "\(context.clientId)",
          "errorCode": "\(ErrorCode.invalidTopicException)",
        ], group: Self.illegalNames)
      return
    }
  }
}
