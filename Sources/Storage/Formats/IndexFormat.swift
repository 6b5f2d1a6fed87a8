// The two sparse indexes of a segment (Kafka's OffsetIndex and TimeIndex).
//
// <base>.index, 8 bytes an entry, big-endian:
//   0  4  relativeOffset   last offset of a batch - base offset of the segment
//   4  4  position         where that batch begins in the .log, in bytes
// Both fields increase from entry to entry. A batch gets an entry when more than
// `index.interval.bytes` of batches have been appended since the last entry, so the first batch
// never has one and no entry is all zero.
//
// <base>.timeindex, 12 bytes an entry, big-endian:
//   0  8  timestamp        greatest timestamp (ms) of the segment up to here
//   8  4  relativeOffset   last offset of the batch that has it - base offset of the segment
// Timestamps increase strictly. An entry is added together with an entry of the offset index if the
// greatest timestamp has grown, and once more when the segment is rolled or closed, so that the last
// entry of a closed segment tells its greatest timestamp.
//
// Kafka makes the files of the active segment as long as `segment.index.bytes` and cuts them when it
// rolls or closes; here they are only as long as their entries. After a crash they may end early, in
// part of an entry, or (Kafka) in zeros, and may be ahead of the .log: recovery keeps the entries
// below the point from which it reads batches and adds the others anew. Neither has a checksum: a
// lookup checks what it finds against the batch at that position.

/// An entry of an index file.
protocol IndexEntry {
  static var size: Int { get }
  static var kind: LogFileKind { get }
  init(_ bytes: UnsafeRawBufferPointer)
  func write(to bytes: UnsafeMutableRawBufferPointer)
  /// Whether it may stand behind `other`.
  func follows(_ other: Self) -> Bool
  /// What a zero-filled tail reads as.
  var isZero: Bool { get }
}

/// An entry of the offset index.
struct OffsetIndexEntry: IndexEntry, Equatable {
  static let size = 8
  static let kind = LogFileKind.index
  var relativeOffset: Int32
  var position: Int32

  init(relativeOffset: Int32, position: Int32) {
    self.relativeOffset = relativeOffset
    self.position = position
  }

  init(_ bytes: UnsafeRawBufferPointer) {
    relativeOffset = bytes.bigEndian(at: 0)
    position = bytes.bigEndian(at: 4)
  }

  func write(to bytes: UnsafeMutableRawBufferPointer) {
    bytes.setBigEndian(relativeOffset, at: 0)
    bytes.setBigEndian(position, at: 4)
  }

  func follows(_ other: Self) -> Bool {
    relativeOffset > other.relativeOffset && position > other.position
  }

  var isZero: Bool { relativeOffset == 0 && position == 0 }
}

/// An entry of the time index.
struct TimeIndexEntry: IndexEntry, Equatable {
  static let size = 12
  static let kind = LogFileKind.timeindex
  var timestamp: Int64
  var relativeOffset: Int32

  init(timestamp: Int64, relativeOffset: Int32) {
    self.timestamp = timestamp
    self.relativeOffset = relativeOffset
  }

  init(_ bytes: UnsafeRawBufferPointer) {
    timestamp = bytes.bigEndian(at: 0)
    relativeOffset = bytes.bigEndian(at: 8)
  }

  func write(to bytes: UnsafeMutableRawBufferPointer) {
    bytes.setBigEndian(timestamp, at: 0)
    bytes.setBigEndian(relativeOffset, at: 8)
  }

  func follows(_ other: Self) -> Bool {
    timestamp > other.timestamp && relativeOffset >= other.relativeOffset
  }

  var isZero: Bool { timestamp == 0 && relativeOffset == 0 }
}

extension UnsafeRawBufferPointer {
  /// The big-endian integer at `offset`, which the caller has checked to be in bounds.
  @inline(__always)
  func bigEndian<T: FixedWidthInteger>(at offset: Int) -> T {
    T(bigEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
  }
}

extension UnsafeMutableRawBufferPointer {
  @inline(__always)
  func setBigEndian<T: FixedWidthInteger>(_ value: T, at offset: Int) {
    storeBytes(of: value.bigEndian, toByteOffset: offset, as: T.self)
  }
}
