// One round of asking every process for its statistics: who has not answered yet, who wants to know.
// Requests that come while a round runs are answered with it.

import IPC

final class StatusGathering {
  /// How long the slowest process may take.
  static let patienceMs: Int64 = 800

  /// Sends the gathered statistics to an administrator.
  var send: (UInt64, [ProcessStatistics]) -> Void = { _, _ in }
  private(set) var round: UInt64 = 0
  private var askers: [UInt64] = []
  private var expected: Set<UInt64> = []
  private var gathered: [ProcessStatistics] = []

  /// Notes that `admin` wants to know.
  /// - Returns: true when a new round has to be asked for.
  func begin(_ admin: UInt64, own: ProcessStatistics) -> Bool {
    askers.append(admin)
    guard askers.count == 1 else { return false }
    round += 1
    gathered = [own]
    return true
  }

  /// Those who were asked.
  func expect(_ peers: Set<UInt64>) {
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
    guard expected.remove(peer) != nil else { return }
    finishIfComplete()
  }

  /// The round has lasted long enough.
  func deadline(_ round: UInt64) {
    guard round == self.round else { return }
    expected = []
    finishIfComplete()
  }

  private func finishIfComplete() {
    guard expected.isEmpty, !askers.isEmpty else { return }
    let processes = gathered.sorted {
      ($0.role.rawValue, $0.instance) < ($1.role.rawValue, $1.instance)
    }
    let askers = askers
    self.askers = []
    gathered = []
    for asker in askers { send(asker, processes) }
  }
}
