// Segments that the logwriter has been asked for, and the clients that wait for them. Several
// clients that are at the same offset ask once.

import IPC

struct SegmentRequests {
  private struct Key: Hashable {
    var slot: UInt32
    var generation: UInt32
    var offset: Int64
  }

  private struct Pending {
    var key: Key
    var clients: [Client]
  }

  private var pending: [UInt64: Pending] = [:]
  private var tokens: [Key: UInt64] = [:]
  private var nextToken: UInt64 = 1

  var isEmpty: Bool { pending.isEmpty }

  /// Has `client` wait for the segment that holds `offset`.
  /// - Returns: the question, if it has not been asked yet.
  mutating func add(_ client: Client, slot: UInt32, generation: UInt32, offset: Int64)
    -> SegmentQuery?
  {
    let key = Key(slot: slot, generation: generation, offset: offset)
    if let token = tokens[key] {
      pending[token]?.clients.append(client)
      return nil
    }
    let token = nextToken
    nextToken += 1
    tokens[key] = token
    pending[token] = Pending(key: key, clients: [client])
    return SegmentQuery(token: token, slot: slot, generation: generation, offset: offset)
  }

  /// Ends a question: for which offset it was, and who waited for the answer. Nobody for a token that
  /// was never given.
  mutating func finish(_ token: UInt64) -> (offset: Int64?, clients: [Client]) {
    guard let done = pending.removeValue(forKey: token) else { return (nil, []) }
    tokens[done.key] = nil
    return (done.key.offset, done.clients)
  }

  /// The logwriter is gone: no question will be answered.
  mutating func removeAll() {
    pending.removeAll()
    tokens.removeAll()
  }
}
