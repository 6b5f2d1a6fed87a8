// memfds and mappings. A mapping is unmapped by its owner's end; a memfd that leaves its maker is
// sealed first, so that a receiver cannot be hit by SIGBUS through a later shrink.

import CLinux
import Glibc

/// How far a memfd is sealed (memfd_create(2), fcntl(2) F_ADD_SEALS).
public enum Sealing: Sendable {
  /// Its size is fixed for ever, its contents may change: shared memory.
  case size
  /// As `size`, and only mappings made before can write: shared memory with one writer.
  case sizeAndWrites
  /// Nothing can change any more: a message body.
  case everything
}

extension Sealing {
  fileprivate var bits: Int32 {
    switch self {
    case .size: clinux_seals_size
    case .sizeAndWrites: clinux_seals_size_and_writes
    case .everything: clinux_seals_all
    }
  }
}

public enum MemoryFile {
  /// A new memfd of `size` zero bytes whose size is sealed.
  public static func shared(name: String, size: Int) throws(Errno) -> OwnedFD {
    let file = try unsealed(name: name, size: size)
    try seal(file, .size)
    return file
  }

  /// A new memfd of `size` zero bytes, not sealed yet: map it, then `seal` it before it leaves.
  public static func unsealed(name: String, size: Int) throws(Errno) -> OwnedFD {
    let file = try create(name)
    try setSize(file, size)
    return file
  }

  /// A new memfd without contents: write to it, then `seal` it before it leaves.
  public static func empty(name: String) throws(Errno) -> OwnedFD { try create(name) }

  /// A memfd that holds `contents` and can never change.
  public static func sealed(name: String, contents: [UInt8]) throws(Errno) -> OwnedFD {
    let file = try create(name)
    try File.writeAll(contents, to: file)
    try seal(file, .everything)
    return file
  }

  /// Whether all seals that `sealing` promises are on the descriptor's file.
  public static func isSealed(_ fd: borrowing OwnedFD, _ sealing: Sealing) -> Bool {
    let seals = clinux_fcntl_int(fd.rawValue, clinux_f_get_seals, 0)
    let wanted = sealing.bits
    return seals >= 0 && seals & wanted == wanted
  }

  private static func create(_ name: String) throws(Errno) -> OwnedFD {
    OwnedFD(
      taking: try retrying("memfd_create", name) {
        clinux_memfd_create(name, clinux_memfd_flags)
      })
  }

  private static func setSize(_ fd: borrowing OwnedFD, _ size: Int) throws(Errno) {
    let number = fd.rawValue
    _ = try retrying("ftruncate") { ftruncate(number, size) }
  }

  /// Seals a memfd for ever; no other seal can be added afterwards.
  public static func seal(_ fd: borrowing OwnedFD, _ sealing: Sealing) throws(Errno) {
    let number = fd.rawValue
    let seals = sealing.bits
    _ = try retrying("fcntl(F_ADD_SEALS)") {
      clinux_fcntl_int(number, clinux_f_add_seals, seals)
    }
  }
}

/// A shared mapping of a descriptor, unmapped at the end of its owner.
public struct Mapping: ~Copyable {
  @usableFromInline let start: UnsafeMutableRawPointer
  /// Length in bytes.
  public let count: Int
  public let isWritable: Bool

  /// Maps the first `count` bytes (more than 0) of `fd`.
  public init(_ fd: borrowing OwnedFD, count: Int, writable: Bool) throws(Errno) {
    precondition(count > 0, "an empty mapping")
    let protection = writable ? PROT_READ | PROT_WRITE : PROT_READ
    guard
      let address = mmap(nil, count, protection, MAP_SHARED, fd.rawValue, 0), address != MAP_FAILED
    else { throw Errno(errno, "mmap") }
    start = address
    self.count = count
    isWritable = writable
  }

  deinit { munmap(start, count) }

  /// The mapped bytes. They may change at any time when another process maps them writable.
  @inlinable public var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: start, count: count)
  }

  /// The mapped bytes, for the side that writes.
  @inlinable public var mutableBytes: UnsafeMutableRawBufferPointer {
    precondition(isWritable, "the mapping is read-only")
    return UnsafeMutableRawBufferPointer(start: start, count: count)
  }
}

/// Atomic access to fields of shared memory. Addresses must be aligned to the size of the value.
public enum SharedWord {
  @inlinable public static func load32(_ p: UnsafeRawPointer) -> UInt32 { clinux_load32(p) }
  @inlinable public static func store32(_ p: UnsafeMutableRawPointer, _ v: UInt32) {
    clinux_store32(p, v)
  }
  @inlinable public static func relaxed64(_ p: UnsafeRawPointer) -> UInt64 { clinux_relaxed64(p) }
  @inlinable public static func storeRelaxed64(_ p: UnsafeMutableRawPointer, _ v: UInt64) {
    clinux_store_relaxed64(p, v)
  }
  @inlinable public static func exchange32(_ p: UnsafeMutableRawPointer, _ v: UInt32) -> UInt32 {
    clinux_exchange32(p, v)
  }
  @inlinable public static func fenceAcquire() { clinux_fence_acquire() }
  @inlinable public static func fenceRelease() { clinux_fence_release() }
  /// A full barrier: what was stored before is visible before what is loaded after.
  @inlinable public static func fence() { clinux_fence() }
}
