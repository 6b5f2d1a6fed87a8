// Writes the primitives of Kafka's protocol into a buffer that grows and is used again. Records
// may be left out as gaps, to be filled by whoever sends the buffer (sendfile, writev). Called by
// the generated encoders.
import Model

/// A place in the output whose bytes are elsewhere.
public struct WireGap: Sendable, Equatable {
  /// Where in `WireWriter.bytes` the missing bytes belong: before the byte at this position.
  public var position: Int
  public var count: Int
  /// Where the bytes are in the buffer that was decoded, if the value came from one.
  public var source: WireSlice?

  public init(position: Int, count: Int, source: WireSlice? = nil) {
    self.position = position
    self.count = count
    self.source = source
  }
}

public struct WireWriter: Sendable {
  /// What was written, without the gaps.
  public private(set) var bytes: [UInt8] = []
  /// In ascending order of position; none is empty.
  public private(set) var gaps: [WireGap] = []
  /// How many bytes the gaps stand for.
  public private(set) var gapBytes = 0

  public init(capacity: Int = 0) {
    bytes.reserveCapacity(capacity)
  }

  public mutating func removeAll(keepingCapacity: Bool) {
    bytes.removeAll(keepingCapacity: keepingCapacity)
    gaps.removeAll(keepingCapacity: keepingCapacity)
    gapBytes = 0
  }

  /// Bytes written so far, gaps included: what the receiver will see.
  public var count: Int { bytes.count + gapBytes }

  /// Passes what was written, without the gaps, for one `writev`.
  public func withUnsafeBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try unsafe bytes.span.bytes.withUnsafeBytes(body)
  }

  @inline(never)
  public func failure(_ rule: WireError.Rule, _ field: StaticString) -> WireError {
    WireError(rule, field, at: count)
  }

  // MARK: Frames

  /// Where a frame began.
  public struct FrameMark: Sendable {
    var position: Int
    var count: Int
  }

  /// Reserves the 4 bytes of a frame's length.
  public mutating func beginFrame() -> FrameMark {
    let mark = FrameMark(position: bytes.count, count: count)
    writeInt32(0)
    return mark
  }

  /// Fills in the length of the frame: all that was written since, gaps included.
  public mutating func endFrame(_ mark: FrameMark) {
    patchInt32(Int32(count - mark.count - 4), at: mark.position)
  }

  /// Overwrites 4 bytes that were written at `position` of `bytes`.
  public mutating func patchInt32(_ value: Int32, at position: Int) {
    let raw = UInt32(bitPattern: value)
    bytes[position] = UInt8(truncatingIfNeeded: raw >> 24)
    bytes[position + 1] = UInt8(truncatingIfNeeded: raw >> 16)
    bytes[position + 2] = UInt8(truncatingIfNeeded: raw >> 8)
    bytes[position + 3] = UInt8(truncatingIfNeeded: raw)
  }

  /// Undoes what was written after `mark`, so that an error can be answered in its place.
  public mutating func cancelFrame(_ mark: FrameMark) {
    bytes.removeSubrange(mark.position...)
    while let last = gaps.last, last.position >= mark.position, count > mark.count {
      gapBytes -= last.count
      gaps.removeLast()
    }
  }

  // MARK: Raw

  public mutating func writeRaw(_ raw: RawSpan) {
    unsafe raw.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
  }

  public mutating func writeRaw(_ raw: [UInt8]) { bytes.append(contentsOf: raw) }

  mutating func writeUTF8(_ text: String) { bytes.append(contentsOf: text.utf8) }

  /// Leaves out `count` bytes that belong here.
  public mutating func writeGap(count: Int, source: WireSlice? = nil) {
    precondition(count >= 0)
    if count == 0 { return }
    gaps.append(WireGap(position: bytes.count, count: count, source: source))
    gapBytes += count
  }

  /// Inserts the size of what was written since `position` before it. No gap may lie there.
  mutating func insertSize(at position: Int) {
    var encoded: [UInt8] = []
    Self.appendVarint(UInt32(bytes.count - position), to: &encoded)
    bytes.insert(contentsOf: encoded, at: position)
  }

  static func appendVarint(_ value: UInt32, to bytes: inout [UInt8]) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(truncatingIfNeeded: rest))
  }

  // MARK: Fixed size

  @inline(__always)
  private mutating func append<Value: FixedWidthInteger>(_ value: Value) {
    unsafe Swift.withUnsafeBytes(of: value.bigEndian) { unsafe bytes.append(contentsOf: $0) }
  }

  @inline(never)
  public mutating func writeBool(_ value: Bool) { bytes.append(value ? 1 : 0) }

  @inline(never)
  public mutating func writeInt8(_ value: Int8) { bytes.append(UInt8(bitPattern: value)) }

  @inline(never)
  public mutating func writeInt16(_ value: Int16) { append(value) }

  @inline(never)
  public mutating func writeUInt16(_ value: UInt16) { append(value) }

  @inline(never)
  public mutating func writeInt32(_ value: Int32) { append(value) }

  @inline(never)
  public mutating func writeInt64(_ value: Int64) { append(value) }

  @inline(never)
  public mutating func writeDouble(_ value: Double) { append(value.bitPattern) }

  @inline(never)
  public mutating func writeUUID(_ value: UUID128) {
    append(value.high)
    append(value.low)
  }

  @inline(never)
  public mutating func writeUnsignedVarint(_ value: UInt32) {
    Self.appendVarint(value, to: &bytes)
  }
}
