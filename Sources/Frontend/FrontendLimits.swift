// What the frontend takes from the configuration, and what it derives from the machine.

import Configuration
import IPC
import Service

struct FrontendLimits {
  /// `socket.request.max.bytes`.
  var requestMaxBytes = 100 << 20
  /// `max.connections`, or fewer if there are not enough descriptors.
  var connectionsMax = 10_000
  /// `max.connections.per.ip`.
  var connectionsPerIpMax = Int.max
  /// `connections.max.idle.ms`; nil: never closed for that.
  var idleMs: Int64? = 600_000
  /// `socket.send.buffer.bytes` and `socket.receive.buffer.bytes` where they are set; else the
  /// kernel sizes the buffers itself, which Kafka's default of 100 KiB would forbid.
  var sendBufferBytes: Int32?
  var receiveBufferBytes: Int32?
  var opening = OpeningRules()
  /// A power of two.
  var slabBytes = 256 << 20

  /// Descriptors for everything but clients: siblings, files, sockets on their way to fetchers.
  static let descriptorReserve = 1280
  static let slabBytesMin = 256 << 20
  /// A sibling's answer is waited for this long after its process was lost, ms.
  static let siblingWaitMs: Int64 = 30_000

  init() {}

  init(_ configuration: BrokerConfiguration, descriptorsMax: Int) throws(ServiceFailure) {
    requestMaxBytes = configuration.socketRequestMaxBytes
    let reserve = min(Self.descriptorReserve, descriptorsMax / 4)
    connectionsMax = min(configuration.maxConnections, descriptorsMax - reserve)
    opening.requestMaxBytes = requestMaxBytes
    opening.checksCompressed = configuration.sluiceCompressedRecordsCheck
    connectionsPerIpMax = configuration.maxConnectionsPerIp
    idleMs = configuration.connectionsMaxIdleMs
    if configuration.setValue(of: "socket.send.buffer.bytes") != nil {
      sendBufferBytes = configuration.socketSendBufferBytes.map { Int32(clamping: $0) }
    }
    if configuration.setValue(of: "socket.receive.buffer.bytes") != nil {
      receiveBufferBytes = configuration.socketReceiveBufferBytes.map { Int32(clamping: $0) }
    }
    slabBytes = Self.slabBytesMin
    while slabBytes < 2 * requestMaxBytes, slabBytes < SlabView.sizeMax { slabBytes *= 2 }
    guard requestMaxBytes + ReceiveBuffer.prefixSize <= slabBytes else {
      throw .configuration("socket.request.max.bytes is at most \(SlabView.sizeMax - 4) here")
    }
  }
}
