// Going through the records of a batch, and through the batches of a run of bytes. Nothing is
// allocated; whoever wants to keep a record copies it with `Record(_:of:)`.

/// The records of one batch, in order, from its uncompressed payload.
///
/// Total: any bytes give records or one error. Yields exactly the number of records that the
/// header counts and ends with an error when bytes are left over.
public struct RecordIterator {
  private let records: UnsafeRawBufferPointer
  private var position = 0
  private var left: Int32

  /// - Parameters:
  ///   - header: the batch's header.
  ///   - records: what follows the header, decompressed; must outlive the iterator and the views.
  public init(
    header: RecordBatchHeader, records: UnsafeRawBufferPointer
  ) throws(RecordFormatError) {
    guard header.recordCount >= 0 else { throw .recordCount(header.recordCount) }
    self.records = records
    left = header.recordCount
  }

  /// The next record, or nil after the last one.
  public mutating func next() throws(RecordFormatError) -> RecordView? {
    guard left > 0 else {
      guard position == records.count else { throw .bytesLeft(records.count - position) }
      return nil
    }
    let view = try RecordView(UnsafeRawBufferPointer(rebasing: records[position...]))
    position += view.sizeInBytes
    left -= 1
    return view
  }
}

/// The batches in a run of bytes, as in a segment or in a fetch response. The bytes may end inside
/// a batch, which fetch responses do; that end is not an error.
public struct RecordBatchIterator {
  private let bytes: UnsafeRawBufferPointer
  /// Where the next batch begins; in the end, how many bytes were whole batches.
  public private(set) var position = 0

  /// - Parameter bytes: must outlive the iterator and what it yields.
  public init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// The next whole batch with its header, or nil. The checksum is not checked.
  public mutating func next() throws(RecordFormatError) -> (
    header: RecordBatchHeader, batch: UnsafeRawBufferPointer
  )? {
    let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
    guard let header = RecordBatchHeader(rest) else { return nil }
    guard header.magic == RecordBatchHeader.currentMagic else { throw .magic(header.magic) }
    guard header.sizeInBytes >= RecordBatchHeader.size else {
      throw .batchLength(header.batchLength)
    }
    guard header.sizeInBytes <= rest.count else { return nil }
    position += header.sizeInBytes
    return (header, UnsafeRawBufferPointer(rebasing: rest[..<header.sizeInBytes]))
  }
}
