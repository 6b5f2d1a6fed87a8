// Events that come again and again, kept from becoming a flood. Of each kind (and group: a rule that
// clients break) a few are written as they are. When there are more within a window, they are
// counted, and its end says how many there were; the next one is written by name again, because what
// goes on must not stay without one. While it goes on, each window is twice as long as the one
// before, up to a minute; a window in which nothing was left out ends that.
//
// A state machine with the time given to it: no clock, no output. There is something to be woken for
// only while events have been left out that nobody was told of.

/// How many events of a kind may be written within a window, and how long the first window is.
struct EventLimit: Equatable, Sendable {
  var burst: Int
  var windowMs: UInt64
}

/// Events of one kind that are counted together, such as all clients that broke one rule.
public struct EventGroup: Hashable, Sendable {
  /// SLUICE_RULE in the journal. From a set that is known beforehand, never a client's words.
  public let name: String
  /// What several of them are: `bytes that are not Kafka's protocol`.
  public let plural: String

  public init(_ name: String, plural: String) {
    self.name = name
    self.plural = plural
  }
}

struct EventLimiter {
  static let windowMsMax: UInt64 = 60_000

  private struct Key: Hashable {
    var kind: EventKind
    var group: EventGroup?
  }

  private struct State {
    var windowNs: UInt64
    var beganNs: UInt64
    var written = 1
    var leftOut = 0

    var endsNs: UInt64 { beganNs &+ windowNs }
  }

  /// What a window's end has to tell.
  struct Summary: Equatable {
    var kind: EventKind
    var group: EventGroup?
    var count: Int
    /// The window's length so far, s, at least 1.
    var seconds: UInt64
  }

  private var states: [Key: State] = [:]

  /// When the first window ends that has something to tell; never is `.max`.
  private(set) var dueNs = UInt64.max

  /// Takes note of an event. Call `takeSummaries` before, if one is due.
  /// - Returns: whether it is to be written.
  mutating func admit(_ kind: EventKind, _ group: EventGroup?, nowNs: UInt64) -> Bool {
    guard let limit = kind.limit else { return true }
    let key = Key(kind: kind, group: group)
    let firstWindowNs = limit.windowMs * 1_000_000
    guard var state = states[key], nowNs < state.endsNs else {
      states[key] = State(windowNs: firstWindowNs, beganNs: nowNs)
      return true
    }
    defer { states[key] = state }
    if state.written < limit.burst {
      state.written += 1
      return true
    }
    state.leftOut += 1
    dueNs = min(dueNs, state.endsNs)
    return false
  }

  /// The windows that are over and have left events out, in a fixed order.
  mutating func takeSummaries(nowNs: UInt64) -> [Summary] {
    guard nowNs >= dueNs else { return [] }
    var summaries: [Summary] = []
    dueNs = .max
    for (key, state) in states {
      if nowNs < state.endsNs {
        if state.leftOut > 0 { dueNs = min(dueNs, state.endsNs) }
        continue
      }
      guard state.leftOut > 0, let limit = key.kind.limit else {
        states[key] = nil
        continue
      }
      let seconds = max(1, (nowNs - state.beganNs) / 1_000_000_000)
      summaries.append(
        Summary(kind: key.kind, group: key.group, count: state.leftOut, seconds: seconds))
      // One more is written in the next window, however large the first burst was.
      states[key] = State(
        windowNs: min(2 * state.windowNs, Self.windowMsMax * 1_000_000), beganNs: nowNs,
        written: limit.burst - 1)
    }
    return summaries.sorted {
      ($0.kind.rawValue, $0.group?.name ?? "") < ($1.kind.rawValue, $1.group?.name ?? "")
    }
  }
}
