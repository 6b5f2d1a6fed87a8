// <base>.txnindex: the aborted transactions whose markers lie in the segment (Kafka's
// TransactionIndex and AbortedTxn). Entries in the order of their markers, 34 bytes, big-endian:
//
//   0  2  version            0
//   2  8  producerId
//  10  8  firstOffset        of the transaction in this partition
//  18  8  lastOffset         the abort marker
//  26  8  lastStableOffset   once the marker was there
//
// No checksum. The entry is written behind its marker, before any reader hears of the marker, and is on
// disk before the recovery point that is written down passes it. A crash may leave part of an entry,
// zeros, or entries whose markers are lost: recovery keeps the entries below the point from which it
// reads batches and makes the others anew. A segment without aborted transactions need not have the
// file.

import Linux
import Model

/// An entry of the index.
struct TransactionIndexEntry: IndexEntry, Equatable {
  static let size = 34
  static let kind = LogFileKind.txnindex
  var version: Int16 = 0
  var transaction: AbortedTransaction

  init(_ transaction: AbortedTransaction) { self.transaction = transaction }

  init(_ bytes: UnsafeRawBufferPointer) {
    version = bytes.bigEndian(at: 0)
    transaction = AbortedTransaction(
      producerId: bytes.bigEndian(at: 2), firstOffset: bytes.bigEndian(at: 10),
      lastOffset: bytes.bigEndian(at: 18), lastStableOffset: bytes.bigEndian(at: 26))
  }

  func write(to bytes: UnsafeMutableRawBufferPointer) {
    bytes.setBigEndian(version, at: 0)
    bytes.setBigEndian(transaction.producerId, at: 2)
    bytes.setBigEndian(transaction.firstOffset, at: 10)
    bytes.setBigEndian(transaction.lastOffset, at: 18)
    bytes.setBigEndian(transaction.lastStableOffset, at: 26)
  }

  func follows(_ other: Self) -> Bool {
    transaction.lastOffset > other.transaction.lastOffset
      && transaction.lastStableOffset >= other.transaction.lastStableOffset
  }

  /// Whether it can be of the segment: no transaction begins with its own marker.
  func isPlausible(in baseOffset: Int64) -> Bool {
    version == 0 && transaction.firstOffset < transaction.lastOffset
      && transaction.lastOffset >= baseOffset
  }

  var isZero: Bool {
    transaction
      == AbortedTransaction(producerId: 0, firstOffset: 0, lastOffset: 0, lastStableOffset: 0)
  }
}

enum TransactionIndex {
  /// The entries of the file at `path`; none when there is no file.
  static func read(_ path: String, _ device: LogDevice) throws(StorageError)
    -> [AbortedTransaction]
  {
    guard let bytes = try device.contents(path) else { return [] }
    let size = TransactionIndexEntry.size
    let entries: [AbortedTransaction]? = bytes.withUnsafeBytes { raw in
      var entries: [AbortedTransaction] = []
      var position = 0
      while raw.count - position >= size {
        let entry = TransactionIndexEntry(
          UnsafeRawBufferPointer(rebasing: raw[position..<position + size]))
        guard entry.version == 0 else { return nil }
        entries.append(entry.transaction)
        position += size
      }
      return entries
    }
    guard let entries else {
      throw StorageError("read", path, .format("an entry has another version than 0"))
    }
    return entries
  }

  static func encode(_ transactions: [AbortedTransaction]) -> [UInt8] {
    let size = TransactionIndexEntry.size
    var bytes = [UInt8](repeating: 0, count: transactions.count * size)
    bytes.withUnsafeMutableBytes { raw in
      for (index, transaction) in transactions.enumerated() {
        let start = index * size
        TransactionIndexEntry(transaction).write(
          to: UnsafeMutableRawBufferPointer(rebasing: raw[start..<start + size]))
      }
    }
    return bytes
  }
}
