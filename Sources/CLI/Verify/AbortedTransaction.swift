// An entry of a transaction index; IndexDump.swift has the layout. Kafka writes one for each marker
// that aborts a transaction with records.

struct AbortedTransaction: Equatable {
  static let size = 34
  private static let version: Int16 = 0

  var producerId: Int64
  /// Of the transaction's first record; -1: not in the log any more.
  var firstOffset: Int64
  /// Of the marker.
  var lastOffset: Int64
  /// The first offset of the oldest transaction that was open then, or the one behind the marker.
  var lastStableOffset: Int64
  /// Every transaction that was open then is in the log from its beginning.
  var isAlone = true

  var isKnown: Bool { firstOffset >= 0 }

  init(
    producerId: Int64, firstOffset: Int64, lastOffset: Int64, lastStableOffset: Int64,
    isAlone: Bool = true
  ) {
    self.producerId = producerId
    self.firstOffset = firstOffset
    self.lastOffset = lastOffset
    self.lastStableOffset = lastStableOffset
    self.isAlone = isAlone
  }

  /// nil when it is of another version.
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.size, bytes.bigEndian(at: 0) as Int16 == Self.version else {
      return nil
    }
    self.init(
      producerId: bytes.bigEndian(at: 2), firstOffset: bytes.bigEndian(at: 10),
      lastOffset: bytes.bigEndian(at: 18), lastStableOffset: bytes.bigEndian(at: 26))
  }

  func append(to bytes: inout [UInt8]) {
    bytes += [0, 0]
    for value in [producerId, firstOffset, lastOffset, lastStableOffset] {
      withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }
  }
}
