// Tagged fields (KIP-482): a varint count, then for each a varint tag, a varint size and the data,
// in strictly ascending order of tags. While a tagged field is read, `end` is the end of its data,
// so that nothing in it can read further; it must be consumed exactly.

/// Where a reader is in a section of tagged fields.
public struct TagCursor: Sendable {
  var left: UInt32
  /// The tag being read, or the one before.
  var tag: UInt32?
  /// The reader's end outside the tagged field being read.
  var outerEnd: Int
}

extension WireReader {
  @inline(never)
  public mutating func beginTags() throws(WireError) -> TagCursor {
    let start = offset
    let count = try readUnsignedVarint("tagged fields")
    // A tagged field takes at least two bytes: its tag and its size.
    guard count <= remaining / 2 else {
      throw WireError(.countExceedsBytes, "tagged fields", at: start)
    }
    return TagCursor(left: count, tag: nil, outerEnd: end)
  }

  /// Enters the next tagged field and returns its tag; nil after the last.
  @inline(never)
  public mutating func nextTag(_ tags: inout TagCursor) throws(WireError) -> UInt32? {
    if tags.left == 0 { return nil }
    let start = offset
    let tag = try readUnsignedVarint("tag")
    if let previous = tags.tag, tag <= previous { throw WireError(.tagOrder, "tag", at: start) }
    let size = Int(try readUnsignedVarint("tag size"))
    guard size <= remaining else { throw failure(.truncated, "tagged field") }
    tags.left -= 1
    tags.tag = tag
    end = offset + size
    return tag
  }

  /// Leaves the tagged field, which must have been read to its end.
  @inline(never)
  public mutating func endTag(_ tags: TagCursor) throws(WireError) {
    if offset != end { throw failure(.tagSize, "tagged field") }
    end = tags.outerEnd
  }

  /// The whole of the tagged field that was entered.
  @inline(never)
  public mutating func readTaggedField(_ tags: TagCursor) -> TaggedField {
    let data = copy(WireSlice(offset: offset, count: remaining))
    offset = end
    return TaggedField(tag: tags.tag ?? 0, data: data)
  }

  @inline(never)
  public mutating func skipTaggedField(_ tags: TagCursor) {
    offset = end
  }

  /// A section of tagged fields none of which is known.
  @inline(never)
  public mutating func readTaggedFields() throws(WireError) -> [TaggedField] {
    var tags = try beginTags()
    if tags.left == 0 { return [] }
    var fields: [TaggedField] = []
    while try nextTag(&tags) != nil {
      fields.append(readTaggedField(tags))
      try endTag(tags)
    }
    return fields
  }

  @inline(never)
  public mutating func skipTaggedFields() throws(WireError) {
    var tags = try beginTags()
    while try nextTag(&tags) != nil {
      skipTaggedField(tags)
      try endTag(tags)
    }
  }
}
