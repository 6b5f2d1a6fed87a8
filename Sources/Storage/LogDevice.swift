// Where every change to the log's files and every fsync goes through: the place to record, fail or
// reorder them. There is one device per process; tests put their own below the log.

import Glibc
import Linux

/// The disk as the log sees it. Calls are those of `Linux.File`, made by the loop's thread alone but
/// for `sync`.
public class LogDevice {
  public init() {}

  func open(_ path: String, _ mode: OpenMode) throws(Errno) -> OwnedFD {
    try File.open(path, mode)
  }

  /// A file without a name in `directory`.
  func openUnnamed(in directory: String) throws(Errno) -> OwnedFD {
    try File.openUnnamed(in: directory)
  }

  /// Gives such a file a name that is not taken.
  func link(_ fd: borrowing OwnedFD, to path: String) throws(Errno) {
    try File.link(fd, to: path)
  }

  /// One pwritev(2); fewer bytes than asked for only when the disk takes no more.
  func write(_ fd: borrowing OwnedFD, _ vectors: UnsafeBufferPointer<iovec>, at offset: Int64)
    throws(Errno) -> Int
  {
    try File.write(fd, vectors, at: offset)
  }

  func write(_ fd: borrowing OwnedFD, _ bytes: UnsafeRawBufferPointer, at offset: Int64)
    throws(Errno)
  {
    try File.write(fd, bytes, at: offset)
  }

  func read(
    _ fd: borrowing OwnedFD, into buffer: UnsafeMutableRawBufferPointer, at offset: Int64
  ) throws(Errno) -> Int {
    try File.read(fd, into: buffer, at: offset)
  }

  func truncate(_ fd: borrowing OwnedFD, to size: Int64) throws(Errno) {
    try File.truncate(fd, to: size)
  }

  /// fdatasync(2) if `dataOnly`, else fsync(2). The only call here that is also made on helper
  /// threads, while the loop goes on: of descriptors that stay open until it has returned.
  func sync(descriptor: Int32, dataOnly: Bool) throws(Errno) {
    try File.sync(descriptor: descriptor, dataOnly: dataOnly)
  }

  func syncFileSystem(_ fd: borrowing OwnedFD) throws(Errno) { try File.syncFileSystem(fd) }

  func rename(_ from: String, to: String) throws(Errno) { try File.rename(from, to: to) }

  func remove(_ path: String) throws(Errno) { try File.remove(path) }

  func makeDirectory(_ path: String) throws(Errno) -> Bool { try File.makeDirectory(path) }

  func removeDirectory(_ path: String) throws(Errno) { try File.removeDirectory(path) }

  func space(_ path: String) throws(Errno) -> FileSystemSpace { try File.space(path) }

  func allocate(_ fd: borrowing OwnedFD, count: Int64) throws(Errno) {
    try File.allocate(fd, count: count)
  }

  func setAside(_ fd: borrowing OwnedFD, count: Int64) throws(Errno) {
    try File.setAside(fd, count: count)
  }
}

extension LogDevice {
  func syncData(_ fd: borrowing OwnedFD) throws(Errno) {
    try sync(descriptor: fd.rawValue, dataOnly: true)
  }

  func sync(_ fd: borrowing OwnedFD) throws(Errno) {
    try sync(descriptor: fd.rawValue, dataOnly: false)
  }

  /// Makes the names in a directory durable.
  func syncDirectory(_ path: String) throws(StorageError) {
    try about("sync", path) { () throws(Errno) in
      try sync(try open(path, [.readOnly, .directory]))
    }
  }

  /// A small file at once: written beside its place and renamed over it, so that a reader finds the
  /// old or the new one. If `durable`, power loss leaves the old or the new one too, and the new one
  /// once this has returned. If not, it may leave an empty file: only for what is derived, or new.
  func replace(_ path: String, with bytes: [UInt8], durable: Bool) throws(StorageError) {
    try about("write", path) { () throws(Errno) in
      let temporary = path + ".tmp"
      let file = try open(temporary, [.readWrite, .create, .truncate])
      try bytes.withRawBytes { raw throws(Errno) in try write(file, raw, at: 0) }
      if durable { try sync(file) }
      try rename(temporary, to: path)
    }
    if durable, let slash = path.lastIndex(of: "/") { try syncDirectory(String(path[..<slash])) }
  }

  /// The whole of a small file, or nil when there is none or it is empty: without an fsync, power
  /// loss may leave the name of a file without its contents.
  func contents(_ path: String) throws(StorageError) -> [UInt8]? {
    do {
      let bytes = try File.contents(path, limit: 1 << 30)
      return bytes.isEmpty ? nil : bytes
    } catch {
      if error.isNotFound { return nil }
      throw StorageError("read", path, .system(error))
    }
  }
}

extension Errno {
  var isNotFound: Bool { code == ENOENT }
  var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }
  var isUnsupported: Bool { code == EOPNOTSUPP || code == ENOSYS }
  var isTransient: Bool { code == EMFILE || code == ENFILE || code == ENOMEM }
}
