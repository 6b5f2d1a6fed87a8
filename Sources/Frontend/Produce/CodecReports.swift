// One round of asking codecs for their statistics on behalf of the coordinator, which they do not
// know.

import IPC

struct CodecReports {
  private var expected: Set<Int> = []
  private var gathered: [ProcessStatistics] = []
  private(set) var isAsking = false

  /// Asks the codecs at these places.
  mutating func begin(_ codecs: [Int]) {
    expected = Set(codecs)
    gathered = []
    isAsking = true
  }

  /// - Parameter statistics: nil when the codec is gone.
  mutating func reported(_ codec: Int, _ statistics: ProcessStatistics?) {
    guard expected.remove(codec) != nil, let statistics else { return }
    gathered.append(statistics)
  }

  var isComplete: Bool { isAsking && expected.isEmpty }

  /// What has come, at the end of the round.
  mutating func take() -> [ProcessStatistics] {
    isAsking = false
    expected = []
    return gathered
  }
}
