// Records whose offset deltas are wrong, written anew with 0, 1, 2 …. Producers of today send the
// right ones; Kafka takes compressed batches with others and numbers their records itself.

/// Gives records the offset deltas that their places ask for.
public enum RecordRenumbering {
  /// The records with right offset deltas, everything else byte for byte.
  ///
  /// - Parameter records: uncompressed; they have been gone through without an error.
  public static func renumbered(
    _ records: UnsafeRawBufferPointer, count: Int32
  ) throws(RecordFormatError) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(records.count)
    var position = 0
    for index in 0..<count {
      let rest = UnsafeRawBufferPointer(rebasing: records[position...])
      var reader = RecordReader(rest)
      let length = Int(try reader.varint())
      let body = reader.position
      guard length >= 0, length <= reader.remaining else { throw .endsEarly }
      try reader.skip(1)
      _ = try reader.varlong()
      let beforeDelta = reader.position
      _ = try reader.varint()
      let afterDelta = reader.position
      let end = body + length
      guard afterDelta <= end else { throw .endsEarly }
      let delta = Int64(index)
      let size = (beforeDelta - body) + Varint.size(delta) + (end - afterDelta)
      Varint.append(Int64(size), to: &output)
      output.append(contentsOf: rest[body..<beforeDelta])
      Varint.append(delta, to: &output)
      output.append(contentsOf: rest[afterDelta..<end])
      position += end
    }
    return output
  }
}
