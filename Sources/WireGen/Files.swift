// The few file operations of the generator, over Glibc: it runs in every build environment and
// needs nothing else.
import Glibc

struct FileError: Error, CustomStringConvertible {
  var operation: String
  var path: String
  var code: Int32

  var description: String { "\(operation) \(path): \(String(cString: strerror(code)))" }
}

enum Files {
  /// The names in a directory that end with `suffix`, sorted.
  static func list(_ path: String, suffix: String) throws(FileError) -> [String] {
    guard let directory = opendir(path) else {
      throw FileError(operation: "opendir", path: path, code: errno)
    }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name.hasSuffix(suffix) { names.append(name) }
    }
    return names.sorted()
  }

  /// The content of a file, or nil if there is none.
  static func read(_ path: String) throws(FileError) -> String? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    if descriptor < 0, errno == ENOENT { return nil }
    guard descriptor >= 0 else { throw FileError(operation: "open", path: path, code: errno) }
    defer { close(descriptor) }
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0 { throw FileError(operation: "read", path: path, code: errno) }
      if count == 0 { return String(decoding: content, as: UTF8.self) }
      content += chunk[..<count]
    }
  }

  static func write(_ content: String, to path: String) throws(FileError) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw FileError(operation: "open", path: path, code: errno) }
    defer { close(descriptor) }
    let bytes = Array(content.utf8)
    var written = 0
    while written < bytes.count {
      let count = bytes[written...].withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress, $0.count)
      }
      if count < 0 { throw FileError(operation: "write", path: path, code: errno) }
      written += count
    }
  }

  static func remove(_ path: String) throws(FileError) {
    if unlink(path) != 0 { throw FileError(operation: "unlink", path: path, code: errno) }
  }
}
