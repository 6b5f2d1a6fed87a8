// Ctrl-C as something a command looks at between two polls, so that it can leave its group and
// commit what it printed.

import Glibc
import Linux

final class Interruption {
  private let signals: SignalFD
  private var seen = false

  init() throws(ClientError) {
    do { signals = try SignalFD([SIGINT, SIGTERM]) } catch {
      throw .connection(address: "signals", error)
    }
  }

  /// Whether SIGINT or SIGTERM came.
  var isRequested: Bool {
    if !seen, (try? signals.next()) != nil { seen = true }
    return seen
  }
}
