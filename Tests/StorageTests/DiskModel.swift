// What a disk may hold after the power has gone, by the promises of POSIX and no others:
//
// - What fsync or fdatasync of a file has returned for is there: its bytes and its size. Of what was
//   written since, each sector may be there or not, in any order, and the size may be any that it has
//   had. A sector that was never written reads as zeros, or as what was there before a truncation.
// - A name is durable when its directory was synced. Of the changes of names since, each name may be
//   as it was at any of those moments, for itself: a rename may have happened for the new name and not
//   for the old one, though never the other way round (rename(2) loses no file). A new file may have
//   its name without its bytes, or its bytes without its name.
// - ext4 promises more (names change in order), so some of the states have them in order.
//
// A value: a copy goes on from where it was made.

import Foundation
import Linux

/// One change, or one sync that has returned.
enum DiskChange {
  /// A file without a name.
  case create(inode: Int)
  case link(directory: Int, name: String, inode: Int, isDirectory: Bool)
  case unlink(directory: Int, name: String)
  case rename(from: Int, name: String, to: Int, newName: String, inode: Int)
  case write(inode: Int, offset: Int, bytes: [UInt8])
  case truncate(inode: Int, size: Int)
  case sync(inode: Int)
  case syncAll
}

struct DiskModel {
  static let root = 0
  static let sectorSize = 512

  private enum Pending {
    case write(offset: Int, bytes: [UInt8])
    case truncate(size: Int)
  }

  private struct File {
    /// As it is on disk.
    var durable: [UInt8] = []
    var pending: [Pending] = []
  }

  private struct Directory {
    /// Names on disk.
    var durable: [String: Int] = [:]
    /// Changes since, in order: nil takes the name away.
    var pending: [(name: String, inode: Int?)] = []
    /// For each change of `pending` that is the end of a name by renaming: the change that made the
    /// new name, if that is in this directory too.
    var renamed: [Int: Int] = [:]
  }

  private var files: [Int: File] = [:]
  private var directories: [Int: Directory] = [root: Directory()]

  mutating func apply(_ change: DiskChange) {
    switch change {
    case .create(let inode): files[inode] = File()
    case .link(let directory, let name, let inode, let isDirectory):
      directories[directory]?.pending.append((name, inode))
      if isDirectory {
        directories[inode] = Directory()
      } else if files[inode] == nil {
        files[inode] = File()
      }
    case .unlink(let directory, let name): directories[directory]?.pending.append((name, nil))
    case .rename(let from, let name, let to, let newName, let inode):
      directories[to]?.pending.append((newName, inode))
      directories[from]?.pending.append((name, nil))
      if from == to, let count = directories[from]?.pending.count {
        directories[from]?.renamed[count - 1] = count - 2
      }
    case .write(let inode, let offset, let bytes):
      files[inode]?.pending.append(.write(offset: offset, bytes: bytes))
    case .truncate(let inode, let size): files[inode]?.pending.append(.truncate(size: size))
    case .sync(let inode): sync(inode)
    case .syncAll:
      for inode in files.keys { sync(inode) }
      for inode in directories.keys { sync(inode) }
    }
  }

  private mutating func sync(_ inode: Int) {
    if var file = files[inode] {
      for change in file.pending { Self.make(change, &file.durable) { _ in true } }
      file.pending = []
      files[inode] = file
    } else if var directory = directories[inode] {
      for (name, inode) in directory.pending { directory.durable[name] = inode }
      directory.pending = []
      directory.renamed = [:]
      directories[inode] = directory
    }
  }

  // MARK: After the power has gone

  /// How one crash treats what was not synced.
  enum Loss: CaseIterable {
    /// Nothing is lost: only the processes died.
    case none
    case everything
    /// Each name and each sector for itself.
    case anything
    /// Names in order, as a journal has them; sectors for themselves.
    case namesInOrder
  }

  /// Writes one of the states into a new directory.
  func write(to path: String, _ loss: Loss, _ seed: inout Seed) throws {
    try Linux.File.makeDirectory(path)
    try write(Self.root, to: path, loss, &seed)
  }

