// The busiest topics and connections of a process, as `sluice top` wants them: totals since the
// process began, from which whoever asks again makes rates. A process picks those that moved most
// since it was last asked, so the list is short however many there are.

/// What one process did for one topic.
public struct TopicWork: Equatable, Sendable {
  public var topic: String
  public var bytesIn: UInt64
  public var bytesOut: UInt64
  public var recordsIn: UInt64
  /// Rounds with appends, or fetches that got records.
  public var requests: UInt64

  static let minimumSize = 2 + 4 * 8

  public init(
    topic: String, bytesIn: UInt64 = 0, bytesOut: UInt64 = 0, recordsIn: UInt64 = 0,
    requests: UInt64 = 0
  ) {
    self.topic = topic
    self.bytesIn = bytesIn
    self.bytesOut = bytesOut
    self.recordsIn = recordsIn
    self.requests = requests
  }

  func encode(into writer: inout MessageWriter) {
    writer.put(topic)
    writer.put(bytesIn)
    writer.put(bytesOut)
    writer.put(recordsIn)
    writer.put(requests)
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init(
      topic: try reader.string(), bytesIn: try reader.integer(), bytesOut: try reader.integer(),
      recordsIn: try reader.integer(), requests: try reader.integer())
  }
}

/// What one process did for one connection.
public struct ConnectionWork: Equatable, Sendable {
  /// The process's number of the connection, never used again.
  public var number: UInt64
  /// `127.0.0.1:40912`
  public var peer: String
  /// What the client calls itself; empty while it has not said so.
  public var clientId: String
  public var requests: UInt64
  public var bytesIn: UInt64
  public var bytesOut: UInt64

  static let minimumSize = 8 + 2 + 2 + 3 * 8

  public init(
    number: UInt64, peer: String, clientId: String, requests: UInt64, bytesIn: UInt64,
    bytesOut: UInt64
  ) {
    self.number = number
    self.peer = peer
    self.clientId = clientId
    self.requests = requests
    self.bytesIn = bytesIn
    self.bytesOut = bytesOut
  }

  func encode(into writer: inout MessageWriter) {
    writer.put(number)
    writer.put(peer)
    writer.put(clientId)
    writer.put(requests)
    writer.put(bytesIn)
    writer.put(bytesOut)
  }

  init(from reader: inout MessageReader) throws(MessageError) {
    self.init(
      number: try reader.integer(), peer: try reader.string(), clientId: try reader.string(),
      requests: try reader.integer(), bytesIn: try reader.integer(),
      bytesOut: try reader.integer())
  }
}

/// How many of a kind `reportStatistics` may ask for.
public enum StatisticsLimits {
  public static let busiestMax: UInt16 = 50
}

extension MessageReader {
  mutating func busiest() throws(MessageError) -> UInt16 {
    let count = try integer(UInt16.self)
    guard count <= StatisticsLimits.busiestMax else {
      throw MessageError(
        "\(count) of the busiest, where \(StatisticsLimits.busiestMax) are the most")
    }
    return count
  }
}

/// Keeps the few heaviest of many.
public struct Heaviest<Item> {
  private let count: Int
  /// Heaviest first.
  private var kept: [(weight: UInt64, item: Item)] = []

  public init(_ count: Int) { self.count = count }

  /// - Parameter item: made only if it is kept.
  public mutating func offer(_ weight: UInt64, _ item: @autoclosure () -> Item) {
    guard count > 0 else { return }
    if kept.count == count {
      guard let last = kept.last, weight > last.weight else { return }
      kept.removeLast()
    }
    let place = kept.firstIndex { $0.weight < weight } ?? kept.count
    kept.insert((weight, item()), at: place)
  }

  public var items: [Item] { kept.map(\.item) }
}
