// A file being dumped: read in pieces at given positions, so that its size does not matter.

import Glibc
import Linux

final class DumpFile {
  let path: String
  let size: Int64
  private let file: OwnedFD
  private var buffer: [UInt8] = []
  private var start: Int64 = 0
  private var count = 0

  /// Bytes read at once.
  static let window = 1 << 20

  init(_ path: String) throws(DumpFailure) {
    self.path = path
    do throws(Errno) {
      file = try File.open(path, .readOnly)
      let status = try File.status(file)
      if status.isDirectory { throw Errno(EISDIR, "read", path) }
      size = status.size
    } catch { throw .system(error) }
  }

  var name: String { path.split(separator: "/").last.map(String.init) ?? path }

  /// The number before the kind in a name such as `00000000000000000042.log`.
  var baseOffset: Int64? {
    let digits = name.prefix { $0 != "." }
    return digits.utf8.count == 20 ? Int64(digits) : nil
  }

  /// Hands `body` the bytes at `position`: `wanted`, or as many as the file has.
  func read<R, E: Error>(
    _ wanted: Int, at position: Int64, _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(DumpFailure) -> Result<R, E> {
    let available = Int(max(0, min(Int64(wanted), size - position)))
    if position < start || position + Int64(available) > start + Int64(count) {
      try fill(from: position, atLeast: available)
    }
    let from = Int(position - start)
    let end = min(from + available, count)
    return buffer.withUnsafeBytes { raw in
      let bytes = UnsafeRawBufferPointer(rebasing: raw[min(from, end)..<end])
      do throws(E) { return .success(try body(bytes)) } catch { return .failure(error) }
    }
  }

  /// The whole file as text files are read, refused above 64 MiB.
  func contents() throws(DumpFailure) -> [UInt8] {
    do { return try File.contents(path, limit: 64 << 20) } catch { throw .system(error) }
  }

  private func fill(from position: Int64, atLeast wanted: Int) throws(DumpFailure) {
    let room = max(wanted, Self.window)
    if buffer.count < room || buffer.count > 4 * Self.window {
      buffer = [UInt8](repeating: 0, count: room)
    }
    let outcome: Result<Int, Errno> = buffer.withUnsafeMutableBytes { raw in
      do throws(Errno) {
        return .success(
          try File.read(
            file, into: UnsafeMutableRawBufferPointer(rebasing: raw[..<room]), at: position))
      } catch { return .failure(error) }
    }
    start = position
    do throws(Errno) { count = try outcome.get() } catch { throw .system(error) }
  }
}

extension UnsafeRawBufferPointer {
  /// The big-endian integer at `offset`, which the caller has checked to be in bounds.
  func bigEndian<T: FixedWidthInteger>(at offset: Int) -> T {
    T(bigEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
  }
}
