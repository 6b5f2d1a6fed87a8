// The slab: the memory that a frontend receives its clients' bytes into, shared read-only with the
// logwriter. The frontend may not touch a batch between `append` and its answer; the logwriter
// believes nothing it reads there twice.

import Linux

/// The frontend's side.
public struct Slab: ~Copyable {
  /// The memfd, to be handed to the logwriter.
  public let descriptor: OwnedFD
  private let mapping: Mapping

  /// - Parameter size: in bytes. Memory is used only where bytes have been received.
  public init(size: Int) throws(Errno) {
    let file = try MemoryFile.shared(name: "sluice-slab", size: size)
    mapping = try Mapping(file, count: size, writable: true)
    descriptor = file
  }

  public var size: Int { mapping.count }

  public var bytes: UnsafeMutableRawBufferPointer { mapping.mutableBytes }

  /// Gives the memory of a range back to the kernel; the range reads as zeros afterwards.
  public borrowing func release(offset: Int, count: Int) throws(Errno) {
    try File.punchHole(descriptor, offset: Int64(offset), count: Int64(count))
  }
}

/// The logwriter's side.
public struct SlabView: ~Copyable {
  private let mapping: Mapping

  /// The largest slab that is accepted, in bytes.
  public static let sizeMax = 1 << 30

  public init(_ descriptor: borrowing OwnedFD, size: UInt64) throws(MessageError) {
    guard size > 0, size <= UInt64(Self.sizeMax), MemoryFile.isSealed(descriptor, .size),
      let status = try? File.status(descriptor), status.size == Int64(size)
    else { throw MessageError("a slab is not the announced \(size) bytes or not sealed") }
    do { mapping = try Mapping(descriptor, count: Int(size), writable: false) } catch {
      throw MessageError("a slab cannot be mapped: \(error)")
    }
  }

  /// The bytes of an entry, or nil when they are not inside the slab.
  public borrowing func bytes(offset: UInt64, length: UInt32) -> UnsafeRawBufferPointer? {
    let size = UInt64(mapping.bytes.count)
    guard offset <= size, UInt64(length) <= size - offset else { return nil }
    return UnsafeRawBufferPointer(rebasing: mapping.bytes[Int(offset)..<Int(offset) + Int(length)])
  }
}
