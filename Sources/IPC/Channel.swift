// A connection to a sibling: typed messages over one SEQPACKET socket, with a queue for what the
// socket cannot take now. One datagram is one message:
//
//   kind u16 | descriptors u8 | flags u8 | length u32 | payload
//
// A payload over `inlineMax` travels as a sealed memfd instead, in front of the message's own
// descriptors (flag 1); `length` is then the memfd's size. A datagram whose size, count or seals do
// not agree with its header ends the connection: a sibling that miscounts cannot be trusted.

import CLinux
import DequeModule
import Glibc
import Linux

/// Why a channel can no longer be used.
public enum ChannelError: Error, CustomStringConvertible, Sendable {
  /// The sibling closed the connection or died.
  case closed
  /// The kernel refused.
  case system(Errno)
  /// The sibling broke a rule of the edge.
  case violation(MessageError)
  /// The sibling leaves more than `Channel.queuedBytesMax` unread.
  case stalled

  public var description: String {
    switch self {
    case .closed: "connection closed"
    case .system(let error): error.description
    case .violation(let error): "protocol violation: \(error)"
    case .stalled: "the peer does not read"
    }
  }
}

/// One end of an edge. `Out` is what this end says, `In` what it hears.
public final class Channel<Out: Message, In: Message> {
  private let socket: OwnedFD
  private var writer = MessageWriter()
  private var datagram: [UInt8] = []
  private var queue: Deque<QueuedDatagram> = []
  private var queuedBytes = 0
  private var queuedDescriptors = 0
  private let receiveBuffer: UnsafeMutableRawBufferPointer

  /// - Parameter socket: a connected SEQPACKET socket whose greetings have been exchanged.
  public init(_ socket: consuming OwnedFD) {
    self.socket = socket
    receiveBuffer = .allocate(
      byteCount: ChannelLimits.inlineMax + ChannelLimits.headerSize, alignment: 16)
  }

  deinit { receiveBuffer.deallocate() }

  /// For registration with a loop.
  public var descriptor: Int32 { socket.rawValue }

  /// Messages wait for the socket: watch for writability and call `flush`.
  public var hasQueued: Bool { !queue.isEmpty }

  /// Sends a message, or queues it when the socket is full.
  /// - Parameter descriptors: stay the caller's; queued ones are duplicated.
  public func send(_ message: Out, descriptors: [Int32] = []) throws(ChannelError) {
    precondition(
      descriptors.count == message.descriptorCount, "descriptors do not match the message")
    writer.removeAll()
    message.encode(into: &writer)
    let length = writer.bytes.count
    precondition(length <= ChannelLimits.bodyMax, "a message over the maximum")
    if length <= ChannelLimits.inlineMax {
      frame(message.kind, descriptors: descriptors.count, flags: 0, length: length)
      datagram.append(contentsOf: writer.bytes)
      try transmit(descriptors, cost: length)
    } else {
      let body = try sealedBody()
      frame(message.kind, descriptors: descriptors.count + 1, flags: 1, length: length)
      try transmit([body.rawValue] + descriptors, cost: length)
    }
  }

  /// Ends the connection in both directions: both ends see it close. For a channel that failed to
  /// send, whose owner waits for the loop to report its end.
  public func abort() { Socket.shutdownBoth(socket) }

  /// Sends what is queued as far as the socket takes it.
  public func flush() throws(ChannelError) {
    while let next = queue.first {
      let sent: Bool
      do { sent = try next.send(to: socket) } catch { throw Self.ended(error) }
      if !sent { return }
      queuedBytes -= next.cost
      queuedDescriptors -= next.descriptorCount
      queue.removeFirst()
    }
  }

  /// Hands every waiting message to `handle`, `limit` at most, so that no peer starves another.
  /// Descriptors that the handler does not take are closed.
  /// - Returns: true when more may be waiting.
  @discardableResult
  public func receive<E: Error>(
    limit: Int = 64, _ handle: (In, inout DescriptorList) throws(E) -> Void
  ) throws(ReceiveError<E>) -> Bool {
    for _ in 0..<limit {
      let outcome: DatagramOutcome
      do { outcome = try UnixSocket.receive(socket, into: receiveBuffer) } catch {
        throw .channel(Self.ended(error))
      }
      switch consume outcome {
      case .wouldBlock: return false
      case .closed: throw .channel(.closed)
      case .datagram(var received):
        let message: In
        do { message = try decode(received.count, &received.descriptors) } catch {
          throw .channel(error)
        }
        do { try handle(message, &received.descriptors) } catch { throw .handler(error) }
      }
    }
    return true
  }

  private func frame(_ kind: UInt16, descriptors: Int, flags: UInt8, length: Int) {
    datagram.removeAll(keepingCapacity: true)
    withUnsafeBytes(of: kind.littleEndian) { datagram.append(contentsOf: $0) }
    datagram.append(UInt8(descriptors))
    datagram.append(flags)
    withUnsafeBytes(of: UInt32(length).littleEndian) { datagram.append(contentsOf: $0) }
  }

  private func sealedBody() throws(ChannelError) -> OwnedFD {
    do { return try MemoryFile.sealed(name: "sluice-body", contents: writer.bytes) } catch {
      throw .system(error)
    }
  }

