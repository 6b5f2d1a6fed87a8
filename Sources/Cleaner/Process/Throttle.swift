// `log.cleaner.io.max.bytes.per.second`: how long to rest after so many bytes. A pure value; what was
// not used in a while is not saved up.

struct Throttle {
  private let bytesPerSecond: Double?
  /// Until when the bytes moved so far are paid for, ns.
  private var paidNs: UInt64 = 0

  /// - Parameter bytesPerSecond: nil is no limit.
  init(bytesPerSecond: Double?) { self.bytesPerSecond = bytesPerSecond }

  /// Counts bytes that have just been moved.
  /// - Returns: how long to rest, ms.
  mutating func restMs(after bytes: Int64, nowNs: UInt64) -> Int64 {
    guard let bytesPerSecond, bytes > 0 else { return 0 }
    let costNs = UInt64(min(Double(bytes) / bytesPerSecond * 1e9, 1e15))
    paidNs = max(paidNs, nowNs) + costNs
    return Int64((paidNs - nowNs) / 1_000_000)
  }
}
