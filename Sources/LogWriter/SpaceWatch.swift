// When to ask for the room on the disks again: once a second while records are appended, and earlier
// when so much has been appended that little may be left. An idle broker does not ask. A pure value.

struct SpaceWatch {
  private var nextNs: UInt64 = 0
  private var bytesBefore: UInt64 = 0
  /// Bytes that may be appended before the next look.
  private var budget: UInt64 = 0

  private static let intervalNs: UInt64 = 1_000_000_000
  private static let budgetMin: Int64 = 1 << 20

  /// - Parameter bytesTaken: bytes appended since the start, and set aside to be.
  @inline(__always)
  func isDue(nowNs: UInt64, bytesTaken: UInt64) -> Bool {
    nowNs >= nextNs || bytesTaken &- bytesBefore >= budget
  }

  /// - Parameter room: bytes that may be appended to the fullest disk until it is low.
  mutating func checked(nowNs: UInt64, bytesTaken: UInt64, room: Int64) {
    nextNs = nowNs + Self.intervalNs
    bytesBefore = bytesTaken
    budget = UInt64(max(Self.budgetMin, room / 2))
  }
}
