// What an acknowledgement of a topic's records means, in words, from its configuration.

/// The promises of one topic's acknowledgements.
struct Acknowledgement: Equatable {
  /// With acks=all.
  let all: String
  /// With acks=1.
  let one: String
  /// When records go to the disk that nobody waits for; nil: when the system finds it convenient.
  let flushed: String?

  /// - Parameter configs: every value of the topic.
  /// - Returns: nil for a broker that does not say, because it is not Sluice.
  init?(_ configs: [String: String]) {
    guard let durable = configs["sluice.acks.all.durable"] else { return nil }
    let messages = configs["flush.messages"].flatMap { Int64($0) } ?? .max
    let ms = configs["flush.ms"].flatMap { Int64($0) } ?? .max
    let written =
      "the records are in the page cache: they survive the death of any process, not a power failure"
    let onDisk = "the records are on disk: they survive a power failure"
    all = durable == "true" || messages == 1 ? onDisk : written
    one = messages == 1 ? onDisk : written
    var rules: [String] = []
    if messages < .max, messages > 1 {
      rules.append("with every \(messages)th record, before it is acknowledged")
    }
    if ms < .max { rules.append("\(ms) ms after they were written") }
    flushed = rules.isEmpty ? nil : "the records go to the disk " + rules.joined(separator: ", or ")
  }

  var lines: [String] {
    var lines = ["  acks=all: \(all)", "  acks=1:   \(one)"]
    if let flushed { lines.append("  besides:  \(flushed)") }
    return lines
  }

  var fields: Fields {
    var fields = Fields()
    fields.add("all", all)
    fields.add("1", one)
    if let flushed { fields.add("flushed", flushed) }
    return fields
  }
}