  private func write(_ inode: Int, to path: String, _ loss: Loss, _ seed: inout Seed) throws {
    guard let directory = directories[inode] else { return }
    // Not in the order of names: those of deleted partitions are random, and a seed is to repeat a run.
    let names = names(of: directory, loss, &seed)
    for (name, inode) in names.sorted(by: { ($0.value, $0.key) < ($1.value, $1.key) }) {
      let place = "\(path)/\(name)"
      if directories[inode] != nil {
        try Linux.File.makeDirectory(place)
        try write(inode, to: place, loss, &seed)
      } else if let file = files[inode] {
        let handle = try Linux.File.open(place, [.readWrite, .create, .truncate])
        try Linux.File.writeAll(contents(of: file, loss, &seed), to: handle)
      }
    }
  }

  private func names(of directory: Directory, _ loss: Loss, _ seed: inout Seed) -> [String: Int] {
    var names = directory.durable
    switch loss {
    case .everything: break
    case .none: for (name, inode) in directory.pending { names[name] = inode }
    case .namesInOrder:
      let count = seed.int(0...directory.pending.count)
      for (name, inode) in directory.pending.prefix(count) { names[name] = inode }
    case .anything:
      var last: [String: Int] = [:]
      var seen: Set<String> = []
      for (name, _) in directory.pending where seen.insert(name).inserted {
        let history = directory.pending.indices.filter { directory.pending[$0].name == name }
        let count = seed.int(0...history.count)
        if count > 0 { last[name] = history[count - 1] }
      }
      // Later changes first: what one asks for lies before it, but may ask for more.
      for (gone, made) in directory.renamed.sorted(by: { $0.key > $1.key })
      where last[directory.pending[gone].name] ?? -1 >= gone {
        let name = directory.pending[made].name
        last[name] = max(last[name] ?? -1, made)
      }
      for (name, index) in last { names[name] = directory.pending[index].inode }
    }
    return names
  }

  private func contents(of file: File, _ loss: Loss, _ seed: inout Seed) -> [UInt8] {
    if file.pending.isEmpty || loss == .everything { return file.durable }
    var bytes = file.durable
    if loss == .none {
      for change in file.pending { Self.make(change, &bytes) { _ in true } }
      return bytes
    }
    // One in three keeps a beginning of the changes, as a disk does that is merely late.
    if seed.chance(33) {
      for change in file.pending.prefix(seed.int(0...file.pending.count)) {
        Self.make(change, &bytes) { _ in true }
      }
      return bytes
    }
    var size = bytes.count
    var sizes = [size]
    let kept = seed.int(0...100)
    for change in file.pending {
      switch change {
      case .write(let offset, let data): size = max(size, offset + data.count)
      case .truncate(let cut):
        size = cut
        // What was there may come back under a later size.
        sizes.append(size)
        continue
      }
      sizes.append(size)
      Self.make(change, &bytes) { _ in seed.chance(kept) }
    }
    let chosen = sizes[seed.int(0...(sizes.count - 1))]
    if bytes.count > chosen { bytes.removeLast(bytes.count - chosen) }
    if bytes.count < chosen { bytes += [UInt8](repeating: 0, count: chosen - bytes.count) }
    return bytes
  }

  /// Makes a change to bytes; of a write only the sectors that `isKept`.
  private static func make(
    _ change: Pending, _ bytes: inout [UInt8], isKept: (Int) -> Bool
  ) {
    switch change {
    case .truncate(let size):
      if bytes.count > size { bytes.removeLast(bytes.count - size) }
      if bytes.count < size { bytes += [UInt8](repeating: 0, count: size - bytes.count) }
    case .write(let offset, let data):
      let end = offset + data.count
      if bytes.count < end { bytes += [UInt8](repeating: 0, count: end - bytes.count) }
      var from = offset
      while from < end {
        let to = min(end, (from / sectorSize + 1) * sectorSize)
        if isKept(from / sectorSize) {
          bytes.replaceSubrange(from..<to, with: data[(from - offset)..<(to - offset)])
        }
        from = to
      }
    }
  }
}
