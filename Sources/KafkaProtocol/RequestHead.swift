// The head of a request frame, read in place: what routing needs, without allocating. Called by
// the frontend for every frame, and by the fetcher and the coordinator for the frames they get.

/// What precedes the body of a request. Slices and offsets count from the start of the frame, which
/// begins after its 4-byte length.
public struct RequestHead: Sendable {
  public var apiKey: ApiKey
  /// As the client sent it: `isSupported` says whether the API has this version.
  public var apiVersion: Int16
  public var correlationId: Int32
  /// UTF-8; nil for null.
  public var clientId: WireSlice?
  /// Where the body begins.
  public var bodyOffset: Int

  /// Reads the head of a frame. The error of an unknown API key has the rule `unknownApiKey`; Kafka
  /// closes the connection then, as it does for all errors here.
  public init(readingFrame frame: RawSpan) throws(WireError) {
    var reader = WireReader(frame)
    let key = try reader.readInt16("requestApiKey")
    apiVersion = try reader.readInt16("requestApiVersion")
    correlationId = try reader.readInt32("correlationId")
    guard let apiKey = ApiKey(rawValue: key) else {
      throw WireError(.unknownApiKey, "requestApiKey", at: 0)
    }
    self.apiKey = apiKey
    // The client id keeps its old encoding in flexible headers.
    clientId = try reader.readNullableStringSlice(compact: false, "clientId")
    if apiKey.requestHeaderVersion(apiVersion) >= 2 { try reader.skipTaggedFields() }
    bodyOffset = reader.offset
  }

  /// Whether the API has the version. A client that asks for ApiVersions in one that it has not
  /// gets the answer in version 0 with the error UNSUPPORTED_VERSION.
  public var isSupported: Bool { apiKey.validVersions.contains(apiVersion) }
}

extension ApiKey {
  /// The version of `RequestHeader` that goes with a version of the API: 2 if flexible, else 1.
  public func requestHeaderVersion(_ apiVersion: Int16) -> Int16 {
    isFlexible(apiVersion) ? 2 : 1
  }

  /// The version of `ResponseHeader` that goes with a version of the API: 1 if flexible, else 0. That
  /// of ApiVersions is always 0, because a client reads it before it knows the broker (KIP-511).
  public func responseHeaderVersion(_ apiVersion: Int16) -> Int16 {
    self != .apiVersions && isFlexible(apiVersion) ? 1 : 0
  }

  public func isFlexible(_ apiVersion: Int16) -> Bool {
    firstFlexibleVersion.map { apiVersion >= $0 } ?? false
  }
}

extension WireWriter {
  /// Begins the frame of a response: its length, to be filled in by `endFrame`, and its header.
  public mutating func beginResponse(
    to apiKey: ApiKey, version: Int16, correlationId: Int32
  ) -> FrameMark {
    let mark = beginFrame()
    writeInt32(correlationId)
    if apiKey.responseHeaderVersion(version) >= 1 { writeUnsignedVarint(0) }
    return mark
  }

  /// Begins the frame of a request: its length, to be filled in by `endFrame`, and its header.
  public mutating func beginRequest(
    _ apiKey: ApiKey, version: Int16, correlationId: Int32, clientId: String?
  ) throws(WireError) -> FrameMark {
    let mark = beginFrame()
    let header = RequestHeader(
      requestApiKey: apiKey.rawValue, requestApiVersion: version, correlationId: correlationId,
      clientId: clientId)
    try header.write(to: &self, version: apiKey.requestHeaderVersion(version))
    return mark
  }

  /// Appends a whole response frame.
  public mutating func writeResponse<Response: WireResponse>(
    _ response: Response, version: Int16, correlationId: Int32
  ) throws(WireError) {
    let mark = beginResponse(to: Response.apiKey, version: version, correlationId: correlationId)
    try response.write(to: &self, version: version)
    endFrame(mark)
  }

  /// Appends a whole request frame.
  public mutating func writeRequest<Request: WireRequest>(
    _ request: Request, version: Int16, correlationId: Int32, clientId: String?
  ) throws(WireError) {
    let mark = try beginRequest(
      Request.apiKey, version: version, correlationId: correlationId, clientId: clientId)
    try request.write(to: &self, version: version)
    endFrame(mark)
  }
}
