// Tells of requests that name a topic as no topic can be called, such as a path. The client has its
// error code; the log has the peer and the rule, at most one line a second, so that a client cannot
// fill a disk.

import Logging
import Model

struct IllegalNames {
  /// A client may send 32,767 bytes as a name.
  private static let shownMax = 80
  private static let pauseMs: Int64 = 1_000

  private var quietUntilMs: Int64 = 0
  private var omitted = 0

  /// The first of `names` that breaks the rules is told of, unless it is too soon.
  mutating func note(
    in names: some Sequence<String>, peer: String, nowMs: Int64, log: Logger
  ) {
    for name in names {
      guard let violation = TopicName.violation(of: name) else { continue }
      guard nowMs >= quietUntilMs || nowMs < quietUntilMs - Self.pauseMs else {
        omitted += 1
        return
      }
      quietUntilMs = nowMs + Self.pauseMs
      let more = omitted > 0 ? " (and \(omitted) more like this)" : ""
      omitted = 0
      log.warning(
        "refused a topic name of \(peer): '\(name.prefix(Self.shownMax))', \(violation.prefix(200))\(more)"
      )
      return
    }
  }
}

extension Broker {
  func noteIllegalNames(in names: some Sequence<String>, _ context: RequestContext) {
    illegalNames.note(in: names, peer: context.peer, nowMs: clock.wallMs, log: log)
  }
}
