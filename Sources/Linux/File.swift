// Regular files and directories, each call once. Paths are passed as given; every descriptor is
// close-on-exec.

import CLinux
import Glibc

/// Flags for `File.open`.
public struct OpenMode: OptionSet, Sendable {
  public let rawValue: Int32
  public init(rawValue: Int32) { self.rawValue = rawValue }
  public static let readOnly = OpenMode(rawValue: O_RDONLY)
  public static let readWrite = OpenMode(rawValue: O_RDWR)
  public static let create = OpenMode(rawValue: O_CREAT)
  public static let exclusive = OpenMode(rawValue: O_EXCL)
  public static let truncate = OpenMode(rawValue: O_TRUNC)
  public static let directory = OpenMode(rawValue: clinux_o_directory)
}

/// What stat(2) says of a file.
public struct FileStatus: Sendable {
  /// Size in bytes.
  public let size: Int64
  /// Bytes that it takes on the disk.
  public let allocatedBytes: Int64
  /// Time of the last change, milliseconds since 1970.
  public let modifiedMs: Int64
  public let isDirectory: Bool
  public let inode: UInt64
}

public enum File {
  public static func open(_ path: String, _ mode: OpenMode, permissions: UInt32 = 0o640)
    throws(Errno) -> OwnedFD
  {
    OwnedFD(
      taking: try retrying("open", path) {
        clinux_open(path, mode.rawValue | O_CLOEXEC, permissions)
      })
  }

  public static func status(_ path: String) throws(Errno) -> FileStatus {
    var raw = stat()
    _ = try retrying("stat", path) { stat(path, &raw) }
    return FileStatus(raw)
  }

  public static func status(_ fd: borrowing OwnedFD) throws(Errno) -> FileStatus {
    var raw = stat()
    let number = fd.rawValue
    _ = try retrying("fstat") { fstat(number, &raw) }
    return FileStatus(raw)
  }

  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Reads up to `buffer.count` bytes at `offset`; fewer only at the end of the file.
  /// - Returns: how many bytes were read.
  public static func read(
    _ fd: borrowing OwnedFD, into buffer: UnsafeMutableRawBufferPointer, at offset: Int64
  ) throws(Errno) -> Int {
    let number = fd.rawValue
    var done = 0
    while done < buffer.count {
      let count = try retrying("pread") {
        pread(number, buffer.baseAddress.map { $0 + done }, buffer.count - done, Int(offset) + done)
      }
      if count == 0 { break }
      done += count
    }
    return done
  }

  /// Writes all of `bytes` at `offset`.
  public static func write(
    _ fd: borrowing OwnedFD, _ bytes: UnsafeRawBufferPointer, at offset: Int64
  ) throws(Errno) {
    let number = fd.rawValue
    var done = 0
    while done < bytes.count {
      done += try retrying("pwrite") {
        pwrite(number, bytes.baseAddress.map { $0 + done }, bytes.count - done, Int(offset) + done)
      }
    }
  }

  /// One pwritev(2).
  /// - Returns: how many bytes were written, which may be fewer than all.
  public static func write(
    _ fd: borrowing OwnedFD, _ vectors: UnsafeBufferPointer<iovec>, at offset: Int64
  ) throws(Errno) -> Int {
    let number = fd.rawValue
    return try retrying("pwritev") {
      pwritev(number, vectors.baseAddress, Int32(vectors.count), Int(offset))
    }
  }

  public static func truncate(_ fd: borrowing OwnedFD, to size: Int64) throws(Errno) {
    let number = fd.rawValue
    _ = try retrying("ftruncate") { ftruncate(number, Int(size)) }
  }

  /// fsync(2): data and metadata.
  public static func sync(_ fd: borrowing OwnedFD) throws(Errno) {
    let number = fd.rawValue
    _ = try retrying("fsync") { fsync(number) }
  }

  /// fdatasync(2): data and what is needed to read it back.
  public static func syncData(_ fd: borrowing OwnedFD) throws(Errno) {
    let number = fd.rawValue
    _ = try retrying("fdatasync") { fdatasync(number) }
  }

