// One connection to one broker, one request at a time. Plain and blocking: this is a command, not a
// server. The versions used are the highest that both sides know.

import CLinux
import Glibc
import KafkaProtocol
import Linux
import Model
import Service

final class BrokerConnection {
  let address: String
  private let socket: OwnedFD
  private var correlationId: Int32 = 0
  private var versions: [Int16: ClosedRange<Int16>] = [:]
  private var writer = WireWriter()
  private let interruption: Interruption?

  static let clientId = "sluice"
  private static let connectMs: Int64 = 10_000
  /// Beyond what a request asks the broker to wait.
  private static let answerMs: Int64 = 30_000

  /// How long an interrupted command still waits for an answer that is on its way.
  private static let graceMs: Int64 = 1_000

  /// Connects to `HOST:PORT` and asks for the served versions.
  /// - Parameter interruption: ends a wait soon after Ctrl-C.
  init(_ address: String, _ interruption: Interruption?) throws(ClientError) {
    self.address = address
    self.interruption = interruption
    socket = try Self.connect(address)
    let answer = try send(
      ApiVersionsRequest(clientSoftwareName: "sluice", clientSoftwareVersion: Version.text),
      version: 3, waitMs: 0)
    try answer.errorCode.require(address)
    for api in answer.apiKeys where api.minVersion <= api.maxVersion {
      versions[api.apiKey] = api.minVersion...api.maxVersion
    }
  }

  /// Sends a request and returns its response.
  /// - Parameters:
  ///   - highest: do not use a version above this one.
  ///   - waitMs: how long the broker may sit on it by the request's own terms.
  func request<R: WireRequest>(_ request: R, highest: Int16 = .max, waitMs: Int64 = 0)
    throws(ClientError) -> R.Response
  {
    try send(request, version: try version(of: R.self, highest: highest), waitMs: waitMs)
  }

  /// Sends a request that has no response: Produce with acks 0.
  func requestWithoutAnswer<R: WireRequest>(_ request: R, highest: Int16) throws(ClientError) {
    let deadline = Clock.monotonicNs() + UInt64(Self.answerMs * 1_000_000)
    try writeFrame(request, version: try version(of: R.self, highest: highest), deadline)
  }

  private func version<R: WireRequest>(of: R.Type, highest: Int16) throws(ClientError) -> Int16 {
    guard let served = versions[R.apiKey.rawValue] else { throw .unsupported(R.apiKey) }
    let version = min(served.upperBound, R.validVersions.upperBound, highest)
    guard version >= served.lowerBound, version >= R.validVersions.lowerBound else {
      throw .unsupported(R.apiKey)
    }
    return version
  }

  private func send<R: WireRequest>(_ request: R, version: Int16, waitMs: Int64)
    throws(ClientError) -> R.Response
  {
    let deadline = Clock.monotonicNs() + UInt64((waitMs + Self.answerMs) * 1_000_000)
    try writeFrame(request, version: version, deadline)
    let length = try read(4, deadline).reduce(0) { $0 << 8 | Int($1) }
    guard length >= 4, length <= 1 << 30 else { throw .closed(address: address) }
    let frame = try read(length, deadline)
    do throws(WireError) {
      var reader = unsafe WireReader(frame.span.bytes)
      let header = try ResponseHeader(
        reading: &reader, version: R.apiKey.responseHeaderVersion(version))
      guard header.correlationId == correlationId else {
        throw WireError(.trailingBytes, "correlationId", at: 0)
      }
      let response = try R.Response(reading: &reader, version: version)
      lastFrame = frame
      return response
    } catch { throw .undecodable(error) }
  }

  private func writeFrame<R: WireRequest>(_ request: R, version: Int16, _ deadline: UInt64)
    throws(ClientError)
  {
    correlationId &+= 1
    writer.removeAll(keepingCapacity: true)
    do throws(WireError) {
      try writer.writeRequest(
        request, version: version, correlationId: correlationId, clientId: Self.clientId)
    } catch { throw .undecodable(error) }
    try write(writer.bytes, deadline)
  }

