// Where the next fetch of a sequential consumer will begin: written when a response is cut at a batch
// or reaches the high watermark, so that following a log takes no search. A direct-mapped table;
// what it has forgotten is found in the index again.

struct PositionHints {
  private struct Hint {
    var segment: UInt64 = 0
    var offset: Int64 = 0
    var position: Int64 = 0
  }

  private static let capacity = 2048
  private var hints: [Hint] = Array(repeating: Hint(), count: capacity)

  /// The batch that holds `offset`, or begins right after it, begins at `position`.
  mutating func remember(_ segment: CachedSegment, offset: Int64, position: Int64) {
    hints[Self.place(segment, offset)] = Hint(
      segment: segment.number, offset: offset, position: position)
  }

  func position(_ segment: CachedSegment, offset: Int64) -> Int64? {
    let hint = hints[Self.place(segment, offset)]
    return hint.segment == segment.number && hint.offset == offset ? hint.position : nil
  }

  private static func place(_ segment: CachedSegment, _ offset: Int64) -> Int {
    let mixed = (segment.number &* 0x9E37_79B9_7F4A_7C15) ^ UInt64(bitPattern: offset)
    return Int((mixed &* 0xBF58_476D_1CE4_E5B9) >> 53)
  }
}
