// The disk below a log under test: does what it is asked, on a file system in memory, and writes down
// every change and every sync in order, for `DiskModel`.

import Glibc
import Linux

@testable import Storage

final class RecordingDevice: LogDevice {
  /// What has happened since the last `take`.
  private(set) var changes: [DiskChange] = []
  /// Syncs of these files and directories report success and are none: to see that it is noticed.
  var lies: (String) -> Bool = { _ in false }
  private let root: String
  private var inodes: [String: Int]
  private var paths: [Int: String]
  private var nextInode = DiskModel.root + 1
  private var opened: [Int32: Int] = [:]

  /// - Parameter root: everything below is recorded; it is there already.
  init(root: String) {
    self.root = root
    inodes = [root: DiskModel.root]
    paths = [DiskModel.root: root]
  }

  func take() -> [DiskChange] {
    defer { changes = [] }
    return changes
  }

  private func split(_ path: String) -> (directory: Int, name: String) {
    guard let slash = path.lastIndex(of: "/"), let parent = inodes[String(path[..<slash])] else {
      preconditionFailure("\(path) is outside of what is recorded")
    }
    return (parent, String(path[path.index(after: slash)...]))
  }

  private func link(_ path: String, isDirectory: Bool) {
    let (directory, name) = split(path)
    inodes[path] = nextInode
    paths[nextInode] = path
    changes.append(
      .link(directory: directory, name: name, inode: nextInode, isDirectory: isDirectory))
    nextInode += 1
  }

  override func open(_ path: String, _ mode: OpenMode) throws(Errno) -> OwnedFD {
    let wasThere = inodes[path] != nil
    let size = wasThere && mode.contains(.truncate) ? try File.status(path).size : 0
    let descriptor = try super.open(path, mode)
    if !wasThere { link(path, isDirectory: mode.contains(.directory)) }
    if let inode = inodes[path] {
      opened[descriptor.rawValue] = inode
      if size > 0 { changes.append(.truncate(inode: inode, size: 0)) }
    }
    return descriptor
  }

  override func openUnnamed(in directory: String) throws(Errno) -> OwnedFD {
    let descriptor = try super.openUnnamed(in: directory)
    opened[descriptor.rawValue] = nextInode
    changes.append(.create(inode: nextInode))
    nextInode += 1
    return descriptor
  }

  override func link(_ fd: borrowing OwnedFD, to path: String) throws(Errno) {
    try super.link(fd, to: path)
    let inode = inode(fd.rawValue)
    let (directory, name) = split(path)
    inodes[path] = inode
    paths[inode] = path
    changes.append(.link(directory: directory, name: name, inode: inode, isDirectory: false))
  }

  private func inode(_ descriptor: Int32) -> Int {
    guard let inode = opened[descriptor] else { preconditionFailure("not opened here") }
    return inode
  }

  override func write(
    _ fd: borrowing OwnedFD, _ vectors: UnsafeBufferPointer<iovec>, at offset: Int64
  ) throws(Errno) -> Int {
    let bytes = vectors.flatMap {
      Array(UnsafeRawBufferPointer(start: $0.iov_base, count: $0.iov_len))
    }
    changes.append(.write(inode: inode(fd.rawValue), offset: Int(offset), bytes: bytes))
    return try super.write(fd, vectors, at: offset)
  }

  override func write(_ fd: borrowing OwnedFD, _ bytes: UnsafeRawBufferPointer, at offset: Int64)
    throws(Errno)
  {
    changes.append(
      .write(inode: inode(fd.rawValue), offset: Int(offset), bytes: Array(bytes)))
    try super.write(fd, bytes, at: offset)
  }

  override func truncate(_ fd: borrowing OwnedFD, to size: Int64) throws(Errno) {
    changes.append(.truncate(inode: inode(fd.rawValue), size: Int(size)))
    try super.truncate(fd, to: size)
  }

  override func sync(descriptor: Int32, dataOnly: Bool) throws(Errno) {
    let inode = inode(descriptor)
    if !lies(paths[inode] ?? "") { changes.append(.sync(inode: inode)) }
  }

  override func syncFileSystem(_ fd: borrowing OwnedFD) throws(Errno) { changes.append(.syncAll) }

  override func rename(_ from: String, to: String) throws(Errno) {
    try super.rename(from, to: to)
    guard let inode = inodes[from] else { preconditionFailure("\(from) is not known") }
    let (directory, name) = split(from)
    let (target, newName) = split(to)
    changes.append(
      .rename(from: directory, name: name, to: target, newName: newName, inode: inode))
    for (path, inode) in inodes where path == from || path.hasPrefix(from + "/") {
      let moved = to + path.dropFirst(from.count)
      inodes[path] = nil
      inodes[moved] = inode
      paths[inode] = moved
    }
  }

  override func remove(_ path: String) throws(Errno) {
    if inodes.removeValue(forKey: path) != nil {
      let (directory, name) = split(path)
      changes.append(.unlink(directory: directory, name: name))
    }
    try super.remove(path)
  }

  override func makeDirectory(_ path: String) throws(Errno) -> Bool {
    let isNew = try super.makeDirectory(path)
    if isNew { link(path, isDirectory: true) }
    return isNew
  }

  override func removeDirectory(_ path: String) throws(Errno) {
    try super.removeDirectory(path)
    inodes[path] = nil
    let (directory, name) = split(path)
    changes.append(.unlink(directory: directory, name: name))
  }
}

/// Syncs when the test says so, in any order.
final class ManualSyncExecutor: SyncExecutor {
  private let device: LogDevice
  private var begun: [(token: UInt32, descriptor: Int32, dataOnly: Bool)] = []
  private var done: [(UInt32, Int32)] = []

  init(_ device: LogDevice) { self.device = device }

  var begunCount: Int { begun.count }

  func begin(_ token: UInt32, descriptor: Int32, dataOnly: Bool) {
    begun.append((token, descriptor, dataOnly))
  }

  /// Makes one of the syncs that were asked for.
  func perform(_ index: Int) {
    let call = begun.remove(at: index)
    do throws(Errno) {
      try device.sync(descriptor: call.descriptor, dataOnly: call.dataOnly)
      done.append((call.token, 0))
    } catch { done.append((call.token, error.code)) }
  }

  func takeDone(_ body: (UInt32, Int32) -> Void) {
    while !done.isEmpty {
      let (token, code) = done.removeFirst()
      body(token, code)
    }
  }

  func wait() {
    if begunCount > 0 { perform(0) }
  }

  func end() {
    begun = []
    done = []
  }
}
