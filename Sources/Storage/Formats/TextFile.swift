// Reading the small text files of a log directory line by line, strictly.

/// Lines of a text file and what is wrong with them.
struct TextFile {
  let path: String
  private var lines: ArraySlice<Substring>

  init(_ bytes: [UInt8], path: String) {
    self.path = path
    var all = String(decoding: bytes, as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false)[...]
    if all.last == "" { all.removeLast() }
    lines = all
  }

  mutating func next() -> Substring? { lines.popFirst() }

  /// The next line, which must be a number.
  mutating func number<T: FixedWidthInteger>(_ what: StaticString) throws(StorageError) -> T {
    guard let line = lines.popFirst(), let value = T(line) else {
      throw malformed("\(what) is missing")
    }
    return value
  }

  /// The next line, which must be so many words.
  mutating func words(_ count: Int) throws(StorageError) -> [Substring] {
    guard let words = lines.popFirst()?.split(separator: " "), words.count == count else {
      throw malformed("an entry is not \(count) words")
    }
    return words
  }

  func end() throws(StorageError) {
    if !lines.isEmpty { throw malformed("more lines than entries") }
  }

  func malformed(_ reason: String) -> StorageError {
    StorageError("read", path, .format(reason))
  }
}

/// The `key=value` files of a log directory (java.util.Properties, of which only this much is used).
struct PropertyFile {
  /// In the order to write them.
  var entries: [(key: String, value: String)]

  subscript(key: String) -> String? { entries.last { $0.key == key }?.value }

  init(_ entries: [(key: String, value: String)]) { self.entries = entries }

  init(_ bytes: [UInt8]) {
    entries = []
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
      if line.hasPrefix("#") || line.hasPrefix("!") { continue }
      guard let equals = line.firstIndex(of: "=") else { continue }
      entries.append((String(line[..<equals]), String(line[line.index(after: equals)...])))
    }
  }

  var bytes: [UInt8] { Array(("#\n" + entries.map { "\($0.key)=\($0.value)\n" }.joined()).utf8) }
}