  /// fsync(2), or fdatasync(2) if `dataOnly`, of a descriptor that somebody else owns meanwhile.
  public static func sync(descriptor: Int32, dataOnly: Bool) throws(Errno) {
    if dataOnly {
      _ = try retrying("fdatasync") { fdatasync(descriptor) }
    } else {
      _ = try retrying("fsync") { fsync(descriptor) }
    }
  }

  /// Has the system begin to write a part of the file to the disk, and does not wait for it
  /// (sync_file_range(2)): what is synced afterwards has less to wait for. Promises nothing.
  public static func beginWriteback(_ fd: borrowing OwnedFD, at offset: Int64, count: Int64) {
    _ = clinux_begin_writeback(fd.rawValue, Int(offset), Int(count))
  }

  /// syncfs(2): everything that was written to the file system of `fd`, in one go.
  public static func syncFileSystem(_ fd: borrowing OwnedFD) throws(Errno) {
    let number = fd.rawValue
    _ = try retrying("syncfs") { clinux_syncfs(number) }
  }

  /// Locks the whole file for this open file, against record locks of any process (fcntl(2)).
  /// - Returns: false when someone else holds it.
  public static func lock(_ fd: borrowing OwnedFD) throws(Errno) -> Bool {
    let number = fd.rawValue
    do {
      _ = try retrying("fcntl(F_OFD_SETLK)") { clinux_lock_file(number) }
      return true
    } catch {
      if error.code == EAGAIN || error.code == EACCES { return false }
      throw error
    }
  }

  /// Gives up what `lock` took, for every copy of the descriptor.
  public static func unlock(_ fd: borrowing OwnedFD) { _ = clinux_unlock_file(fd.rawValue) }

  /// Makes the names in a directory durable.
  public static func syncDirectory(_ path: String) throws(Errno) {
    let directory = try open(path, [.readOnly, .directory])
    try sync(directory)
  }

  /// A file in `directory` that has no name; it is gone when its last descriptor is closed, unless
  /// `link` gave it one (open(2) O_TMPFILE). EOPNOTSUPP where the file system has no such files.
  public static func openUnnamed(in directory: String, permissions: UInt32 = 0o640)
    throws(Errno) -> OwnedFD
  {
    OwnedFD(
      taking: try retrying("open(O_TMPFILE)", directory) {
        clinux_open(directory, clinux_o_tmpfile | O_RDWR | O_CLOEXEC, permissions)
      })
  }

  /// Gives a file without a name one, which must not be taken. Needs /proc.
  public static func link(_ fd: borrowing OwnedFD, to path: String) throws(Errno) {
    let file = "/proc/self/fd/\(fd.rawValue)"
    _ = try retrying("linkat", path) {
      linkat(AT_FDCWD, file, AT_FDCWD, path, Int32(AT_SYMLINK_FOLLOW))
    }
  }

  /// Sets the time of the last change, milliseconds since 1970.
  public static func setModified(_ fd: borrowing OwnedFD, _ modifiedMs: Int64) throws(Errno) {
    let number = fd.rawValue
    let time = timespec(
      tv_sec: Int(modifiedMs / 1000), tv_nsec: Int(modifiedMs % 1000) * 1_000_000)
    let times = [time, time]
    _ = try retrying("futimens") { futimens(number, times) }
  }

  /// Copies bytes from file to file without taking them through memory of ours.
  public static func copy(
    _ from: borrowing OwnedFD, at fromOffset: Int64, to: borrowing OwnedFD, at toOffset: Int64,
    count: Int64
  ) throws(Errno) {
    let (source, target) = (from.rawValue, to.rawValue)
    var done: Int64 = 0
    while done < count {
      let copied = try retrying("copy_file_range") {
        clinux_copy_file_range(
          source, fromOffset + done, target, toOffset + done, Int(count - done))
      }
      if copied == 0 { throw Errno(EIO, "copy_file_range") }
      done += Int64(copied)
    }
  }

  public static func rename(_ from: String, to: String) throws(Errno) {
    _ = try retrying("rename", "\(from) -> \(to)") { Glibc.rename(from, to) }
  }

