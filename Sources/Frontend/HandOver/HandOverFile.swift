// The file that a frontend leaves for the process that comes after it: a sealed memfd with the state of
// every connection, in the order of their sockets in the parcel. Little-endian; a string has its
// length as u16 before it, bytes have theirs as u32.
//
//   magic "SLUICEHO" (8 bytes) | version u16 (1) | connections u32, then of each connection
//     listener string | peer string | client id string
//     requests u64 | bytes in u64 | bytes out u64 | forwarded u64 | accounted u64 | idle ms u64
//     fetcher u32 | unsent bytes | received bytes                      (see `ConnectionState`)
//
// The file never outlives a boot and is read by one process, once. A process reads the version that it
// writes. After an upgrade, or a downgrade, that changed the version, what came is not understood: the
// connections are closed with a log line and their clients connect again, as after any restart
// without a hand-over. Whoever raises the version decides whether the one before is still read; it is
// worth it, for then the upgrade keeps the connections.
//
// Nothing is believed: not the seals, not the counts, not that the sockets are the ones described.

import IPC
import Linux

enum HandOverFile {
  static let magic: UInt64 = 0x4F48_4543_4955_4C53
  static let version: UInt16 = 1
  /// Bytes of the smallest connection.
  private static let connectionSizeMin = 66

  /// Writes a file. Only one connection at a time is held in memory.
  /// - Parameter state: describes connection number N, from 0.
  static func write(count: Int, _ state: (Int) -> ConnectionState) throws(Errno) -> OwnedFD {
    let file = try MemoryFile.empty(name: "sluice-connections")
    var writer = MessageWriter()
    writer.put(magic)
    writer.put(version)
    writer.put(UInt32(count))
    var position: Int64 = 0
    for number in 0..<count {
      encode(state(number), into: &writer)
      if writer.bytes.count >= 64 << 10 || number == count - 1 {
        try append(writer.bytes, to: file, &position)
        writer.removeAll()
      }
    }
    if count == 0 { try append(writer.bytes, to: file, &position) }
    try MemoryFile.seal(file, .everything)
    return file
  }

  /// Reads a file that came.
  static func read(_ file: borrowing OwnedFD) throws(MessageError) -> [ConnectionState] {
    guard MemoryFile.isSealed(file, .everything) else { throw MessageError("it is not sealed") }
    guard let status = try? File.status(file), status.size > 0 else {
      throw MessageError("it is empty")
    }
    let mapping: Mapping
    do throws(Errno) {
      mapping = try Mapping(file, count: Int(status.size), writable: false)
    } catch { throw MessageError("it cannot be mapped: \(error)") }
    return try decode(mapping.bytes)
  }

  static func decode(_ bytes: UnsafeRawBufferPointer) throws(MessageError) -> [ConnectionState] {
    var reader = MessageReader(bytes)
    guard try reader.integer(UInt64.self) == magic else { throw MessageError("wrong magic") }
    let version = try reader.integer(UInt16.self)
    guard version == self.version else {
      throw MessageError("it has version \(version), this program reads \(self.version)")
    }
    let states = try reader.list(minimumSize: connectionSizeMin) { reader throws(MessageError) in
      ConnectionState(
        listener: try reader.string(), peer: try reader.string(), clientId: try reader.string(),
        requests: try reader.integer(), bytesIn: try reader.integer(),
        bytesOut: try reader.integer(), forwardedCount: try reader.integer(),
        accountedBytes: try reader.integer(),
        idleMs: try reader.integer(), fetcher: try reader.integer(),
        unsent: try reader.byteString(), received: try reader.byteString())
    }
    try reader.end()
    return states
  }

  private static func encode(_ state: ConnectionState, into writer: inout MessageWriter) {
    writer.put(state.listener)
    writer.put(state.peer)
    writer.put(state.clientId)
    writer.put(state.requests)
    writer.put(state.bytesIn)
    writer.put(state.bytesOut)
    writer.put(state.forwardedCount)
    writer.put(state.accountedBytes)
    writer.put(state.idleMs)
    writer.put(state.fetcher)
    writer.put(bytes: state.unsent)
    writer.put(bytes: state.received)
  }

  private static func append(
    _ bytes: [UInt8], to file: borrowing OwnedFD, _ position: inout Int64
  ) throws(Errno) {
    let at = position
    try bytes.withRawBytes { raw throws(Errno) in try File.write(file, raw, at: at) }
    position += Int64(bytes.count)
  }
}
