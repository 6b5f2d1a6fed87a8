// One round of asking every process for its statistics: who has not answered yet, who wants to know.
// Requests that come while a round runs are answered with it, unless they want longer lists of the
// busiest than it brings: those wait for the next round.

import IPC

final class StatusGathering {
  /// How long the slowest process may take.
  static let patienceMs: Int64 = 800

  /// Begins a round: asks the processes, tells of our own statistics with `began`, and of who was
  /// asked with `expect`.
  var ask: (_ busiest: UInt16) -> Void = { _ in }
  /// Sends the gathered statistics to an administrator.
  var send: (UInt64, [ProcessStatistics]) -> Void = { _, _ in }
  private(set) var round: UInt64 = 0
  private var isRunning = false
  private var busiest: UInt16 = 0
  private var askers: [UInt64] = []
  private var later: [(asker: UInt64, busiest: UInt16)] = []
  private var expected: Set<UInt64> = []
  private var gathered: [ProcessStatistics] = []

  /// Notes that `admin` wants to know.
  func wanted(by admin: UInt64, busiest: UInt16) {
    if isRunning, busiest > self.busiest {
      later.append((admin, busiest))
    } else {
      askers.append(admin)
      if !isRunning { begin(busiest) }
    }
  }

  private func begin(_ busiest: UInt16) {
    isRunning = true
    round += 1
    self.busiest = busiest
    gathered = []
    ask(busiest)
  }

  /// - Parameters:
  ///   - own: what this process tells of itself.
  ///   - peers: those who were asked.
  func expect(_ peers: Set<UInt64>, own: ProcessStatistics) {
    gathered.append(own)
    expected = peers
    finishIfComplete()
  }

  /// Codecs are told of by every frontend that uses them, and noted once.
  func answered(_ peer: UInt64, _ statistics: [ProcessStatistics]) {
    guard expected.remove(peer) != nil else { return }
    for process in statistics
    where !gathered.contains(where: { $0.role == process.role && $0.instance == process.instance })
    {
      gathered.append(process)
    }
    finishIfComplete()
  }

  func lost(_ peer: UInt64) {
    askers.removeAll { $0 == peer }
    later.removeAll { $0.asker == peer }
    guard expected.remove(peer) != nil else { return }
    finishIfComplete()
  }

  /// The round has lasted long enough.
  func deadline(_ round: UInt64) {
    guard round == self.round, isRunning else { return }
    expected = []
    finishIfComplete()
  }

  private func finishIfComplete() {
    guard expected.isEmpty, isRunning else { return }
    let processes = gathered.sorted {
      ($0.role.rawValue, $0.instance) < ($1.role.rawValue, $1.instance)
    }
    let answeredNow = askers
    isRunning = false
    gathered = []
    askers = later.map(\.asker)
    let wanted = later.map(\.busiest).max()
    later = []
    for asker in answeredNow { send(asker, processes) }
    if let wanted { begin(wanted) }
  }
}
