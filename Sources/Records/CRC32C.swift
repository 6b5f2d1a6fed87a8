// CRC-32C, the checksum of record batches (RFC 3720 appendix B.4). The work is done in CCRC32C.

import CCRC32C

/// CRC-32C over bytes in memory.
public enum CRC32C {
  /// The checksum of `bytes`, continuing from `crc`, which is the checksum of what came before.
  @inline(__always)
  public static func checksum(
    _ bytes: UnsafeRawBufferPointer, continuing crc: UInt32 = 0
  ) -> UInt32 {
    guard let base = bytes.baseAddress else { return crc }
    return sluice_crc32c(crc, base, bytes.count)
  }

  /// The checksum of a message whose first part changed, without reading the rest.
  ///
  /// - Parameters:
  ///   - crc: the checksum of the whole message before the change.
  ///   - old: the checksum of the first part before the change.
  ///   - new: the checksum of the first part after it; both parts are equally long.
  ///   - count: how many unchanged bytes follow the first part.
  public static func replacing(
    _ crc: UInt32, prefix old: UInt32, by new: UInt32, followedBy count: Int
  ) -> UInt32 {
    crc ^ sluice_crc32c_shift(old ^ new, count)
  }

  /// What computes it on this machine: `sse4.2`, `armv8` or `portable`.
  public static var implementation: String { String(cString: sluice_crc32c_path()) }
}
