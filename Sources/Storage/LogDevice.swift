// Where every change to the log's files and every fsync goes through: the place to record, fail or
// reorder them. There is one device per process; tests put their own below the log.

import Glibc
import Linux

/// The disk as the log sees it. Calls are those of `Linux.File`.
public class LogDevice {
  public init() {}

  func open(_ path: String, _ mode: OpenMode) throws(Errno) -> OwnedFD {
    try File.open(path, mode)
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

  func syncData(_ fd: borrowing OwnedFD) throws(Errno) { try File.syncData(fd) }

  func sync(_ fd: borrowing OwnedFD) throws(Errno) { try File.sync(fd) }

  func syncFileSystem(_ fd: borrowing OwnedFD) throws(Errno) { try File.syncFileSystem(fd) }

  func rename(_ from: String, to: String) throws(Errno) { try File.rename(from, to: to) }

  func remove(_ path: String) throws(Errno) { try File.remove(path) }

  func makeDirectory(_ path: String) throws(Errno) -> Bool { try File.makeDirectory(path) }

  func removeDirectory(_ path: String) throws(Errno) { try File.removeDirectory(path) }
}

extension LogDevice {
  /// A small file at once: written beside its place and renamed over it, so that a reader finds the
  /// old or the new one. Survives power loss only if `durable`.
  func replace(_ path: String, with bytes: [UInt8], durable: Bool) throws(StorageError) {
    try about("write", path) { () throws(Errno) in
      let temporary = path + ".tmp"
      let file = try open(temporary, [.readWrite, .create, .truncate])
      try bytes.withRawBytes { raw throws(Errno) in try write(file, raw, at: 0) }
      if durable { try sync(file) }
      try rename(temporary, to: path)
    }
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
  var isTransient: Bool { code == EMFILE || code == ENFILE || code == ENOMEM }
}
