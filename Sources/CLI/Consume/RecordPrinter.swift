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
      fields(record, partition: partition).appendJSON(to: &buffer)
      buffer.append(UInt8(ascii: "\n"))
    }
    if buffer.count > 1 << 16 { flush() }
    return true
  }

  func flush() {
    Output.write(buffer)
    buffer.removeAll(keepingCapacity: true)
  }

  private func fields(_ record: Record, partition: Int32) -> Fields {
    var fields = Fields()
    fields.add("topic", topic)
    fields.add("partition", partition)
    fields.add("offset", record.offset)
    fields.add("timestamp", record.timestamp)
    fields.add("key", record.key)
    fields.add("value", record.value)
    fields.add(
      "headers",
      .list(
        record.headers.map { header in
          var pair = Fields()
          pair.add("key", header.key)
          pair.add("value", header.value)
          return .fields(pair)
        }))
    return fields
  }
}
