// The rules whose breach a client pays for with its connection. Log lines are limited by rule, so that
// none of them can be made a flood.

import Service

enum ClosingRule: String, CaseIterable {
  case cannotAccept = "connections that cannot be accepted"
  case connections = "connections over max.connections or the limit of descriptors"
  case connectionsPerAddress = "connections over max.connections.per.ip"
  case invalidReceive = "bytes that are not Kafka's protocol"
  case unreadable = "requests that cannot be read"
  case notServed = "requests for APIs or versions that are not served"
  case requestSize = "requests that are too large"
  case refusedRecords = "batches of records that are refused"
  case failedWithoutAcks = "failed produce requests with acks=0"
  case noProgress = "connections without progress"
  case memory = "unfinished frames while memory is short"
  case noSibling = "requests that waited too long for another process"
  case refusedBySibling = "requests that another process refused"
  case system = "errors of the system"

  /// Its events are counted together.
  var group: EventGroup { EventGroup("\(self)", plural: rawValue) }
}
