// The answer to ApiVersions, which a client asks first. A version that is not known is answered in
// version 0, with the error UNSUPPORTED_VERSION and the versions of ApiVersions (KIP-511).

import KafkaProtocol
import Model

enum ApiVersionsReply {
  /// The response frame.
  /// - Throws: the request cannot be read.
  static func frame(for head: RequestHead, request: UnsafeRawBufferPointer) throws(WireError)
    -> [UInt8]
  {
    var writer = WireWriter(capacity: 512)
    guard head.isSupported else {
      let response = ApiVersionsResponse(
        errorCode: .unsupportedVersion, apiKeys: [version(.apiVersions)])
      try writer.writeResponse(response, version: 0, correlationId: head.correlationId)
      return writer.bytes
    }
    var reader = WireReader(request.bytes, from: head.bodyOffset)
    let body = try ApiVersionsRequest(reading: &reader, version: head.apiVersion)
    let isValid =
      head.apiVersion < 3
      || isSoftwareText(body.clientSoftwareName) && isSoftwareText(body.clientSoftwareVersion)
    let response = ApiVersionsResponse(
      errorCode: isValid ? .none : .invalidRequest,
      apiKeys: isValid ? ServedApis.keys.map(version) : [])
    try writer.writeResponse(
      response, version: head.apiVersion, correlationId: head.correlationId)
    return writer.bytes
  }

  private static func version(_ apiKey: ApiKey) -> ApiVersionsResponse.ApiVersion {
    let versions = ServedApis.toldVersions(apiKey)
    return ApiVersionsResponse.ApiVersion(
      apiKey: apiKey.rawValue, minVersion: versions.lowerBound, maxVersion: versions.upperBound)
  }

  /// Kafka's pattern `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`.
  private static func isSoftwareText(_ text: String) -> Bool {
    func isAlphanumeric(_ byte: UInt8) -> Bool {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      default: false
      }
    }
    guard let first = text.utf8.first, let last = text.utf8.last else { return false }
    return isAlphanumeric(first) && isAlphanumeric(last)
      && text.utf8.allSatisfy {
        isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
      }
  }
}
