// A terminal that is drawn over in place, with keys that need no Enter. What was changed of the
// terminal is put back at the end.

import CLinux
import Glibc

final class TopScreen {
  /// Whether standard output is a terminal.
  static var isTerminal: Bool { isatty(1) == 1 }

  private var before = termios()
  private let hasKeys: Bool
  private var keysEnded = false

  init() {
    hasKeys = isatty(0) == 1 && tcgetattr(0, &before) == 0
    if hasKeys {
      var raw = before
      raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
      tcsetattr(0, TCSANOW, &raw)
    }
    // Hide the cursor, clear.
    Output.write(Array("\u{1B}[?25l\u{1B}[2J".utf8))
  }

  /// Puts the terminal back as it was, the cursor below what is shown.
  func close() {
    Output.write(Array("\u{1B}[?25h\n".utf8))
    if hasKeys { tcsetattr(0, TCSANOW, &before) }
  }

  /// Readable when a key was pressed; nil when there are none.
  var keys: Int32? { hasKeys && !keysEnded ? 0 : nil }

  /// The next key, or nil.
  func key() -> Character? {
    var byte: UInt8 = 0
    guard read(0, &byte, 1) == 1 else {
      keysEnded = true
      return nil
    }
    return Character(UnicodeScalar(byte))
  }

  var size: (rows: Int, columns: Int) {
    var rows: Int32 = 0
    var columns: Int32 = 0
    guard clinux_terminal_size(1, &rows, &columns) == 0, rows > 0, columns > 0 else {
      return (24, 80)
    }
    return (Int(rows), Int(columns))
  }

  /// Draws lines from the top, each over the one that was there, and clears below them.
  func draw(_ lines: [String]) {
    let text = lines.map { $0 + "\u{1B}[K" }.joined(separator: "\r\n")
    Output.write(Array("\u{1B}[H\(text)\u{1B}[J".utf8))
  }
}
