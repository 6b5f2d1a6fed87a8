// Ctrl-C as something a command looks at between two polls and while it waits for a broker, so that
// it can leave its group and commit what it printed. The second one ends it at once.

import Glibc
import Linux

final class Interruption {
  private let signals: SignalFD
  private var count = 0

  /// What a shell reports for a command that SIGINT ended.
  private static let secondExitCode: Int32 = 128 + 2

  init() throws(ClientError) {
    do { signals = try SignalFD([SIGINT, SIGTERM]) } catch { throw .input("\(error)") }
  }

  /// Readable when a signal waits.
  var descriptor: Int32 { signals.descriptor.rawValue }

  /// Whether SIGINT or SIGTERM came.
  var isRequested: Bool {
    while let signal = try? signals.next(), signal != 0 {
      count += 1
      if count > 1 { exit(Self.secondExitCode) }
    }
    return count > 0
  }
}
