// The directory of the family's sockets: made on start, locked while the family runs, emptied of
// what a crash may have left.

import Glibc
import IPC
import Linux
import Service

final class RuntimeDirectory {
  let path: String
  private let lock: OwnedFD

  /// `/run/sluice` for root, `$XDG_RUNTIME_DIR/sluice` or `/tmp/sluice-<uid>` for others.
  static var standard: String {
    if getuid() == 0 { return "/run/sluice" }
    if let base = getenv("XDG_RUNTIME_DIR") { return String(cString: base) + "/sluice" }
    return "/tmp/sluice-\(getuid())"
  }

  private static let lockName = "lock"

  /// Creates and locks it. Refused while another family runs there.
  init(_ path: String) throws(ServiceFailure) {
    // The longest socket name must fit sockaddr_un's 108 bytes (unix(7)).
    guard path.utf8.count <= 108 - 32 else {
      throw .configuration(
        "--runtime-directory '\(path)' is longer than 76 bytes, too long for socket paths")
    }
    self.path = path
    let isOurs: Bool
    do throws(Errno) {
      try File.makeDirectory(path, permissions: 0o750)
      lock = try File.open("\(path)/\(Self.lockName)", [.readWrite, .create])
      isOurs = try File.lock(lock)
    } catch { throw ServiceFailure(error) }
    guard isOurs else {
      throw .system(
        "another broker runs with \(path); give this one its own with --runtime-directory")
    }
    removeSockets()
  }

  func socketPath(_ name: String) -> String { "\(path)/\(name)" }

  /// Removes what the family made; the directory too if nothing else is in it.
  func remove() {
    removeSockets()
    _ = try? File.remove("\(path)/\(Self.lockName)")
    _ = try? File.removeDirectory(path)
  }

  private func removeSockets() {
    guard let names = try? File.names(in: path) else { return }
    for name in names where name.hasSuffix(".sock") { _ = try? File.remove("\(path)/\(name)") }
  }
}
