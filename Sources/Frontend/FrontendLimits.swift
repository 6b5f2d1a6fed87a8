// What the frontend takes from the configuration, and what it derives from the machine.

import Configuration
import IPC
import Linux
import Service

struct FrontendLimits {
  /// `socket.request.max.bytes`, or less if the slab is smaller and nobody has set it.
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
  /// Of the slab, unless requests are larger, the memory is small, or the configuration says so.
  static let slabBytesUsual = 256 << 20
  static let slabBytesMin = 8 << 20
  /// A sibling's answer is waited for this long after its process was lost, ms.
  static let siblingWaitMs: Int64 = 30_000

  init() {}

  /// - Parameter memoryBytes: what the machine has.
  init(
    _ configuration: BrokerConfiguration, descriptorsMax: Int,
    memoryBytes: Int = CurrentProcess.machineMemoryBytes
  ) throws(ServiceFailure) {
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
    slabBytes = Self.slabBytes(configuration, memoryBytes: memoryBytes)
    requestMaxBytes = min(
      configuration.socketRequestMaxBytes, slabBytes - ReceiveBuffer.prefixSize)
    guard let wanted = configuration.setValue(of: "socket.request.max.bytes"),
      requestMaxBytes < configuration.socketRequestMaxBytes
    else { return }
    throw .configuration(
      "\(wanted.source): socket.request.max.bytes=\(wanted.text): Value must be no more than "
        + "\(requestMaxBytes): a frontend has \(slabBytes >> 20) MiB for requests "
        + "(queued.max.request.bytes, or a quarter of the machine's memory)")
  }

  private static func slabBytes(_ configuration: BrokerConfiguration, memoryBytes: Int) -> Int {
    if let queued = configuration.queuedMaxRequestBytes {
      return powerOfTwo(notAbove: min(max(queued, slabBytesMin), SlabView.sizeMax))
    }
    var wanted = slabBytesUsual
    while wanted < 2 * configuration.socketRequestMaxBytes, wanted < SlabView.sizeMax {
      wanted *= 2
    }
    return powerOfTwo(notAbove: min(wanted, max(memoryBytes / 4, slabBytesMin)))
  }

  private static func powerOfTwo(notAbove number: Int) -> Int {
    1 << (Int.bitWidth - 1 - number.leadingZeroBitCount)
  }

  /// What a frontend tells of itself at its start.
  var capacity: String {
    "\(connectionsMax) connections, and \(slabBytes >> 20) MiB of requests at once, each of at "
      + "most \(requestMaxBytes) bytes"
  }
}
