// Which parts of the slab are in use: a buddy allocator over whole pages. It hands out numbers only
// and touches no memory.
//
// Invariants: a block of 2^k units begins at a multiple of 2^k; a unit is in exactly one free block
// or in exactly one used one; two free buddies are always merged. The lowest free block of the
// smallest sufficient order is taken, so the same few pages stay warm while little is in use.

/// A run of the slab: 2^order units from `unit` on.
struct Block: Equatable {
  let unit: Int
  let order: Int

  var offset: Int { unit * BuddyAllocator.unitSize }
  var count: Int { BuddyAllocator.unitSize << order }
}

struct BuddyAllocator {
  /// Bytes of the smallest block: a page.
  static let unitSize = 4096

  let unitCount: Int
  private let orderMax: Int
  /// For each order a bitmap of free blocks; bit i stands for the block at unit i << order.
  private var free: [[UInt64]]
  private var freeCount: [Int]
  /// Below this word of a bitmap no bit is set.
  private var firstWord: [Int]
  private(set) var freeUnits: Int

  /// - Parameter size: bytes, a multiple of `unitSize` that is a power of two.
  init(size: Int) {
    precondition(size >= Self.unitSize && size & (size - 1) == 0, "a size that is no power of two")
    unitCount = size / Self.unitSize
    orderMax = unitCount.trailingZeroBitCount
    free = (0...orderMax).map {
      [UInt64](repeating: 0, count: ((size / Self.unitSize) >> $0) / 64 + 1)
    }
    freeCount = [Int](repeating: 0, count: orderMax + 1)
    firstWord = [Int](repeating: 0, count: orderMax + 1)
    freeUnits = 0
    insert(0, orderMax)
    freeUnits = unitCount
  }

  var freeBytes: Int { freeUnits * Self.unitSize }

  /// The order of the smallest block of at least `count` bytes.
  static func order(for count: Int) -> Int {
    let units = max(1, (count + unitSize - 1) / unitSize)
    return units <= 1 ? 0 : Int.bitWidth - (units - 1).leadingZeroBitCount
  }

  /// Takes a block of at least `count` bytes; nil when no run is long enough.
  mutating func allocate(_ count: Int) -> Block? {
    let wanted = Self.order(for: count)
    guard wanted <= orderMax,
      var order = (wanted...orderMax).first(where: { freeCount[$0] > 0 })
    else { return nil }
    let unit = removeLowest(order)
    while order > wanted {
      order -= 1
      insert(unit + (1 << order), order)
    }
    freeUnits -= 1 << wanted
    return Block(unit: unit, order: wanted)
  }

  /// Gives a block back that came from `allocate`.
  mutating func release(_ block: Block) {
    var unit = block.unit
    var order = block.order
    freeUnits += 1 << order
    while order < orderMax {
      let buddy = unit ^ (1 << order)
      guard isFree(buddy, order) else { break }
      remove(buddy, order)
      unit = min(unit, buddy)
      order += 1
    }
    precondition(!isFree(unit, order), "a block released twice")
    insert(unit, order)
  }

  private func isFree(_ unit: Int, _ order: Int) -> Bool {
    let bit = unit >> order
    return free[order][bit >> 6] >> UInt64(bit & 63) & 1 == 1
  }

  private mutating func insert(_ unit: Int, _ order: Int) {
    let bit = unit >> order
    free[order][bit >> 6] |= 1 << UInt64(bit & 63)
    freeCount[order] += 1
    firstWord[order] = min(firstWord[order], bit >> 6)
  }

  private mutating func remove(_ unit: Int, _ order: Int) {
    let bit = unit >> order
    free[order][bit >> 6] &= ~(1 << UInt64(bit & 63))
    freeCount[order] -= 1
  }

  private mutating func removeLowest(_ order: Int) -> Int {
    var word = firstWord[order]
    while free[order][word] == 0 { word += 1 }
    firstWord[order] = word
    let unit = (word << 6 + free[order][word].trailingZeroBitCount) << order
    remove(unit, order)
    return unit
  }
}
