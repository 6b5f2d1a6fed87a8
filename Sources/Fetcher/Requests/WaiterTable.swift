// Who waits for which slot: a list per slot, so that news of a partition finds the fetches that wait
// for it, and a fetch leaves the lists of all its partitions, at the cost of those alone.

struct WaiterTable {
  /// A target of the fetch that a client waits with.
  struct Waiter: Equatable {
    var client: Int32
    var target: Int32
  }

  private struct Node {
    var waiter: Waiter
    var slot: UInt32
    var next: Int32
    var previous: Int32
  }

  private var nodes: [Node] = []
  private var free: [Int32] = []
  private var heads: [UInt32: Int32] = [:]

  var count: Int { nodes.count - free.count }

  /// - Returns: the place to leave with.
  mutating func add(_ slot: UInt32, _ waiter: Waiter) -> Int32 {
    let head = heads[slot] ?? -1
    let node = Node(waiter: waiter, slot: slot, next: head, previous: -1)
    let place: Int32
    if let reused = free.popLast() {
      place = reused
      nodes[Int(place)] = node
    } else {
      place = Int32(nodes.count)
      nodes.append(node)
    }
    if head >= 0 { nodes[Int(head)].previous = place }
    heads[slot] = place
    return place
  }

  mutating func remove(_ place: Int32) {
    let node = nodes[Int(place)]
    if node.next >= 0 { nodes[Int(node.next)].previous = node.previous }
    if node.previous >= 0 {
      nodes[Int(node.previous)].next = node.next
    } else {
      heads[node.slot] = node.next >= 0 ? node.next : nil
    }
    free.append(place)
  }

  /// Adds those who wait for `slot` to `found`.
  func collect(_ slot: UInt32, into found: inout [Waiter]) {
    var place = heads[slot] ?? -1
    while place >= 0 {
      found.append(nodes[Int(place)].waiter)
      place = nodes[Int(place)].next
    }
  }
}
