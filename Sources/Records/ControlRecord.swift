// Control records: what the log itself writes between a producer's records. A control batch holds
// one record, is never compressed, and consumers skip it but count its offset.

import Model

/// The kind of a control record, from its key: int16 version, int16 type.
public enum ControlRecordType: Hashable, Sendable {
  case abort
  case commit
  /// One that only a Raft log has (2 to 6), or one that is not known.
  case other(Int16)

  /// Bytes of a key of version 0; a key of a newer version may be longer.
  private static let keySize = 4

  public init(key: UnsafeRawBufferPointer?) throws(RecordFormatError) {
    guard let key, key.count >= Self.keySize else { throw .controlRecord }
    let version: Int16 = key.bigEndian(at: 0)
    guard version >= 0 else { throw .controlRecord }
    let type: Int16 = key.bigEndian(at: 2)
    switch type {
    case 0: self = .abort
    case 1: self = .commit
    default: self = .other(type)
    }
  }
}

/// The end of a transaction in one partition (KIP-98).
///
/// Key: int16 version 0, int16 type (0 abort, 1 commit). Value: int16 version 0, int32 coordinator
/// epoch. Its batch is transactional and control, with the producer's id and epoch and no sequence.
public struct EndTransactionMarker: Hashable, Sendable {
  public var isCommit: Bool
  /// The epoch of the transaction coordinator that ended the transaction.
  public var coordinatorEpoch: Int32

  public init(isCommit: Bool, coordinatorEpoch: Int32) {
    self.isCommit = isCommit
    self.coordinatorEpoch = coordinatorEpoch
  }

  /// The marker in a record of a control batch, or nil when it is a control record of another type.
  public init?(_ record: RecordView) throws(RecordFormatError) {
    let type = try ControlRecordType(key: record.key)
    guard type == .commit || type == .abort else { return nil }
    guard let value = record.value, value.count >= 6 else { throw .controlRecord }
    let version: Int16 = value.bigEndian(at: 0)
    guard version >= 0 else { throw .controlRecord }
    self.init(isCommit: type == .commit, coordinatorEpoch: value.bigEndian(at: 2))
  }

  /// The marker in a control batch; nil when it is empty, of another type or cannot be read.
  /// - Parameter records: what follows the header.
  public init?(_ header: RecordBatchHeader, records: UnsafeRawBufferPointer) {
    guard header.isControlBatch, header.recordCount > 0, header.compression == CompressionType.none
    else { return nil }
    do throws(RecordFormatError) {
      guard let marker = try EndTransactionMarker(RecordView(records)) else { return nil }
      self = marker
    } catch { return nil }
  }

  /// The control batch that holds this marker alone.
  public func batch(
    baseOffset: Int64 = 0, timestamp: Int64, producerId: Int64, producerEpoch: Int16
  ) -> [UInt8] {
    var key = [UInt8](repeating: 0, count: 4)
    var value = [UInt8](repeating: 0, count: 6)
    key.withUnsafeMutableBytes { $0.setBigEndian(Int16(isCommit ? 1 : 0), at: 2) }
    value.withUnsafeMutableBytes { $0.setBigEndian(coordinatorEpoch, at: 2) }
    var builder = RecordBatchBuilder(baseOffset: baseOffset)
    builder.setProducer(
      id: producerId, epoch: producerEpoch, baseSequence: RecordBatchHeader.noSequence,
      isTransactional: true)
    builder.header.attributes.isControlBatch = true
    builder.append(timestamp: timestamp, key: key, value: value)
    return builder.build()
  }
}
