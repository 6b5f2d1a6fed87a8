// Where each key was seen last: the map of one cleaning (Kafka's SkimpyOffsetMap). A table of fixed
// size with open addressing, allocated for one order and given back with it: an idle cleaner has
// none.
//
//   16 bytes  hash of the key
//    8 bytes  offset + 1; 0: the entry is free
//
// Memory is what `log.cleaner.dedupe.buffer.size` allows, or less when there are fewer records to
// come. A table that is full to its load factor takes no more keys, and the log is cleaned as far as
// it reaches.
//
// Nearly every access misses the caches, and with small pages the translation of its address, too:
// the memory is asked for in huge pages, and `hash` begins to load the entry that is used later.

import CLinux
import Glibc

final class OffsetMap {
  static let entrySize = 24

  private let entries: UnsafeMutableRawPointer
  private let slots: Int
  /// How many keys it takes.
  let countMax: Int
  private(set) var count = 0
  /// What lies above is not in the map. -1: nothing is.
  var latestOffset: Int64 = -1
  private let hasher: KeyHasher

  /// - Parameters:
  ///   - bytesMax: memory for entries.
  ///   - loadFactor: how full it may become, above 0 and at most 1.
  ///   - recordsMax: how many keys can come at all.
  /// - Returns: nil when the system has no memory for it.
  init?(bytesMax: Int, loadFactor: Double, recordsMax: Int64, hasher: KeyHasher = KeyHasher()) {
    let limit = max(2, bytesMax / Self.entrySize)
    let wanted = Int(clamping: Int64(min(Double(limit), Double(recordsMax) / loadFactor + 2)))
    slots = max(2, min(limit, wanted))
    countMax = min(slots - 1, max(1, Int(Double(slots) * loadFactor)))
    // Zeros, in pages that are made when they are touched first.
    guard
      let memory = mmap(
        nil, slots * Self.entrySize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      memory != MAP_FAILED
    else { return nil }
    // As it is, if the system has no huge pages.
    _ = madvise(memory, slots * Self.entrySize, Int32(MADV_HUGEPAGE))
    entries = memory
    self.hasher = hasher
  }

  deinit { munmap(entries, byteCount) }

  var isFull: Bool { count >= countMax }
  /// Bytes of the table.
  var byteCount: Int { slots * Self.entrySize }

  /// What stands for `key` here. Its entry is being loaded when this returns: look at it when a few
  /// others were asked for.
  func hash(_ key: UnsafeRawBufferPointer) -> KeyHash {
    let hash = hasher.hash(key)
    clinux_prefetch(entries + slot(hash) * Self.entrySize)
    return hash
  }

  /// Notes that a key is at `offset`; the last one counts. There must be room.
  func put(_ hash: KeyHash, _ offset: Int64) {
    precondition(!isFull, "no room for a key")
    let entry = find(hash)
    if entry.load(fromByteOffset: 16, as: Int64.self) == 0 {
      entry.storeBytes(of: hash.low, as: UInt64.self)
      entry.storeBytes(of: hash.high, toByteOffset: 8, as: UInt64.self)
      count += 1
    }
    entry.storeBytes(of: offset + 1, toByteOffset: 16, as: Int64.self)
  }

  /// Where a key was seen last, -1 if nowhere.
  func offset(of hash: KeyHash) -> Int64 {
    find(hash).load(fromByteOffset: 16, as: Int64.self) - 1
  }

  @inline(__always)
  private func slot(_ hash: KeyHash) -> Int {
    Int(truncatingIfNeeded: hash.low.multipliedFullWidth(by: UInt64(slots)).high)
  }

  /// The entry of a hash, or the free one where it would be.
  @inline(__always)
  private func find(_ hash: KeyHash) -> UnsafeMutableRawPointer {
    var slot = slot(hash)
    while true {
      let entry = entries + slot * Self.entrySize
      if entry.load(fromByteOffset: 16, as: Int64.self) == 0 { return entry }
      if entry.load(as: UInt64.self) == hash.low,
        entry.load(fromByteOffset: 8, as: UInt64.self) == hash.high
      {
        return entry
      }
      slot += 1
      if slot == slots { slot = 0 }
    }
  }
}
