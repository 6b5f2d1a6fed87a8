// <base>.txnindex: the aborted transactions whose markers lie in the segment (Kafka's
// TransactionIndex and AbortedTxn). Entries in the order of their markers, 34 bytes, big-endian:
//
//   0  2  version            0
//   2  8  producerId
//  10  8  firstOffset        of the transaction in this partition
//  18  8  lastOffset         the abort marker
//  26  8  lastStableOffset   once the marker was there
//
// No checksum. A crash may leave part of an entry at the end, which is not read. A segment without
// aborted transactions need not have the file.

import Linux
import Model

enum TransactionIndex {
  private static let entrySize = 34

  /// The entries of the file at `path`; none when there is no file.
  static func read(_ path: String, _ device: LogDevice) throws(StorageError)
    -> [AbortedTransaction]
  {
    guard let bytes = try device.contents(path) else { return [] }
    let entries: [AbortedTransaction]? = bytes.withUnsafeBytes { raw in
      var entries: [AbortedTransaction] = []
      var position = 0
      while raw.count - position >= entrySize {
        let version: Int16 = raw.bigEndian(at: position)
        guard version == 0 else { return nil }
        entries.append(
          AbortedTransaction(
            producerId: raw.bigEndian(at: position + 2),
            firstOffset: raw.bigEndian(at: position + 10),
            lastOffset: raw.bigEndian(at: position + 18),
            lastStableOffset: raw.bigEndian(at: position + 26)))
        position += entrySize
      }
      return entries
    }
    guard let entries else {
      throw StorageError("read", path, .format("an entry has another version than 0"))
    }
    return entries
  }

  static func encode(_ transactions: [AbortedTransaction]) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: transactions.count * entrySize)
    bytes.withUnsafeMutableBytes { raw in
      for (index, transaction) in transactions.enumerated() {
        let position = index * entrySize
        raw.setBigEndian(transaction.producerId, at: position + 2)
        raw.setBigEndian(transaction.firstOffset, at: position + 10)
        raw.setBigEndian(transaction.lastOffset, at: position + 18)
        raw.setBigEndian(transaction.lastStableOffset, at: position + 26)
      }
    }
    return bytes
  }
}