  /// Removes a file; false when there was none.
  @discardableResult
  public static func remove(_ path: String) throws(Errno) -> Bool {
    do {
      _ = try retrying("unlink", path) { unlink(path) }
      return true
    } catch {
      if error.code == ENOENT { return false }
      throw error
    }
  }

  public static func removeDirectory(_ path: String) throws(Errno) {
    _ = try retrying("rmdir", path) { rmdir(path) }
  }

  /// Creates a directory; false when it existed.
  @discardableResult
  public static func makeDirectory(_ path: String, permissions: UInt32 = 0o750) throws(Errno)
    -> Bool
  {
    do {
      _ = try retrying("mkdir", path) { mkdir(path, permissions) }
      return true
    } catch {
      if error.code == EEXIST { return false }
      throw error
    }
  }

  /// The names in a directory, without `.` and `..`, in no order.
  public static func names(in path: String) throws(Errno) -> [String] {
    guard let directory = opendir(path) else { throw Errno(errno, "opendir", path) }
    defer { closedir(directory) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(directory) else {
        if errno != 0 { throw Errno(errno, "readdir", path) }
        return names
      }
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
        String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
  }

  /// The whole file, refused with EFBIG above `limit` bytes.
  public static func contents(_ path: String, limit: Int = 16 << 20) throws(Errno) -> [UInt8] {
    let file = try open(path, .readOnly)
    var bytes: [UInt8] = []
    // Most files here are small; those of /proc have no size.
    let size = try status(file).size
    var chunk = [UInt8](repeating: 0, count: Int(min(max(size + 1, 4096), 64 << 10)))
    while true {
      let count = try retrying("read", path) { Glibc.read(file.rawValue, &chunk, chunk.count) }
      if count == 0 { return bytes }
      if bytes.count + count > limit { throw Errno(EFBIG, "read", path) }
      bytes.append(contentsOf: chunk[..<count])
    }
  }

  /// Replaces a file atomically and durably: write beside it, fsync, rename, fsync the directory.
  public static func replace(_ path: String, with bytes: [UInt8]) throws(Errno) {
    let temporary = path + ".tmp"
    do {
      let file = try open(temporary, [.readWrite, .create, .truncate])
      try writeAll(bytes, to: file)
      try sync(file)
    }
    try rename(temporary, to: path)
    if let slash = path.lastIndex(of: "/") {
      try syncDirectory(slash == path.startIndex ? "/" : String(path[..<slash]))
    }
  }

  /// Writes `bytes` from the file's start.
  public static func writeAll(_ bytes: [UInt8], to file: borrowing OwnedFD) throws(Errno) {
    try bytes.withRawBytes { raw throws(Errno) in try write(file, raw, at: 0) }
  }

  /// Where a symbolic link points to.
  public static func target(ofLink path: String) throws(Errno) -> String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = try retrying("readlink", path) {
      buffer.withUnsafeMutableBytes { raw in
        readlink(
          path, raw.assumingMemoryBound(to: CChar.self).baseAddress.unsafelyUnwrapped, raw.count)
      }
    }
    return String(decoding: buffer[..<count], as: UTF8.self)
  }

  /// Frees the pages of a range without changing the file's size (fallocate(2) FALLOC_FL_PUNCH_HOLE).
  public static func punchHole(_ fd: borrowing OwnedFD, offset: Int64, count: Int64) throws(Errno) {
    let number = fd.rawValue
    _ = try retrying("fallocate") {
      clinux_fallocate(number, clinux_fallocate_punch_hole, Int(offset), Int(count))
    }
  }
}

extension FileStatus {
  init(_ raw: stat) {
    size = Int64(raw.st_size)
    allocatedBytes = Int64(raw.st_blocks) * 512
    modifiedMs = Int64(raw.st_mtim.tv_sec) * 1000 + Int64(raw.st_mtim.tv_nsec) / 1_000_000
    isDirectory = raw.st_mode & S_IFMT == S_IFDIR
    inode = UInt64(raw.st_ino)
  }
}
