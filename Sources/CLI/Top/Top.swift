// `sluice top`: live rates of the broker on this machine. In a terminal the screen is drawn over;
// elsewhere each look is a block of lines, or a line of JSON.

import ArgumentParser
import Glibc
import IPC
import Linux

struct Top: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show live rates of the processes, topics and connections of the broker here.",
    discussion: """
      Of topics and connections the busiest \(StatisticsLimits.busiestMax) of each process are looked at.
      Keys in a terminal: t, i, o, r, n sort by total, in, out, requests or name; q ends it.
      """)

  @Option(
    help: ArgumentHelp("Where the sockets between the processes are.", valueName: "DIR"),
    completion: .directory)
  var runtimeDirectory: String = RuntimeDirectory.standard
  @Option(help: ArgumentHelp("Time between two looks, from 0.1 on.", valueName: "SECONDS"))
  var interval = 1.0
  @Option(
    help: ArgumentHelp("What comes first: total, in, out, requests or name.", valueName: "KEY"),
    completion: .list(TopOrder.allCases.map(\.rawValue)))
  var sort = TopOrder.total.rawValue
  @Option(help: ArgumentHelp("Topics and connections to show.", valueName: "N"))
  var limit = 20
  @Flag(help: "Look once, for one interval, and end.") var once = false
  @Flag(help: "Print JSON, one line for each look.") var json = false

  func validate() throws {
    guard interval >= 0.1, interval <= 86_400 else {
      throw ValidationError("--interval is from 0.1 to 86400 seconds")
    }
    guard TopOrder(rawValue: sort) != nil else {
      throw ValidationError("--sort is one of total, in, out, requests, name; not '\(sort)'")
    }
    guard limit > 0 else { throw ValidationError("--limit is at least 1") }
  }

  func run() throws {
    try Command.run { () throws(ClientError) in
      let interruption = try Interruption()
      let screen = TopScreen.isTerminal && !once && !json ? TopScreen() : nil
      defer { screen?.close() }
      try watch(interruption, screen)
    }
  }

  private func watch(_ interruption: Interruption, _ screen: TopScreen?) throws(ClientError) {
    let query = StatusQuery(runtimeDirectory)
    var order = TopOrder(rawValue: sort) ?? .total
    var rates: TopRates?
    var before = try look(query)
    while true {
      let intervalNs = UInt64(interval * 1e9)
      while let leftMs = Self.leftMs(until: before.atNs &+ intervalNs) {
        guard pause(leftMs, interruption, screen, &order) else { return }
        // A key changes what is shown at once.
        if let screen, let rates { draw(rates, order, on: screen) }
      }
      do throws(ClientError) {
        let after = try look(query)
        let new = TopRates(from: before, to: after)
        show(new, order, on: screen)
        before = after
        rates = new
        if once { return }
      } catch {
        // It may be starting again; what was there before says nothing about it.
        guard let screen else { throw error }
        screen.draw(["\(error)"])
        before = TopSample(atNs: Clock.monotonicNs(), processes: [])
        rates = nil
      }
    }
  }

  private func look(_ query: StatusQuery) throws(ClientError) -> TopSample {
    do throws(ChannelError) {
      let processes = try query.ask(busiest: StatisticsLimits.busiestMax)
      return TopSample(atNs: Clock.monotonicNs(), processes: processes)
    } catch { throw .noBroker(directory: runtimeDirectory, "\(error)") }
  }

  private static func leftMs(until ns: UInt64) -> Int32? {
    let nowNs = Clock.monotonicNs()
    return nowNs >= ns ? nil : Int32(clamping: (ns - nowNs) / 1_000_000 + 1)
  }

  /// Waits for the next look, a key or an interruption.
  /// - Returns: false when it is over.
  private func pause(
    _ ms: Int32, _ interruption: Interruption, _ screen: TopScreen?, _ order: inout TopOrder
  ) -> Bool {
    let keys = screen?.keys.map { [$0] } ?? []
    let ready = Poll.waitAny([interruption.descriptor] + keys, .readable, timeoutMs: ms)
    if ready == 0, interruption.isRequested { return false }
    guard ready == 1, let key = screen?.key() else { return true }
    switch key {
    case "q", "Q": return false
    case "t": order = .total
    case "i": order = .in
    case "o": order = .out
    case "r": order = .requests
    case "n": order = .name
    default: break
    }
    return true
  }

  private func show(_ rates: TopRates, _ order: TopOrder, on screen: TopScreen?) {
    if let screen { return draw(rates, order, on: screen) }
    var rates = rates
    rates.sort(by: order)
    if json {
      var bytes: [UInt8] = []
      rates.fields.appendJSON(to: &bytes)
      Output.write(bytes + "\n".utf8)
    } else {
      let text = TopText(rates: rates, order: order, time: Self.wallTime, rowsMax: limit)
      Output.write(Array((text.lines.joined(separator: "\n") + (once ? "\n" : "\n\n")).utf8))
    }
  }

  private func draw(_ rates: TopRates, _ order: TopOrder, on screen: TopScreen) {
    var rates = rates
    rates.sort(by: order)
    let size = screen.size
    let text = TopText(rates: rates, order: order, time: Self.wallTime, rowsMax: limit)
    screen.draw(text.lines(rows: size.rows, columns: size.columns))
  }

  /// The wall clock's, `14:02:11`.
  private static var wallTime: String {
    var seconds = time(nil)
    var parts = tm()
    localtime_r(&seconds, &parts)
    func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))"
  }
}
