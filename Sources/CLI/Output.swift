// Results on standard output: as text for people, as JSON for scripts. Output is gathered and
// written in large pieces; a reader that goes away ends the command quietly.

import FoundationEssentials
import Glibc

enum Output {
  /// Prints one JSON document with sorted keys.
  static func json<Value: Encodable>(_ value: Value) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(value) else {
      preconditionFailure("our own values can be encoded")
    }
    write(Array(data) + [UInt8(ascii: "\n")])
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
        exit(errno == EPIPE ? 0 : 1)
      }
      done += count
    }
  }

  /// Rows in columns as wide as their widest cell.
  static func table(_ header: [String], _ rows: [[String]]) {
    let all = [header] + rows
    let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    for row in all {
      let cells = row.enumerated().map { index, cell in
        index == row.count - 1
          ? cell : cell + String(repeating: " ", count: widths[index] - cell.count)
      }
      line(cells.joined(separator: "  "))
    }
  }
}
