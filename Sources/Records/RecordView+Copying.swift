// Copying a record from one batch into another that keeps its base offset: as it is, or with its
// timestamp told relative to another base.

extension RecordView {
  /// Appends the record, which lies at the start of `bytes`, to `target`.
  ///
  /// - Parameters:
  ///   - bytes: what this view was parsed from.
  ///   - timestampDelta: to the base timestamp of the batch that it goes to, ms.
  public func append(
    _ bytes: UnsafeRawBufferPointer, timestampDelta: Int64, to target: inout [UInt8]
  ) throws(RecordFormatError) {
    if timestampDelta == self.timestampDelta {
      target.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[..<sizeInBytes]))
      return
    }
    var reader = RecordReader(bytes)
    _ = try reader.varint()
    let attributes = bytes[reader.position]
    try reader.skip(1)
    _ = try reader.varlong()
    let rest = UnsafeRawBufferPointer(rebasing: bytes[reader.position..<sizeInBytes])
    Varint.append(Int64(1 + Varint.size(timestampDelta) + rest.count), to: &target)
    target.append(attributes)
    Varint.append(timestampDelta, to: &target)
    target.append(contentsOf: rest)
  }
}
