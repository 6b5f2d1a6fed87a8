// Prints what a dump finds, as text or as JSON lines, and counts defects. A dump that takes long
// says how far it is on standard error.

import Linux

final class DumpPrinter {
  private let path: String
  private let json: Bool
  private var buffer: [UInt8] = []
  private var saidNs = Clock.monotonicNs()
  private(set) var defects = 0

  private let write: ([UInt8]) -> Void
  private let complain: (String) -> Void

  private static let progressNs: UInt64 = 1_000_000_000

  /// - Parameters:
  ///   - showsPath: names the file first, because there are several.
  ///   - write: takes what goes to standard output.
  ///   - complain: takes a line for standard error.
  init(
    path: String, json: Bool, showsPath: Bool = false,
    write: @escaping ([UInt8]) -> Void = Output.write,
    complain: @escaping (String) -> Void = StandardError.line
  ) {
    self.path = path
    self.json = json
    self.write = write
    self.complain = complain
    if showsPath, !json { buffer += "\(path)\n".utf8 }
  }

  /// One thing in the file.
  /// - Parameter kind: its `type` in JSON; `text` replaces the pairs for people.
  func item(_ kind: String, _ fields: Fields, indent: Int = 0, text: String? = nil) {
    if json {
      var object = Fields()
      object.add("type", kind)
      for entry in fields.entries { object.add(entry.name, entry.value) }
      object.appendJSON(to: &buffer)
    } else {
      buffer += repeatElement(UInt8(ascii: " "), count: indent)
      buffer += (text ?? fields.text).utf8
    }
    buffer.append(UInt8(ascii: "\n"))
    if buffer.count > 1 << 16 { flush() }
  }

  /// A last line for people.
  func summary(_ text: String) {
    if !json { buffer += (text + "\n").utf8 }
  }

  /// Something that is wrong at a byte of the file.
  func defect(at position: Int64, _ reason: String) {
    defects += 1
    if json {
      var fields = Fields()
      fields.add("position", position)
      fields.add("reason", reason)
      item("defect", fields)
    }
    flush()
    complain("sluice dump: \(path): at byte \(position): \(reason)")
  }

  /// Says how far it is, at most once a second.
  func progress(_ position: Int64, of size: Int64) {
    let nowNs = Clock.monotonicNs()
    guard nowNs - saidNs >= Self.progressNs, size > 0 else { return }
    saidNs = nowNs
    complain(
      "sluice dump: \(position >> 20) of \(size >> 20) MiB (\(position * 100 / size) %)")
  }

  func flush() {
    write(buffer)
    buffer.removeAll(keepingCapacity: true)
  }
}
