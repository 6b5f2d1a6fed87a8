// Arrays as raw bytes, with typed errors: the standard library's `withUnsafeBytes` forgets the type.

extension Array where Element == UInt8 {
  /// As `withUnsafeBytes`, with the body's own error type.
  public func withRawBytes<R, E: Error>(
    _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    let result: Result<R, E> = withUnsafeBytes { raw in
      do throws(E) { return .success(try body(raw)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  /// As `withUnsafeMutableBytes`, with the body's own error type.
  public mutating func withMutableRawBytes<R, E: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    let result: Result<R, E> = withUnsafeMutableBytes { raw in
      do throws(E) { return .success(try body(raw)) } catch { return .failure(error) }
    }
    return try result.get()
  }
}
