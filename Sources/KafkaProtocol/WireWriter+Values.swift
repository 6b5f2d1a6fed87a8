// Values with a length, and tagged fields. The encodings are described at their readers.

extension WireWriter {
  // MARK: Strings, bytes, records, arrays

  @inline(never)
  public mutating func writeString(
    _ value: String, compact: Bool, _ field: StaticString
  ) throws(WireError) {
    let count = value.utf8.count
    if count > WireReader.stringBytesMax { throw failure(.stringTooLong, field) }
    if compact {
      writeUnsignedVarint(UInt32(count) + 1)
    } else {
      writeInt16(Int16(count))
    }
    writeUTF8(value)
  }

  @inline(never)
  public mutating func writeNullString(compact: Bool) {
    if compact { writeUnsignedVarint(0) } else { writeInt16(-1) }
  }

  @inline(never)
  public mutating func writeBytes(
    _ value: [UInt8], compact: Bool, _ field: StaticString
  ) throws(WireError) {
    try writeArrayCount(value.count, compact: compact, field)
    writeRaw(value)
  }

  @inline(never)
  public mutating func writeNullBytes(compact: Bool) { writeNullArray(compact: compact) }

  @inline(never)
  public mutating func writeRecords(
    _ value: RecordsField, compact: Bool, _ field: StaticString
  ) throws(WireError) {
    try writeArrayCount(value.count, compact: compact, field)
    switch value {
    case .inline(let bytes): writeRaw(bytes)
    case .slice(let slice): writeGap(count: slice.count, source: slice)
    case .external(let count): writeGap(count: count)
    }
  }

  @inline(never)
  public mutating func writeArrayCount(
    _ count: Int, compact: Bool, _ field: StaticString
  ) throws(WireError) {
    guard count >= 0, count < Int(Int32.max) else { throw failure(.valueTooLong, field) }
    if compact {
      writeUnsignedVarint(UInt32(count) + 1)
    } else {
      writeInt32(Int32(count))
    }
  }

  @inline(never)
  public mutating func writeNullArray(compact: Bool) {
    if compact { writeUnsignedVarint(0) } else { writeInt32(-1) }
  }

  // MARK: Tagged fields

  /// Where a writer is in a section of tagged fields.
  public struct TagCursor: Sendable {
    /// How many of the unknown fields are written.
    var unknownWritten = 0
    var lastTag: UInt32?
    /// Where the data of the tagged field being written begins.
    var start = 0
  }

  @inline(never)
  public mutating func beginTags(count: Int) -> TagCursor {
    writeUnsignedVarint(UInt32(truncatingIfNeeded: count))
    return TagCursor()
  }

  /// Writes the unknown fields that come before `tag`, then opens the field `tag`.
  @inline(never)
  public mutating func beginTag(
    _ tag: UInt32, _ tags: inout TagCursor, after unknown: [TaggedField]
  ) throws(WireError) {
    while tags.unknownWritten < unknown.count, unknown[tags.unknownWritten].tag < tag {
      try writeUnknown(unknown, &tags)
    }
    try writeTag(tag, &tags)
    tags.start = bytes.count
  }

  @inline(never)
  public mutating func endTag(_ tags: inout TagCursor) { insertSize(at: tags.start) }

  /// Writes the unknown fields that are left.
  @inline(never)
  public mutating func endTags(
    _ tags: inout TagCursor, _ unknown: [TaggedField]
  ) throws(WireError) {
    while tags.unknownWritten < unknown.count { try writeUnknown(unknown, &tags) }
  }

  /// A section of tagged fields none of which is known. Without flexibility there must be none.
  @inline(never)
  public mutating func writeTaggedFields(
    _ unknown: [TaggedField], flexible: Bool
  ) throws(WireError) {
    guard flexible else {
      if unknown.isEmpty { return }
      throw failure(.fieldNotInVersion, "tagged fields")
    }
    var tags = beginTags(count: unknown.count)
    try endTags(&tags, unknown)
  }

  private mutating func writeUnknown(
    _ unknown: [TaggedField], _ tags: inout TagCursor
  ) throws(WireError) {
    let field = unknown[tags.unknownWritten]
    tags.unknownWritten += 1
    try writeTag(field.tag, &tags)
    guard field.data.count <= Int(Int32.max) else { throw failure(.valueTooLong, "tagged field") }
    writeUnsignedVarint(UInt32(field.data.count))
    writeRaw(field.data)
  }

  private mutating func writeTag(_ tag: UInt32, _ tags: inout TagCursor) throws(WireError) {
    if let last = tags.lastTag, tag <= last { throw failure(.tagOrder, "tag") }
    tags.lastTag = tag
    writeUnsignedVarint(tag)
  }
}
