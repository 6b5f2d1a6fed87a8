// Prints records and counts them.

import Model
import Records

final class RecordPrinter {
  private let topic: String
  private let format: RecordFormat?
  private let limit: Int?
  private var printed = 0
  private var buffer: [UInt8] = []

  /// - Parameters:
  ///   - format: nil prints JSON.
  ///   - limit: records to print at most.
  init(topic: String, format: RecordFormat?, limit: Int?) {
    self.topic = topic
    self.format = format
    self.limit = limit
  }

  /// As many records as were wanted have been printed.
  var isDone: Bool { limit.map { printed >= $0 } ?? false }

  /// Prints a record.
  /// - Returns: false when it was not wanted any more.
  @discardableResult
  func print(_ record: Record, partition: Int32) -> Bool {
    if isDone { return false }
    printed += 1
    if let format {
      format.append(record, topic: topic, partition: partition, to: &buffer)
    } else {
      flush()
      Output.json(JSONRecord(record, topic: topic, partition: partition))
    }
    if buffer.count > 1 << 16 { flush() }
    return true
  }

  func flush() {
    Output.write(buffer)
    buffer.removeAll(keepingCapacity: true)
  }
}

/// A record as JSON. Bytes that are not UTF-8 are shown with replacement characters.
private struct JSONRecord: Encodable {
  struct Header: Encodable {
    var key: String
    var value: String?
  }

  var topic: String
  var partition: Int32
  var offset: Int64
  var timestamp: Int64
  var key: String?
  var value: String?
  var headers: [Header]

  init(_ record: Record, topic: String, partition: Int32) {
    func text(_ bytes: [UInt8]?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }
    self.topic = topic
    self.partition = partition
    offset = record.offset
    timestamp = record.timestamp
    key = text(record.key)
    value = text(record.value)
    headers = record.headers.map { Header(key: $0.key, value: text($0.value)) }
  }
}
