// Lines that clients can cause, kept from becoming a flood: of each rule one line a second, the
// others counted and told with the next one.

struct LogLimiter {
  private struct Rule {
    var windowEndsNs: UInt64 = 0
    var suppressed = 0
  }

  private var rules: [String: Rule] = [:]

  /// - Returns: nil when the line is to be left out, else how many were left out before.
  mutating func admit(_ rule: String, nowNs: UInt64) -> Int? {
    var state = rules[rule] ?? Rule()
    defer { rules[rule] = state }
    if nowNs < state.windowEndsNs {
      state.suppressed += 1
      return nil
    }
    defer { state = Rule(windowEndsNs: nowNs &+ 1_000_000_000, suppressed: 0) }
    return state.suppressed
  }

  /// Rules with lines left out, to be told now that nothing else happens; they begin anew.
  mutating func takeSuppressed() -> [(rule: String, count: Int)] {
    let left = rules.filter { $0.value.suppressed > 0 }.map { ($0.key, $0.value.suppressed) }
    rules.removeAll()
    return left.sorted { $0.0 < $1.0 }.map { (rule: $0.0, count: $0.1) }
  }
}
