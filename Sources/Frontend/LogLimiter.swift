// Lines that clients can cause, kept from becoming a flood: of each rule one line a second, the others
// counted and told with the next one, or when a second has passed without one.

struct LogLimiter {
  private struct State {
    var windowEndsNs: UInt64 = 0
    var suppressed = 0
  }

  static let windowMs: Int64 = 1000
  private var states: [ClosingRule: State] = [:]

  /// - Returns: nil when the line is to be left out, else how many were left out before.
  mutating func admit(_ rule: ClosingRule, nowNs: UInt64) -> Int? {
    let state = states[rule] ?? State()
    if nowNs < state.windowEndsNs {
      states[rule]?.suppressed += 1
      return nil
    }
    states[rule] = State(windowEndsNs: Self.windowEnd(nowNs))
    return state.suppressed
  }

  /// Rules with lines left out whose second is over without another line, to be told now. The next
  /// line of such a rule is written: what goes on must not stay without a name.
  mutating func takeSuppressed(nowNs: UInt64) -> [(rule: ClosingRule, count: Int)] {
    ClosingRule.allCases.compactMap { rule in
      guard let state = states[rule], state.suppressed > 0, nowNs >= state.windowEndsNs else {
        return nil
      }
      states[rule] = nil
      return (rule, state.suppressed)
    }
  }

  /// Lines are left out that nobody was told of.
  var hasSuppressed: Bool { states.values.contains { $0.suppressed > 0 } }

  private static func windowEnd(_ nowNs: UInt64) -> UInt64 {
    nowNs &+ UInt64(windowMs) * 1_000_000
  }
}
