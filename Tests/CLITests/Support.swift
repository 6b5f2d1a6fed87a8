// What the tests of the command share: temporary files, and a dump whose output is kept.

import Foundation
import Records
import Testing

@testable import CLI

/// A directory that goes away with its owner.
final class TemporaryDirectory {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "sluice-cli-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// A file with these bytes.
  func file(_ name: String, _ bytes: [UInt8]) throws -> String {
    let path = "\(path)/\(name)"
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    return path
  }
}

/// What a dump said.
final class Dumped {
  private(set) var output = ""
  private(set) var complaints: [String] = []
  private(set) var failure: DumpFailure?

  init(
    _ path: String, as kind: DumpKind? = nil, contents: RecordContents? = nil, json: Bool = false
  ) {
    var bytes: [UInt8] = []
    var lines: [String] = []
    let printer = DumpPrinter(
      path: path, json: json, write: { bytes += $0 }, complain: { lines.append($0) })
    do { try DumpKind.dump(path, as: kind, contents, printer) } catch { failure = error }
    printer.flush()
    output = String(decoding: bytes, as: UTF8.self)
    complaints = lines
  }

  var lines: [Substring] { output.split(separator: "\n") }

  /// Every line of a JSON dump.
  func objects() throws -> [[String: Any]] {
    try lines.map { line in
      try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }
  }
}

/// A batch with a right checksum.
func batch(
  baseOffset: Int64, values: [String], compression: String = "none", producerId: Int64? = nil
) -> [UInt8] {
  var builder = RecordBatchBuilder(baseOffset: baseOffset)
  if let producerId { builder.setProducer(id: producerId, epoch: 2, baseSequence: 10) }
  for (index, value) in values.enumerated() {
    builder.append(
      timestamp: 1_700_000_000_000 + Int64(index),
      key: index % 2 == 0 ? Array("k\(index)".utf8) : nil,
      value: Array(value.utf8), headers: [RecordHeader(key: "h", value: [0xFF, 0x00])])
  }
  let type = CompressionNames.type(compression)
  do {
    return try builder.build(compression: type) { records in
      try CompressionNames.compress(records, type)
    }
  } catch {
    Issue.record("compression: \(error)")
    return []
  }
}
