// The format of `sluice consume`: literal text and record fields.

import Model
import Records

struct RecordFormat {
  enum Piece: Equatable {
    case text([UInt8])
    case key, value, offset, partition, topic, timestamp, headers, keyLength, valueLength
  }

  struct Unknown: Error, CustomStringConvertible {
    let sequence: String
    var description: String {
      "--format has '\(sequence)'; known are %k %v %o %p %t %T %h %K %V %% \\n \\t \\0 \\\\"
    }
  }

  let pieces: [Piece]

  init(_ text: String) throws(Unknown) {
    var pieces: [Piece] = []
    var literal: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") || byte == UInt8(ascii: "\\") else {
        literal.append(byte)
        continue
      }
      let next = rest.popFirst()
      switch try Self.meaning(byte, next) {
      case .text(let bytes): literal += bytes
      case let field:
        if !literal.isEmpty { pieces.append(.text(literal)) }
        literal = []
        pieces.append(field)
      }
    }
    if !literal.isEmpty { pieces.append(.text(literal)) }
    self.pieces = pieces
  }

  private static func meaning(_ byte: UInt8, _ next: UInt8?) throws(Unknown) -> Piece {
    switch (byte, next) {
    case (UInt8(ascii: "%"), UInt8(ascii: "k")): return .key
    case (UInt8(ascii: "%"), UInt8(ascii: "v")): return .value
    case (UInt8(ascii: "%"), UInt8(ascii: "o")): return .offset
    case (UInt8(ascii: "%"), UInt8(ascii: "p")): return .partition
    case (UInt8(ascii: "%"), UInt8(ascii: "t")): return .topic
    case (UInt8(ascii: "%"), UInt8(ascii: "T")): return .timestamp
    case (UInt8(ascii: "%"), UInt8(ascii: "h")): return .headers
    case (UInt8(ascii: "%"), UInt8(ascii: "K")): return .keyLength
    case (UInt8(ascii: "%"), UInt8(ascii: "V")): return .valueLength
    case (UInt8(ascii: "%"), UInt8(ascii: "%")): return .text([UInt8(ascii: "%")])
    case (UInt8(ascii: "\\"), UInt8(ascii: "n")): return .text([10])
    case (UInt8(ascii: "\\"), UInt8(ascii: "t")): return .text([9])
    case (UInt8(ascii: "\\"), UInt8(ascii: "0")): return .text([0])
    case (UInt8(ascii: "\\"), UInt8(ascii: "\\")): return .text([92])
    default:
      throw Unknown(sequence: String(decoding: [byte] + (next.map { [$0] } ?? []), as: UTF8.self))
    }
  }

  func append(_ record: Record, topic: String, partition: Int32, to output: inout [UInt8]) {
    for piece in pieces {
      switch piece {
      case .text(let bytes): output += bytes
      case .key: output += record.key ?? []
      case .value: output += record.value ?? []
      case .offset: output += "\(record.offset)".utf8
      case .partition: output += "\(partition)".utf8
      case .topic: output += topic.utf8
      case .timestamp: output += "\(record.timestamp)".utf8
      case .keyLength: output += "\(record.key?.count ?? -1)".utf8
      case .valueLength: output += "\(record.value?.count ?? -1)".utf8
      case .headers:
        for (index, header) in record.headers.enumerated() {
          if index > 0 { output.append(UInt8(ascii: ",")) }
          output += "\(header.key)=".utf8
          output += header.value ?? []
        }
      }
    }
  }
}
