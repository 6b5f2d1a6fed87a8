// Results on standard output: as text for people, as JSON for scripts. A reader that goes away ends
// the command quietly, as it ends cat(1).

import Glibc

enum Output {
  /// Prints one JSON document.
  static func json(_ values: [Fields]) {
    var bytes: [UInt8] = [UInt8(ascii: "[")]
    for (index, value) in values.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      value.appendJSON(to: &bytes)
    }
    write(bytes + "]\n".utf8)
  }

  /// Prints one JSON array of strings.
  static func json(_ texts: [String]) {
    var bytes: [UInt8] = [UInt8(ascii: "[")]
    for (index, text) in texts.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      JSONText.append(text, to: &bytes)
    }
    write(bytes + "]\n".utf8)
  }

  static func line(_ text: String) { write(Array((text + "\n").utf8)) }

  static func write(_ bytes: [UInt8]) {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { raw in
        Glibc.write(1, raw.baseAddress.map { $0 + done }, raw.count - done)
      }
      if count < 0 {
        if errno == EINTR { continue }
        if errno == EAGAIN {
          awaitRoom()
          continue
        }
        if errno == EPIPE { exit(0) }
        StandardError.line(
          "sluice: writing to standard output: \(String(cString: strerror(errno)))")
        exit(ExitStatus.system.rawValue)
      }
      done += count
    }
  }

  /// Whoever gave us this descriptor may have made it non-blocking.
  private static func awaitRoom() {
    var room = pollfd(fd: 1, events: Int16(POLLOUT), revents: 0)
    _ = poll(&room, 1, -1)
  }

  /// Rows in columns as wide as their widest cell.
  static func table(_ header: [String], _ rows: [[String]]) {
    let all = [header] + rows
    let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    var text = ""
    for row in all {
      let cells = row.enumerated().map { index, cell in
        index == row.count - 1
          ? cell : cell + String(repeating: " ", count: widths[index] - cell.count)
      }
      text += cells.joined(separator: "  ") + "\n"
    }
    write(Array(text.utf8))
  }
}
