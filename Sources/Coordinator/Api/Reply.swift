// Where the answer to a request goes. A value: handlers keep it as long as a request waits, and an
// answer to a frontend that is gone goes nowhere.

import KafkaProtocol

struct Reply: Hashable {
  /// Number of the channel that brought the request, never used again.
  var channel: UInt64
  /// The frontend's numbers of the connection and of the request.
  var connection: UInt64
  var request: UInt64
  var apiKey: ApiKey
  var apiVersion: Int16
  var correlationId: Int32
}
