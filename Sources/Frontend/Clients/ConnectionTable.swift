// All connections, found by number; stale numbers find nothing.

struct ConnectionTable {
  private var slots: [Connection?] = []
  private var unused: [Int] = []
  private var lastSerial: UInt64 = 0
  private var countByHost: [String: Int] = [:]

  var count: Int { slots.count - unused.count }

  /// A number for a new connection, to be used with `insert` at once.
  mutating func nextNumber() -> UInt64 {
    lastSerial += 1
    return lastSerial << 32 | UInt64(unused.last ?? slots.count)
  }

  mutating func insert(_ connection: Connection) {
    let slot = Connection.slot(of: connection.number)
    if slot == slots.count {
      slots.append(connection)
    } else {
      precondition(unused.popLast() == slot, "a number that is not the next one")
      slots[slot] = connection
    }
    countByHost[connection.peerHost, default: 0] += 1
  }

  mutating func remove(_ connection: Connection) {
    let slot = Connection.slot(of: connection.number)
    precondition(slots[slot] === connection, "a connection that is not in the table")
    slots[slot] = nil
    unused.append(slot)
    let left = countByHost[connection.peerHost, default: 1] - 1
    countByHost[connection.peerHost] = left == 0 ? nil : left
  }

  subscript(number: UInt64) -> Connection? {
    let slot = Connection.slot(of: number)
    guard slot < slots.count, let connection = slots[slot], connection.number == number else {
      return nil
    }
    return connection
  }

  /// The connection at a place that the loop reported.
  func at(_ slot: UInt32) -> Connection? { slots[Int(slot)] }

  func count(from host: String) -> Int { countByHost[host] ?? 0 }

  /// All of them, as they are now: closing some meanwhile is fine.
  var all: [Connection] { slots.compactMap { $0 } }
}