  /// - Parameter cost: bytes of memory that the message holds while it is queued.
  private func transmit(_ descriptors: [Int32], cost: Int) throws(ChannelError) {
    if queue.isEmpty {
      let sent: Bool
      do {
        sent = try datagram.withRawBytes { raw throws(Errno) in
          try UnixSocket.send(socket, raw, descriptors: descriptors)
        }
      } catch { throw Self.ended(error) }
      if sent { return }
    }
    // A message larger than the whole limit may wait, but alone.
    let cost = cost + ChannelLimits.headerSize
    guard
      queue.isEmpty
        || queuedBytes + cost <= ChannelLimits.queuedBytesMax
          && queuedDescriptors + descriptors.count <= ChannelLimits.queuedDescriptorsMax
    else { throw .stalled }
    do { queue.append(try QueuedDatagram(datagram, descriptors, cost: cost)) } catch {
      throw .system(error)
    }
    queuedBytes += cost
    queuedDescriptors += descriptors.count
  }

  private func decode(_ count: Int, _ descriptors: inout DescriptorList) throws(ChannelError) -> In
  {
    let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(receiveBuffer)[..<count])
    do throws(MessageError) {
      let header = try DatagramHeader(bytes)
      guard header.descriptorCount == descriptors.count else {
        throw MessageError(
          "\(descriptors.count) descriptors came, \(header.descriptorCount) announced")
      }
      if !header.isExternal {
        guard header.length == count - ChannelLimits.headerSize else {
          throw MessageError("\(count) bytes came, \(header.length) announced")
        }
        return try message(
          header.kind, UnsafeRawBufferPointer(rebasing: bytes[ChannelLimits.headerSize...]),
          descriptors.count)
      }
      guard let body = descriptors.take() else { throw MessageError("a body without descriptor") }
      let mapping = try Self.map(body, header.length)
      return try message(header.kind, mapping.bytes, descriptors.count)
    } catch { throw .violation(error) }
  }

  private func message(_ kind: UInt16, _ payload: UnsafeRawBufferPointer, _ descriptors: Int)
    throws(MessageError) -> In
  {
    var reader = MessageReader(payload)
    let message = try In(kind: kind, from: &reader)
    try reader.end()
    guard message.descriptorCount == descriptors else {
      throw MessageError("\(descriptors) descriptors with a message of \(message.descriptorCount)")
    }
    return message
  }

  private static func map(_ body: borrowing OwnedFD, _ length: Int) throws(MessageError) -> Mapping
  {
    guard MemoryFile.isSealed(body, .everything) else { throw MessageError("a body is not sealed") }
    guard length > 0, length <= ChannelLimits.bodyMax,
      let status = try? File.status(body), status.size == Int64(length),
      let mapping = try? Mapping(body, count: length, writable: false)
    else { throw MessageError("a body that is not the announced \(length) bytes") }
    return mapping
  }

  private static func ended(_ error: Errno) -> ChannelError {
    error.code == ECONNRESET || error.code == EPIPE
      ? .closed
      : error.code == EMSGSIZE ? .violation(MessageError("truncated datagram")) : .system(error)
  }
}

/// What `Channel.receive` throws: the channel's own end, or the handler's error.
public enum ReceiveError<Handler: Error>: Error {
  case channel(ChannelError)
  case handler(Handler)
}

public enum ChannelLimits {
  /// Bytes of the header of a datagram.
  public static let headerSize = 8
  /// The largest payload inside a datagram, in bytes.
  public static let inlineMax = 64 << 10
  /// The largest payload at all, in bytes: a Kafka request of the largest size and its envelope.
  public static let bodyMax = (100 << 20) + (1 << 20)
  /// Bytes that may wait for a peer that does not read, bodies in memfds included.
  public static let queuedBytesMax = 64 << 20
  /// Descriptors that may wait for it.
  public static let queuedDescriptorsMax = 1024
}

private struct DatagramHeader {
  let kind: UInt16
  let descriptorCount: Int
  let isExternal: Bool
  let length: Int

  init(_ bytes: UnsafeRawBufferPointer) throws(MessageError) {
    var reader = MessageReader(bytes)
    kind = try reader.integer()
    descriptorCount = Int(try reader.integer(UInt8.self))
    let flags = try reader.integer(UInt8.self)
    guard flags <= 1 else { throw MessageError("unknown flags \(flags)") }
    isExternal = flags == 1
    length = Int(try reader.integer(UInt32.self))
  }
}

/// A datagram that waits for its socket, with descriptors of its own.
private final class QueuedDatagram {
  let cost: Int
  private let bytes: [UInt8]
  private var descriptors: [Int32] = []

  var descriptorCount: Int { descriptors.count }

  init(_ bytes: [UInt8], _ borrowed: [Int32], cost: Int) throws(Errno) {
    self.bytes = bytes
    self.cost = cost
    for descriptor in borrowed {
      descriptors.append(try OwnedFD.duplicate(of: descriptor).release())
    }
  }

  deinit { for descriptor in descriptors { OwnedFD(taking: descriptor).close() } }

  func send(to socket: borrowing OwnedFD) throws(Errno) -> Bool {
    try bytes.withRawBytes { raw throws(Errno) in
      try UnixSocket.send(socket, raw, descriptors: descriptors)
    }
  }
}
