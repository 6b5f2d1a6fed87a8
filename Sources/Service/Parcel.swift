// Sockets on their way from a process to the one that comes after it, all behind one descriptor: one
// end of a Unix socket pair in which datagrams wait. The kernel keeps the sockets that the datagrams
// carry open, so the supervisor's store holds one descriptor however many there are, and PID 1 has
// nothing to do for each of them. A datagram is 12 bytes, little-endian:
//
//   magic "SLUP" | kind u16 | version u16 (1) | count u32
//
//   kind 1, sockets: `count` descriptors, 1 to 253
//   kind 2, end:     the last one; `count` sockets came in all; one descriptor, a sealed memfd with
//                    what there is to say about them
//
// The parcel is given to the store while it is empty, and filled when the store has taken it. A process
// that dies in between leaves a parcel without an end, which is as good as none; one that was opened
// once is empty. The sockets in a parcel that nobody opens are closed with it.

import Glibc
import IPC
import Linux

private enum ParcelFormat {
  static let magic: UInt32 = 0x5055_4C53
  static let version: UInt16 = 1
  static let size = 12
  /// The most sockets in one parcel.
  static let socketsMax = 1 << 20

  enum Kind: UInt16 {
    case sockets = 1
    case end = 2
  }

  static func header(_ kind: Kind, count: Int) -> [UInt8] {
    var writer = MessageWriter()
    writer.put(magic)
    writer.put(kind.rawValue)
    writer.put(version)
    writer.put(UInt32(count))
    return writer.bytes
  }

  static func parse(_ bytes: UnsafeRawBufferPointer) throws(MessageError) -> (Kind, Int) {
    var reader = MessageReader(bytes)
    guard try reader.integer(UInt32.self) == magic else { throw MessageError("no parcel") }
    let number = try reader.integer(UInt16.self)
    let version = try reader.integer(UInt16.self)
    guard version == self.version else {
      throw MessageError("a parcel of version \(version), not \(self.version)")
    }
    guard let kind = Kind(rawValue: number) else { throw MessageError("no kind \(number)") }
    let count = Int(try reader.integer(UInt32.self))
    try reader.end()
    return (kind, count)
  }
}

/// A parcel that is being filled.
public final class Parcel {
  private let own: OwnedFD
  /// The end that goes into the store; ours is closed once it is there.
  private var stored: Int32
  public private(set) var count = 0

  public init() throws(Errno) {
    var ends: (Int32, Int32) = (-1, -1)
    try UnixSocket.pair().split { first, second in ends = (first.release(), second.release()) }
    own = OwnedFD(taking: ends.0)
    stored = ends.1
  }

  deinit { closeStored() }

  /// Gives the parcel to the store.
  /// - Parameter barrier: the store closes it when it has dealt with the parcel.
  /// - Returns: false when there is no store.
  public func give(to store: DescriptorStore, barrier: borrowing OwnedFD) -> Bool {
    defer { closeStored() }
    return store.keep(stored, barrier.rawValue)
  }

  /// Nobody has the other end any more: the store has not taken it (FileDescriptorStoreMax=).
  public var isRefused: Bool { Poll.wait(own, [], timeoutMs: 0) }

  /// Puts sockets in; they stay the caller's as well.
  /// - Returns: how many went in, from the front: the kernel limits how many may be on their way.
  public func add(_ sockets: [Int32]) -> Int {
    var done = 0
    while done < sockets.count {
      let some = Array(sockets[done...].prefix(UnixSocket.descriptorsMax))
      guard send(.sockets, some.count, some) else { break }
      done += some.count
    }
    count += done
    return done
  }

  /// Closes the parcel: it is complete.
  /// - Parameter state: a sealed memfd.
  /// - Returns: false when that failed: whoever opens it finds it incomplete.
  public func finish(_ state: borrowing OwnedFD) -> Bool { send(.end, count, [state.rawValue]) }

  private func send(_ kind: ParcelFormat.Kind, _ count: Int, _ descriptors: [Int32]) -> Bool {
    do throws(Errno) {
      return try ParcelFormat.header(kind, count: count).withRawBytes { raw throws(Errno) in
        try UnixSocket.send(own, raw, descriptors: descriptors)
      }
    } catch { return false }
  }

  private func closeStored() {
    guard stored >= 0 else { return }
    OwnedFD(taking: stored).close()
    stored = -1
  }
}

/// A parcel that came. Sockets that nobody takes are closed.
public final class OpenedParcel {
  private var sockets: [Int32] = []
  private var next = 0
  private var file: Int32 = -1

  /// Opens what the store had.
  /// - Throws: it is not a complete parcel; everything in it is closed.
  public init(_ stored: consuming OwnedFD) throws(MessageError) {
    do throws(Errno) { try Socket.setNonBlocking(stored) } catch { throw MessageError("\(error)") }
    while file < 0 { try takeDatagram(stored) }
  }

  deinit {
    for number in sockets[next...] { OwnedFD(taking: number).close() }
    if file >= 0 { OwnedFD(taking: file).close() }
  }

  public var count: Int { sockets.count - next }

  /// The next socket, in the order in which they were put in.
  public func takeSocket() -> OwnedFD? {
    guard next < sockets.count else { return nil }
    next += 1
    return OwnedFD(taking: sockets[next - 1])
  }

  /// The memfd with what there is to say.
  public func takeState() -> OwnedFD? {
    guard file >= 0 else { return nil }
    defer { file = -1 }
    return OwnedFD(taking: file)
  }

  private func takeDatagram(_ stored: borrowing OwnedFD) throws(MessageError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: ParcelFormat.size, alignment: 8)
    defer { buffer.deallocate() }
    let outcome: DatagramOutcome
    do throws(Errno) { outcome = try UnixSocket.receive(stored, into: buffer) } catch {
      throw MessageError("\(error)")
    }
    guard case .datagram(var datagram) = consume outcome else {
      throw MessageError("the parcel has no end")
    }
    let bytes = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<datagram.count])
    let (kind, count) = try ParcelFormat.parse(bytes)
    let expected = kind == .end ? 1 : count
    guard expected > 0, datagram.descriptors.count == expected else {
      throw MessageError("\(datagram.descriptors.count) descriptors came, \(expected) announced")
    }
    switch kind {
    case .sockets:
      guard sockets.count + count <= ParcelFormat.socketsMax else {
        throw MessageError("more than \(ParcelFormat.socketsMax) sockets")
      }
      while let socket = datagram.descriptors.take() { sockets.append(socket.release()) }
    case .end:
      guard count == sockets.count else {
        throw MessageError("\(sockets.count) sockets came, \(count) announced")
      }
      file = datagram.descriptors.take()?.release() ?? -1
    }
  }
}
