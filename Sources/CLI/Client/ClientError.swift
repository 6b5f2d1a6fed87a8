// What can go wrong between this command and a broker, as one line for its user.

import KafkaProtocol
import Linux
import Model

enum ClientError: Error, CustomStringConvertible {
  case connection(address: String, Errno)
  case badAddress(String)
  case closed(address: String)
  case timedOut(address: String, afterMs: Int64)
  /// The broker's bytes are no response.
  case undecodable(WireError)
  /// The broker serves no version of the API that this command speaks.
  case unsupported(ApiKey)
  /// The broker refused; `about` is the topic, group or partition concerned.
  case refused(ErrorCode, about: String, message: String?)

  var description: String {
    switch self {
    case .connection(let address, let error): "no connection to \(address): \(error)"
    case .badAddress(let text): "'\(text)' is not HOST:PORT"
    case .closed(let address): "\(address) closed the connection"
    case .timedOut(let address, let ms): "\(address) did not answer within \(ms) ms"
    case .undecodable(let error): "the broker's answer cannot be read: \(error)"
    case .unsupported(let key): "the broker does not serve \(key)"
    case .refused(let code, let about, let message):
      "\(about): \(code)" + (message.map { ": \($0)" } ?? "")
    }
  }
}

extension ErrorCode {
  /// Throws unless this is NONE.
  func require(_ about: String, _ message: String? = nil) throws(ClientError) {
    if self != .none { throw .refused(self, about: about, message: message) }
  }
}
