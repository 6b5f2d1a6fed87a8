// How long a command that runs on bears with a broker it cannot reach: a broker that restarts is a
// pause for it, one that is gone ends it.

import Linux

struct Outage {
  private var sinceNs: UInt64?
  private static let patienceNs: UInt64 = 30_000_000_000
  private static let pauseMs = 200

  /// The broker answered.
  mutating func end() { sinceNs = nil }

  /// Pauses and drops connections if the failure may mend itself, else throws it. The first one of an
  /// outage is told.
  mutating func bear(_ error: ClientError, _ cluster: Cluster) throws(ClientError) {
    guard error.isTransport || error.code?.isTransient == true else { throw error }
    let now = Clock.monotonicNs()
    if sinceNs == nil {
      StandardError.line("sluice: \(error); trying again")
      sinceNs = now
    }
    if let sinceNs, now - sinceNs > Self.patienceNs { throw error }
    cluster.reset()
    Clock.sleep(microseconds: Self.pauseMs * 1_000)
  }
}