  /// The bytes of the last response: what its `RecordsField` slices point into.
  private(set) var lastFrame: [UInt8] = []

  private func write(_ bytes: [UInt8], _ deadline: UInt64) throws(ClientError) {
    var sent = 0
    while sent < bytes.count {
      do throws(Errno) {
        let outcome = try bytes.withRawBytes { raw throws(Errno) in
          try TCPSocket.send(socket, UnsafeRawBufferPointer(rebasing: raw[sent...]))
        }
        if case .bytes(let count) = outcome {
          sent += count
          continue
        }
      } catch { throw .connection(address: address, error) }
      try wait(.writable, deadline)
    }
  }

  private func read(_ count: Int, _ deadline: UInt64) throws(ClientError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let outcome: Result<Transfer, Errno> = bytes.withUnsafeMutableBytes { raw in
        Result { () throws(Errno) in
          try TCPSocket.receive(socket, into: UnsafeMutableRawBufferPointer(rebasing: raw[done...]))
        }
      }
      switch outcome {
      case .success(.bytes(0)): throw .closed(address: address)
      case .success(.bytes(let more)): done += more
      case .success(.wouldBlock): try wait(.readable, deadline)
      case .failure(let error): throw .connection(address: address, error)
      }
    }
    return bytes
  }

  private func wait(_ readiness: Readiness, _ deadline: UInt64) throws(ClientError) {
    var deadline = deadline
    while true {
      let now = Clock.monotonicNs()
      if interruption?.isRequested == true {
        deadline = min(deadline, now + UInt64(Self.graceMs) * 1_000_000)
      }
      guard deadline > now else {
        if interruption?.isRequested == true { throw .interrupted }
        throw .timedOut(address: address, afterMs: Self.answerMs)
      }
      let timeoutMs = Int32(clamping: (deadline - now) / 1_000_000 + 1)
      // A signal wakes the wait for an answer; a request that is half written is finished first.
      var descriptors = [socket.rawValue]
      if let interruption, !interruption.isRequested, readiness == .readable {
        descriptors.append(interruption.descriptor)
      }
      if Poll.waitAny(descriptors, readiness, timeoutMs: timeoutMs) == 0 { return }
    }
  }

  private static func connect(_ address: String) throws(ClientError) -> OwnedFD {
    let (host, port) = try hostAndPort(address)
    let candidates: [SocketAddress]
    do { candidates = try SocketAddress.resolve(host: host, port: port) } catch {
      throw .noSuchHost(host)
    }
    var last = Errno(EADDRNOTAVAIL, "connect", address)
    for candidate in candidates {
      do throws(Errno) {
        let socket = try TCPSocket.connect(candidate)
        guard Poll.wait(socket, .writable, timeoutMs: Int32(connectMs)) else {
          throw Errno(ETIMEDOUT, "connect", address)
        }
        if let error = try TCPSocket.connectError(socket) { throw error }
        try TCPSocket.setNoDelay(socket)
        return socket
      } catch { last = error }
    }
    throw .connection(address: address, last)
  }

  /// `HOST:PORT`, `[IPv6]:PORT`, or a host alone with Kafka's port.
  static func hostAndPort(_ address: String) throws(ClientError) -> (host: String, port: UInt16) {
    let standardPort: UInt16 = 9092
    if address.hasPrefix("["), let end = address.firstIndex(of: "]") {
      let host = String(address[address.index(after: address.startIndex)..<end])
      let rest = address[address.index(after: end)...]
      if rest.isEmpty { return (host, standardPort) }
      guard rest.hasPrefix(":"), let port = UInt16(rest.dropFirst()), port > 0, !host.isEmpty
      else { throw .badAddress(address) }
      return (host, port)
    }
    let parts = address.split(separator: ":", omittingEmptySubsequences: false)
    guard let host = parts.first, !host.isEmpty, parts.count <= 2 else {
      throw .badAddress(address)
    }
    if parts.count == 1 { return (String(host), standardPort) }
    guard let port = UInt16(parts[1]), port > 0 else { throw .badAddress(address) }
    return (String(host), port)
  }
}
